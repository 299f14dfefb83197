"""Does a lexed grammar have a text? Cut it into lexemes as lark does, then parse their terminals.

For checks only, one text at a time and without tables for any vocabulary; `notations.lark` says what the
two lexing policies mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from smcdsl.compiler.bnf import ContextFree, nullable, useful
from smcdsl.compiler.dfa import Dfa, char_lengths, is_empty
from smcdsl.compiler.forms import FormBuilder, Forms
from smcdsl.compiler.lalr import LalrTables, lalr
from smcdsl.compiler.lexer import LexicalTerminal
from smcdsl.program.grammar import Grammar

_STATE_LIMIT = 200_000


class LexedGrammar:
    """A lexed grammar ready to take texts.

    Raises:
        TooLarge: a terminal's automaton is too large for a check.
    """

    def __init__(self, grammar: Grammar) -> None:
        self.forms: Forms = FormBuilder(_STATE_LIMIT).build(grammar)
        self.cfg: ContextFree = useful(self.forms.grammar)
        self.is_contextual = grammar.lexing == "contextual"

    def used_dfas(self) -> list[Dfa]:
        """The automata of the terminals that occur in some text, ignored ones included."""
        used = {symbol for production in self.cfg.productions for symbol in production.rhs if symbol >= 0}
        return [t.dfa for t in self.forms.lexical if t.number in used or t.number in self.forms.ignored]

    def fewest_chars(self) -> int:
        """No text has fewer code points than this; blanks that keep lexemes apart are not counted."""
        of_terminal = {t.number: char_lengths(t.dfa)[0] for t in self.forms.lexical if not is_empty(t.dfa)}
        shortest: dict[int, int] = {}
        changed = True
        while changed:
            changed = False
            for production in self.cfg.productions:
                known = [of_terminal.get(s, 0) if s >= 0 else shortest.get(~s) for s in production.rhs]
                total = sum(length for length in known if length is not None)
                if None not in known and total < shortest.get(production.lhs, total + 1):
                    shortest[production.lhs] = total
                    changed = True
        return shortest.get(self.cfg.start, 0)

    @cached_property
    def tables(self) -> LalrTables:
        """The LALR(1) tables, conflicts included."""
        return lalr(self.cfg)

    def accepts(self, text: bytes) -> bool | None:
        """Whether the text is in the language; None if the contextual lexer depends on how conflicts are resolved."""
        if self.is_contextual:
            tables = self.tables
            return None if tables.conflicts() else self._accepts_by_context(text, tables)
        if not self.cfg.productions:
            return False
        lexemes = self._cut(text)
        return lexemes is not None and recognises(self.cfg, lexemes)

    def _cut(self, text: bytes) -> list[int] | None:
        position, found = 0, []
        while position < len(text):
            terminal, position = longest_lexeme(self.forms.lexical, text, position)
            if terminal < 0:
                return None
            if terminal not in self.forms.ignored:
                found.append(terminal)
        return found

    def _accepts_by_context(self, text: bytes, tables: LalrTables) -> bool:
        """LR parsing that asks the lexer only for terminals with an action in the current state."""
        stack = [0]
        position = 0
        while True:
            if position == len(text):
                return self._take(stack, tables.end, tables)
            wanted = tables.acceptable(stack[-1])
            candidates = [t for t in self.forms.lexical if wanted >> t.number & 1 or t.number in self.forms.ignored]
            terminal, position = longest_lexeme(candidates, text, position)
            if terminal < 0 or (terminal not in self.forms.ignored and not self._take(stack, terminal, tables)):
                return False

    def _take(self, stack: list[int], terminal: int, tables: LalrTables) -> bool:
        """Reduce, then shift the terminal; false if there is no action."""
        productions = self.cfg.productions
        while terminal not in tables.shift[stack[-1]]:
            reduction = next((p for p, mask in tables.reduce[stack[-1]].items() if mask >> terminal & 1), None)
            if reduction is None:
                return False
            length = len(productions[reduction].rhs)
            if length:
                del stack[-length:]
            stack.append(tables.goto[stack[-1]][productions[reduction].lhs])
        stack.append(tables.shift[stack[-1]][terminal])
        return True


def longest_lexeme(terminals: Iterable[LexicalTerminal], text: bytes, start: int) -> tuple[int, int]:
    """(terminal, end) of the lexeme at `start`: by priority, then length, then order; (-1, start) if there is none."""
    best = None
    for terminal in terminals:
        state, end = terminal.dfa.start, start
        for position in range(start, len(text)):
            state = int(terminal.dfa.next_state[state, text[position]])
            if not state:
                break
            if terminal.dfa.accepting[state]:
                end = position + 1
        key = (-terminal.priority, -end, terminal.order)
        if end > start and (best is None or key < best[0]):
            best = (key, terminal.number, end)
    return (-1, start) if best is None else best[1:]


def recognises(grammar: ContextFree, terminals: list[int]) -> bool:
    """Whether the grammar derives a sequence of terminals.

    Source: Earley (1970), with the treatment of empty rules by Aycock and Horspool (2002).
    """
    empty = nullable(grammar)
    by_lhs = grammar.by_lhs()
    start = (grammar.start, (~grammar.start,), 0, 0)  # (lhs, rhs, dot, origin); the outermost item
    sets: list[dict[tuple[int, tuple[int, ...], int, int], None]] = [{start: None}]
    waiting: list[dict[int, list[tuple[int, tuple[int, ...], int, int]]]] = []
    for position in range(len(terminals) + 1):
        waiting.append({})
        following: dict[tuple[int, tuple[int, ...], int, int], None] = {}
        agenda = list(sets[position])
        for item in agenda:
            lhs, rhs, dot, origin = item
            new: list[tuple[int, tuple[int, ...], int, int]] = []
            if dot == len(rhs):
                if item[:3] != (grammar.start, (~grammar.start,), 1):
                    new = [(a, b, c + 1, d) for a, b, c, d in waiting[origin].get(lhs, ())]
            elif rhs[dot] < 0:
                symbol = ~rhs[dot]
                waiting[position].setdefault(symbol, []).append(item)
                new = [(symbol, grammar.productions[p].rhs, 0, position) for p in by_lhs[symbol]]
                if symbol in empty:
                    new.append((lhs, rhs, dot + 1, origin))
            elif position < len(terminals) and terminals[position] == rhs[dot]:
                following[lhs, rhs, dot + 1, origin] = None
            for candidate in new:
                if candidate not in sets[position]:
                    sets[position][candidate] = None
                    agenda.append(candidate)
        sets.append(following)
    return (grammar.start, (~grammar.start,), 1, 0) in sets[len(terminals)]
