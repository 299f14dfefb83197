"""The tokens a chat template puts around each turn's content, found by rendering marked conversations.

A template is a program; only its output is known. Each turn's content is replaced by a mark, and what
stands between marks belongs to the template. What comes between two turns is split at the point where
the first turn would have ended had the conversation ended there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from smcdsl.errors import Diagnostic, ModelError
from smcdsl.protocols import Role, TurnTokens

Render = Callable[[list[dict[str, str]], bool], str]
"""(messages, whether to open an assistant turn at the end) -> text. Raises whatever the template raises."""


class ChatTemplate:
    """Turns of one template.

    Args:
        render: the template.
        encode: its text to token ids, special tokens meant.
        end_of_turn: ids that end a turn.
    """

    def __init__(
        self, render: Render, encode: Callable[[str], list[int]], end_of_turn: Sequence[int], model: str
    ) -> None:
        self._render = render
        self._encode = encode
        self._ends = frozenset(end_of_turn)
        self._model = model
        self.turn = cache(self._turn)

    def _turn(self, earlier: tuple[Role, ...], role: Role) -> TurnTokens:
        """Raises ModelError E0605 where the template refuses the turn."""
        closing = self._encode(self._closing_text((*earlier, role), required=role == "assistant"))
        if role == "assistant":
            # A turn that the model writes is closed by its own end-of-turn token.
            first = next((i for i, token in enumerate(closing) if token in self._ends), 0)
            closing = closing[first:]
        return TurnTokens(tuple(self._encode(self._opening_text(earlier, role))), tuple(closing))

    def _opening_text(self, earlier: tuple[Role, ...], role: Role) -> str:
        before = self._closing_text(earlier, required=False) if earlier else ""
        opened = self._between(earlier, role)
        if role == "assistant" and earlier and earlier[-1] != "assistant":
            # What a template adds for the model to go on from (an empty thought, say) counts; where it
            # adds less than it writes before a given turn, the given turn is the rule.
            for_model = self._tail(earlier, generation=True)
            opened = opened if opened.startswith(for_model) else for_model
        if opened.startswith(before):
            return opened[len(before) :]
        raise ModelError(
            self._refusal(role, "it writes the turn before differently when this one follows"), self._model
        )

    def _between(self, earlier: tuple[Role, ...], role: Role) -> str:
        """What stands between the content of the turn before (or the start) and that of this turn."""
        text = self._marked((*earlier, role), may_go_on=True)
        start = text.index(_mark(len(earlier) - 1)) + len(_mark(len(earlier) - 1)) if earlier else 0
        return text[start : text.index(_mark(len(earlier)))]

    def _closing_text(self, roles: tuple[Role, ...], *, required: bool) -> str:
        """What follows the last content if the conversation ends there; empty where it cannot end there."""
        try:
            return self._tail(roles, generation=False)
        except ModelError:
            if required:
                raise
            return ""

    def _tail(self, roles: tuple[Role, ...], *, generation: bool) -> str:
        mark = _mark(len(roles) - 1)
        text = self._marked(roles, generation=generation)
        return text[text.index(mark) + len(mark) :]

    def _marked(self, roles: tuple[Role, ...], *, generation: bool = False, may_go_on: bool = False) -> str:
        """The conversation with marks as contents, each of them once and in order.

        Where a template refuses a conversation that ends in a system turn, a user turn may be added.
        """
        for extra in ((), ("user",)) if may_go_on and roles[-1] == "system" else ((),):
            all_roles = (*roles, *extra)
            messages = [{"role": role, "content": _mark(index)} for index, role in enumerate(all_roles)]
            try:
                text = self._render(messages, generation)
            except Exception as error:
                reason: Exception | str = error
                continue
            places = [text.find(_mark(index)) for index in range(len(all_roles))]
            if -1 not in places and places == sorted(places):
                return text
            reason = "it leaves out or moves the content of a turn"
        raise ModelError(self._refusal(roles[-1], str(reason).strip().split("\n")[0]), self._model)

    def _refusal(self, role: str, reason: str) -> Diagnostic:
        return refused_turn(role, f"template of {self._model}: {reason}" if reason else "")


def _mark(index: int) -> str:
    return f"\ue000content{index}\ue001"


def refused_turn(role: str, fact: str) -> Diagnostic:
    """E0605: a chat template has no place for a turn."""
    return Diagnostic(
        "E0605",
        f"the model's chat template does not allow a `{role}` turn here",
        facts=(fact,) if fact else (),
        help="put the text into the first `user` turn, or choose a model whose template has system turns"
        if role == "system"
        else "let `user` and `assistant` turns take turns, the user's first",
    )


def no_template(model: str) -> Diagnostic:
    """E0804: a model without a chat template was given chat turns."""
    return Diagnostic(
        "E0804",
        f"`{model}` is a base model without a chat template",
        help="use the model's instruct variant, pass `--chat-template FILE`, or rewrite the turns with `text`",
    )


def renderer(tokenizer: Any, template: str | None) -> Render:
    """The template of a transformers tokenizer, or the text of another one."""

    def render(messages: list[dict[str, str]], generation: bool) -> str:
        return str(
            tokenizer.apply_chat_template(
                messages,
                chat_template=template,
                tokenize=False,
                add_generation_prompt=generation,
                enable_thinking=False,
            )
        )

    return render
