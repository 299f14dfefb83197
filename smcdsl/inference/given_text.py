"""Given text and turns: what a program fixes becomes tokens behind a particle's prefix."""

from __future__ import annotations

from dataclasses import replace

from smcdsl.errors import Diagnostic, Label, ModelError, Span, UsageError
from smcdsl.inference.course import Course
from smcdsl.inference.judgement import (
    value_of,
)
from smcdsl.inference.surroundings import Surroundings
from smcdsl.plan import (
    CloseTurn,
    Emit,
    OpenTurn,
)
from smcdsl.prefixes import ROOT
from smcdsl.program.evaluation import EvaluationError, render
from smcdsl.program.statements import Insert
from smcdsl.protocols import Role, TurnTokens


class GivenText(Surroundings):
    """Instructions that write what is given."""

    def _emit(self, course: Course, text: str) -> None:
        data = text.encode()
        skipped = min(course.skip, len(data))
        course.skip -= skipped
        course.pending += data[skipped:]

    def _flush(self, course: Course) -> None:
        """Encode the pending given text."""
        pending, course.pending = course.pending, b""
        lead = 0
        while lead < len(pending) and pending[lead] & 0xC0 == 0x80:
            lead += 1
        # The model wrote the first bytes of a character; the rest of it can only be spelled byte by byte.
        tokens = [self._byte_token(pending[index : index + 1]) for index in range(lead)]
        if len(pending) > lead:
            tokens += self._encode(pending[lead:].decode(), course)
        course.prefix = self.prefixes.extend(course.prefix, tokens)

    def _encode(self, text: str, course: Course) -> list[int]:
        key = (text, course.prefix == self._text_start)
        if key not in self._encoded:
            self._encoded[key] = self.model.encode(text, starts_text=key[1])
        return self._encoded[key]

    def _byte_token(self, byte: bytes) -> int:
        for token, spelled in enumerate(self.model.vocabulary.token_bytes):
            if spelled == byte:
                return token
        message = f"the model has no token for byte {byte.hex()}, with which a given text goes on"
        raise ModelError(Diagnostic("E0407", message), self.model.name)

    def _open_turn(self, instruction: OpenTurn, course: Course) -> None:
        if instruction.role == "text":
            if course.prefix == ROOT:
                course.prefix = self._text_start = self.prefixes.extend(ROOT, self.model.begin_text())
            return
        opening = self._turn(instruction.role, instruction.span, course).opening
        course.prefix = self.prefixes.extend(course.prefix, opening)

    def _turn(self, role: Role, span: Span | None, course: Course) -> TurnTokens:
        try:
            return self.model.turn(course.roles, role)
        except ModelError as error:
            if span is None or error.diagnostics[0].labels:
                raise
            label = Label(span, "chat turns need a template" if error.diagnostics[0].code == "E0804" else "", True)
            raise ModelError(replace(error.diagnostics[0], labels=(label,)), error.model) from error

    def _close_turn(self, instruction: CloseTurn, course: Course) -> None:
        if instruction.role == "text":
            return
        self._flush(course)
        closing = self._turn(instruction.role, instruction.span, course).closing
        course.prefix = self.prefixes.extend(course.prefix, closing[1:] if course.turn_ended else closing)
        course.roles = (*course.roles, instruction.role)
        course.turn_ended = False

    def _check_length(self, course: Course, span: Span | None) -> None:
        length = int(self.prefixes.lengths[course.prefix])
        if length < self.model.context_length:
            return
        longest = self._longest_insert(course)
        label = Label(span, "no room is left for this", primary=True) if span else None
        if longest is not None:
            label = Label(longest[0], f"{longest[1]:,} characters come from here", primary=True)
        note = f"{length:,} prompt tokens; {self.model.name} has a context of {self.model.context_length:,}"
        raise UsageError(Diagnostic("E0805", "the prompt does not fit", (label,) if label else (), (note,)))

    def _longest_insert(self, course: Course) -> tuple[Span, int] | None:
        """The inserted expression with the longest text, among those that need no call."""
        found: list[tuple[Span, int]] = []
        for instruction in self.plan.instructions[: course.position]:
            for part in instruction.parts if isinstance(instruction, Emit) else ():
                if isinstance(part, Insert):
                    try:
                        next(value_of(part.expression, self.environments[course.environment]))
                    except StopIteration as stop:
                        found.append((part.span, len(render(stop.value))))
                    except EvaluationError:
                        continue
        return max(found, key=lambda item: item[1], default=None)
