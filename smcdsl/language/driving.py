"""lark's LALR automaton, driven with less ado: half of reading a program is spent here, at every keystroke.

lark looks each reduction's rule up in a dictionary of callbacks, and passes the values of rules that only pass
their one part on (`?sum: product`, half of all) through three layers of calls. Here the tables say at once
how many values a reduction takes, what it makes and what of them, or that the value stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from lark import Token, UnexpectedToken
from lark.grammar import Rule, Terminal
from lark.parsers.lalr_analysis import Shift
from lark.parsers.lalr_parser_state import ParserState

from smcdsl.language.tables import syntax

_Reduction = tuple[int, str, Callable[[list[Any]], Any] | None]
"""How many values a rule takes, what it makes, and how; None where the value is that of its one part."""
_Steps = dict[int, dict[str, "int | _Reduction"]]
"""By state and by type of token or name of rule: the next state, or what is reduced before."""


def interactive(text: str, start: str) -> Any:
    """lark's interactive parser of a text, from a start symbol, which feeds tokens faster.

    Its copies do so too, and as in lark, without callbacks in their `parse_conf` they keep no values.
    """
    parser: Any = syntax().parse_interactive(text, start=start)
    state = parser.parser_state
    parser.parser_state = _Driven(state.parse_conf, state.lexer)
    return parser


class _Driven(ParserState[int]):
    """The stacks of a parse."""

    def feed_token(self, token: Token, is_end: bool = False) -> Any:
        """Take a token; at the end, the tree. As lark's own: raises UnexpectedToken after reducing what it could."""
        states, values = self.state_stack, self.value_stack
        conf, kind, steps = self.parse_conf, token.type, _steps()
        while True:
            try:
                step = steps[states[-1]][kind]
            except KeyError:
                expected = {name for name in steps[states[-1]] if name.isupper()}
                raise UnexpectedToken(token, expected, state=self) from None  # type: ignore[no-untyped-call]
            if isinstance(step, int):
                states.append(step)
                values.append(token)
                return None
            size, name, make = step
            if make is None:
                del states[-1]
            else:
                taken: list[Any] = []
                if size:
                    taken = values[-size:]
                    del states[-size:], values[-size:]
                values.append(make(taken) if conf.callbacks else taken)
            states.append(steps[states[-1]][name])  # type: ignore[arg-type]
            if is_end and states[-1] == conf.end_state:
                return values[-1]


@cache
def _steps() -> _Steps:
    parser = syntax()
    inner: Any = parser.parser
    automaton = inner.parser.parser
    return {
        state: {name: _step(action, target, automaton.callbacks) for name, (action, target) in actions.items()}
        for state, actions in automaton.parse_table.states.items()
    }


def _step(action: Any, target: Any, callbacks: dict[Rule, Callable[[list[Any]], Any]]) -> int | _Reduction:
    if action is Shift:
        return int(target)
    return len(target.expansion), target.origin.name, None if _passes_on(target) else callbacks[target]


def _passes_on(rule: Rule) -> bool:
    """Whether the value of a rule is that of its only part."""
    if not rule.options.expand1 or rule.alias or len(rule.expansion) != 1 or any(rule.options.empty_indices):
        return False
    part = rule.expansion[0]
    return not part.filter_out if isinstance(part, Terminal) else not part.name.startswith("_")
