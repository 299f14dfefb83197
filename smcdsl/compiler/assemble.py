"""Grammar x Vocabulary -> AutomatonTables, kept on disk under a hash of what went in.

Regular grammars become one automaton. The rest become a lexer and LALR tables; where those have conflicts, the
tables of an equivalent grammar without empty productions and unit cycles, for generalised parsing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.bits import bits
from smcdsl.automaton.mistakes import cannot_spell
from smcdsl.automaton.tables import (
    FORMAT,
    AutomatonTables,
    LayoutTables,
    LexerTables,
    ParserTables,
    RegularTables,
    TrieTables,
    load_tables,
    plain_arrays,
    read_arrays,
    save_tables,
    write_arrays,
)
from smcdsl.collector import collector_paused
from smcdsl.compiler import mistakes
from smcdsl.compiler.analyze import check_grammar, not_restrictable, too_large
from smcdsl.compiler.bnf import ContextFree, useful, without_empty, without_unit_cycles
from smcdsl.compiler.dfa import (
    Dfa,
    NotRegular,
    TooLarge,
    condition_dfa,
    difference,
    from_expression,
    intersect,
    is_empty,
)
from smcdsl.compiler.forms import FormBuilder, Forms, NotContextFree, layout_terminals, regular_rules
from smcdsl.compiler.indentation import Layout, layout_fault, with_columns
from smcdsl.compiler.lalr import LalrTables, lalr
from smcdsl.compiler.lexer import Lexer, LexerStart, bit_rows, build_lexer
from smcdsl.compiler.minimal import DEFAULT_STATE_LIMIT
from smcdsl.compiler.obligations import with_trapped
from smcdsl.compiler.product import intersect_rules, without_restrictions
from smcdsl.compiler.refinement import distinct_columns
from smcdsl.compiler.separation import adjacent_terminals, ends_before, is_separable
from smcdsl.compiler.site_rules import Automata, SiteRules
from smcdsl.compiler.spelling import Spelling
from smcdsl.compiler.trie import build_trie
from smcdsl.errors import CompileError, Diagnostic
from smcdsl.program.grammar import (
    Condition,
    Difference,
    Embedded,
    Grammar,
    GrammarExpression,
    Intersection,
    Limit,
    LiteralText,
    Reference,
    Restricted,
    children,
    names_in,
)
from smcdsl.vocabulary import Vocabulary

_PRODUCT_RULES = 5_000
"""Rules of the product of a grammar with a filter; beyond them the filter runs beside the parser."""


def compile_grammar(
    grammar: Grammar,
    vocabulary: Vocabulary,
    *,
    state_limit: int = DEFAULT_STATE_LIMIT,
    cache_dir: Path | None = None,
    checked: bool = True,
) -> AutomatonTables:
    """The tables of a closed grammar for one vocabulary, from the cache if they are there.

    Args:
        checked: False if nobody has looked for mistakes in this grammar yet (one bound to inputs).

    Raises:
        CompileError: E0403 no text matches, E0404 a part that cannot be restricted, E0407 a literal spells a
            special token, E0409 more than `state_limit` states.
    """
    refuse_special_tokens(grammar, vocabulary)
    trie = vocabulary_trie(vocabulary, cache_dir)
    fingerprint = fingerprint_of(grammar, vocabulary, state_limit)
    path = None if cache_dir is None else cache_dir / "automata" / f"{fingerprint}.arrays"
    if path is not None and (known := load_tables(path, trie)) is not None:
        return known
    if not checked and (problems := check_grammar(grammar)):
        raise CompileError(problems)
    with collector_paused():
        tables = _Assembly(grammar, vocabulary, trie, state_limit, fingerprint, Spelling(trie)).tables()
    if path is not None:
        save_tables(tables, path)
    return tables


def vocabulary_trie(vocabulary: Vocabulary, cache_dir: Path | None = None) -> TrieTables:
    """The vocabulary's trie, remembered in memory and on disk."""
    return _trie(vocabulary.fingerprint, _Unhashed(vocabulary), cache_dir)


class _Unhashed:
    """Carries the vocabulary past the memory of `_trie`, whose key is the fingerprint."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Unhashed)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=4)
def _trie(fingerprint: str, unhashed: _Unhashed, cache_dir: Path | None) -> TrieTables:
    path = None if cache_dir is None else cache_dir / "vocabularies" / f"{fingerprint}-{FORMAT}.arrays"
    if path is not None:
        arrays = read_arrays(path)
        if arrays is not None and set(arrays) == set(TrieTables._fields):
            return TrieTables(**arrays)
    trie = plain_arrays(build_trie(unhashed.vocabulary))
    if path is not None:
        write_arrays(trie._asdict(), path)
    return trie


def fingerprint_of(grammar: Grammar, vocabulary: Vocabulary, state_limit: int) -> str:
    """What tables are kept under: a hash of all that they are made from."""
    from smcdsl import __version__

    digest = hashlib.blake2b(digest_size=20)
    for part in (__version__, FORMAT, state_limit, grammar.digest, vocabulary.fingerprint):
        digest.update(f"{part}\0".encode())
    return digest.hexdigest()


@dataclass
class _Assembly:
    """One grammar on its way to tables."""

    grammar: Grammar
    vocabulary: Vocabulary
    trie: TrieTables
    state_limit: int
    fingerprint: str
    spelling: Spelling

    def tables(self) -> AutomatonTables:
        try:
            whole = peel(self.grammar)
            filters = self._filter(whole)
            regular = self._as_regular(whole.grammar)
            if regular is not None:
                return self._regular_tables(whole, intersect(regular, filters) if filters else regular)
            return self._parsed_tables(whole, filters)
        except TooLarge as error:
            # Automata on the way may be larger than finished ones; what was allowed is what the reader knows.
            limit = min(error.limit, self.state_limit)
            raise CompileError(too_large(self.grammar, limit, is_work=error.is_work)) from error
        except NotContextFree as error:
            raise CompileError(mistakes.restricted_library(error.expression.span, self.grammar.span)) from error
        except NotRegular as error:
            raise CompileError(not_restrictable(error, self.grammar)) from error

    def _filter(self, whole: Whole) -> Dfa | None:
        """The regular language that all conditions and filters leave, or None if there are none."""
        rules = {**whole.grammar.rules, **whole.grammar.definitions}
        parts = [(from_expression(expression, rules, self.state_limit), keep) for expression, keep in whole.filters]
        for condition in whole.conditions:
            part = condition_dfa(condition)
            if part is not None:
                parts.append(part)
        result: Dfa | None = None
        for dfa, keep in parts:
            if result is None:
                result = dfa if keep else difference(_anything(), dfa)
            else:
                result = intersect(result, dfa) if keep else difference(result, dfa)
        return result

    def _as_regular(self, grammar: Grammar) -> Dfa | None:
        if grammar.lexing != "scannerless":
            return None
        try:
            whole = from_expression(grammar.rules[grammar.start], grammar.rules, self.state_limit)
            return self.spelling.spelled(whole)
        except (NotRegular, TooLarge):
            return None

    def _regular_tables(self, whole: Whole, dfa: Dfa) -> AutomatonTables:
        if is_empty(dfa):
            raise CompileError(self._empty())
        return self._common(whole, regular=RegularTables(dfa.next_state, dfa.accepting))

    def _parsed_tables(self, whole: Whole, filters: Dfa | None) -> AutomatonTables:
        if filters is not None and is_empty(filters):
            raise CompileError(mistakes.empty(self.grammar.span, ""))
        plain = without_restrictions(whole.grammar)
        if filters is not None and plain.lexing == "scannerless":
            try:
                plain, filters = intersect_rules(plain, filters, _PRODUCT_RULES), None
            except (TooLarge, NotRegular):
                plain = without_restrictions(whole.grammar)
        forms = FormBuilder(self.state_limit, self.spelling).build(plain)
        parsed = _Parsed(forms, plain, self.state_limit)
        if parsed.is_empty:
            raise CompileError(self._empty())
        return self._common(
            whole,
            lexer=parsed.lexer,
            parser=parsed.parser,
            deterministic=parsed.deterministic,
            separable=parsed.separable,
            filters=None if filters is None else RegularTables(filters.next_state, filters.accepting),
            layout=parsed.layout,
            parser_tells_sites=parsed.deterministic and plain.lexing != "scannerless",
            forms=forms,
        )

    def _empty(self) -> Diagnostic:
        """Why there is no text: would there be one if all bytes could be written?"""
        if self.spelling.missing:
            try:
                replace(self, spelling=Spelling()).tables()
            except CompileError as error:
                return error.diagnostics[0]
            return cannot_spell(bytes(sorted(self.spelling.missing)), None)
        return mistakes.empty(self.grammar.span, "")

    def _common(
        self,
        whole: Whole,
        *,
        regular: RegularTables | None = None,
        lexer: LexerTables | None = None,
        parser: ParserTables | None = None,
        deterministic: bool = True,
        separable: bool = True,
        filters: RegularTables | None = None,
        layout: LayoutTables | None = None,
        parser_tells_sites: bool = False,
        forms: Forms | None = None,
    ) -> AutomatonTables:
        sites, leaves = "null", None
        if self.grammar.boundaries and not parser_tells_sites:
            automata = Automata()
            rules = SiteRules(self.grammar, forms, automata, self.state_limit)
            sites, leaves = json.dumps(rules.collected()), automata.tables()
        return AutomatonTables(
            trie=self.trie,
            regular=regular and plain_arrays(regular),
            lexer=lexer and plain_arrays(lexer),
            parser=parser and plain_arrays(parser),
            deterministic=deterministic,
            separable=separable,
            filter=filters and plain_arrays(filters),
            layout=layout and plain_arrays(layout),
            token_limit=whole.token_limit,
            boundaries=self.grammar.boundaries,
            sites=sites,
            leaves=leaves and plain_arrays(leaves),
            vocab_size=len(self.vocabulary),
            end_of_turn=self.vocabulary.end_of_turn,
            fingerprint=self.fingerprint,
        )


@dataclass(frozen=True)
class Whole:
    """A grammar with everything taken off that restricts whole texts."""

    grammar: Grammar
    conditions: tuple[Condition, ...]
    filters: tuple[tuple[GrammarExpression, bool], ...]

    @property
    def token_limit(self) -> tuple[int, int]:
        """Least and most tokens, most -1 without a bound."""
        least, most = 0, -1
        for condition in self.conditions:
            if isinstance(condition, Limit) and condition.unit == "tokens":
                assert condition.least is None or isinstance(condition.least, int), "bounds are numbers by now"
                assert condition.most is None or isinstance(condition.most, int), "bounds are numbers by now"
                least = max(least, condition.least or 0)
                if condition.most is not None:
                    most = condition.most if most < 0 else min(most, condition.most)
        return least, most


def peel(grammar: Grammar) -> Whole:
    """Take `where`, `& regular` and `- regular` off the start of a grammar, as far as they stand there."""
    conditions, filters = grammar.conditions, grammar.filters
    expression: GrammarExpression = Reference((grammar.start,))
    while True:
        if isinstance(expression, Reference) and expression.name in grammar.rules and _once(grammar, expression.name):
            inner = grammar.rules[expression.name]
            if not isinstance(inner, Restricted | Intersection | Difference | Embedded | Reference):
                break
            expression = inner
        elif isinstance(expression, Restricted):
            conditions, expression = (*conditions, *expression.conditions), expression.item
        elif isinstance(expression, Difference) and not _is_plain(grammar, expression.left):
            filters, expression = (*filters, (expression.right, False)), expression.left
        elif isinstance(expression, Intersection) and not _is_plain(grammar, expression):
            first, second = expression.left, expression.right
            if _is_plain(grammar, first):
                first, second = second, first
            filters, expression = (*filters, (second, True)), first
        elif isinstance(expression, Embedded) and not grammar.boundaries:
            inner_grammar = expression.grammar
            bare = replace(inner_grammar, conditions=(), filters=())
            deeper = peel(bare)
            return Whole(
                deeper.grammar,
                (*conditions, *inner_grammar.conditions, *deeper.conditions),
                (*filters, *inner_grammar.filters, *deeper.filters),
            )
        else:
            break
    if expression == Reference((grammar.start,)):
        return Whole(replace(grammar, conditions=(), filters=()), conditions, filters)
    start = expression.name if isinstance(expression, Reference) and expression.name in grammar.rules else "start:"
    rules = dict(grammar.rules)
    if start == "start:":
        rules[start] = expression
    return Whole(replace(grammar, start=start, rules=rules, conditions=(), filters=()), conditions, filters)


def _once(grammar: Grammar, name: str) -> bool:
    """Whether a rule is not referred to again, so that what restricts it restricts whole texts only."""
    return name == grammar.start or all(name not in names_in(rule) for rule in grammar.rules.values())


def _is_plain(grammar: Grammar, expression: GrammarExpression) -> bool:
    from smcdsl.compiler.forms import _is_regular

    return _is_regular(expression, regular_rules(grammar) if grammar.lexing == "scannerless" else frozenset())


class _Parsed:
    """Lexer and parser tables of a grammar that is not regular."""

    def __init__(self, forms: Forms, grammar: Grammar, state_limit: int) -> None:
        self.forms, self.limit = forms, state_limit
        self.modes = {terminal.number: terminal.mode for terminal in forms.lexical}
        self._lexers: dict[tuple[LexerStart, ...], Lexer] = {}
        cfg = useful(forms.grammar, self._winnable())
        self.is_empty = not cfg.productions
        if self.is_empty:
            return
        tables = lalr(cfg)
        self.deterministic = not tables.conflicts()
        self.layout: LayoutTables | None = None
        self._layout = self._layout_of(grammar, cfg)
        self._flush = grammar.indenter is not None and grammar.indenter.flush
        accepts_empty = False
        if not self.deterministic:
            positive, accepts_empty = without_empty(cfg)
            cfg = without_unit_cycles(positive)
            tables = lalr(cfg)
        self.cfg = cfg
        self._build(tables, accepts_empty, grammar)

    def _layout_of(self, grammar: Grammar, cfg: ContextFree) -> Layout | None:
        """The numbers of an indenter's terminals.

        Raises:
            CompileError: E0423, the rules do not keep blocks and brackets in order, or have LALR conflicts.
        """
        indenter = grammar.indenter
        if indenter is None:
            return None
        known = {name: number for number, name in enumerate(cfg.terminals)}
        missing = [name for name in layout_terminals(grammar) if name not in known]
        if missing:
            raise CompileError(mistakes.bad_layout(f"`{missing[0]}` is in no rule", grammar.span))
        layout = Layout(
            known[indenter.newline],
            known[indenter.indent],
            known[indenter.dedent],
            tuple(known[name] for name in indenter.opens),
            tuple(known[name] for name in indenter.closes),
            indenter.tab,
        )
        fault = layout_fault(cfg, layout)
        if not fault and not self.deterministic:
            fault = "its rules have LALR(1) conflicts"
        if fault:
            raise CompileError(mistakes.bad_layout(fault, grammar.span))
        return layout

    def _winnable(self) -> set[int]:
        """Terminals that some lexeme can be: under longest match a terminal may never win."""
        forms = self.forms
        usable = set(range(len(forms.grammar.terminals)))
        usable -= {terminal.number for terminal in forms.lexical if len(terminal.dfa) == 1}
        for mode, exclusive in enumerate(forms.exclusive):
            if exclusive and not forms.contextual[mode]:
                members = frozenset(t for t, m in self.modes.items() if m == mode)
                lexer = self._lexer([LexerStart(mode, members)])
                alive = int.from_bytes(lexer.tables.alive[lexer.starts[0]].tobytes(), "little")
                usable -= {terminal for terminal in members if not alive >> terminal & 1}
        return usable

    def _lexer(self, starts: list[LexerStart]) -> Lexer:
        """The lexer of some starts; often what can win is asked of the very lexer that is needed in the end."""
        key = tuple(starts)
        if key not in self._lexers:
            forms = self.forms
            ignored, count = frozenset(forms.ignored), len(forms.grammar.terminals) + 1
            self._lexers[key] = build_lexer(forms.lexical, starts, forms.exclusive, ignored, count, self.limit)
        return self._lexers[key]

    def _build(self, tables: LalrTables, accepts_empty: bool, grammar: Grammar) -> None:
        forms = self.forms
        states, modes = len(tables.shift), len(forms.exclusive)
        starts: dict[LexerStart, int] = {}
        start_of = np.zeros((states, modes), dtype=np.int32)
        for state in range(states):
            for mode in range(modes):
                start = LexerStart(mode, self._competing(tables, state, mode))
                start_of[state, mode] = starts.setdefault(start, len(starts))
        lexer = self._lexer(list(starts))
        self.lexer, numbers = lexer.tables, np.array(lexer.starts, dtype=np.int32)
        boundary = self._boundaries(grammar)
        self.parser = parser_tables(tables, numbers[start_of], forms.markers, boundary)
        if accepts_empty:
            self.parser.shift[0, tables.end] = 0
            self.parser.possible[0, tables.end >> 6] |= np.uint64(1 << (tables.end & 63))
        line_break = None if self._layout is None else self._layout.newline
        # A terminal that no rule uses is never read, so nothing needs to follow it.
        read = {*forms.ignored, *(symbol for production in self.cfg.productions for symbol in production.rhs)}
        modes_read = {terminal: mode for terminal, mode in self.modes.items() if terminal in read}
        self.separable = self._always_shiftable(tables) and is_separable(
            self._adjacent, lexer, forms.ignored, modes_read, line_break
        )
        if self._layout is not None:
            ends = ends_before(lexer, forms.ignored, modes_read, self._layout.newline)
            widened = with_columns(self.lexer, self.parser, self._layout, ends)
            self.lexer, self.parser, self.layout = widened.lexer, widened.parser, widened.layout
            self.separable = self.separable and widened.separable
        # Columns tell bytes apart that the lexer without them does not.
        kinds = lexer.kinds if self.layout is None else distinct_columns(self.lexer.next_state)[0]
        self.lexer = with_trapped(self.lexer, kinds, self._followers())

    def _followers(self) -> dict[int, int]:
        """For every terminal that is read the bit set of those that may come next, in any state of the parser."""
        anywhere = set(self.forms.ignored)
        if self.layout is not None:
            anywhere.update(np.flatnonzero(self.layout.column >= 0).tolist())
        mask = sum(1 << terminal for terminal in anywhere)
        everything = (1 << 64 * self.lexer.accepts.shape[1]) - 1
        read = {symbol for production in self.cfg.productions for symbol in production.rhs if symbol >= 0}
        found = {terminal: mask | sum(1 << after for after in self._adjacent[terminal]) for terminal in read}
        return found | dict.fromkeys(anywhere, everything)

    @cached_property
    def _adjacent(self) -> dict[int, set[int]]:
        return adjacent_terminals(self.cfg)

    @cached_property
    def _members(self) -> list[int]:
        """Per mode the bitmask of its terminals."""
        found = [0] * len(self.forms.exclusive)
        for terminal, mode in self.modes.items():
            found[mode] |= 1 << terminal
        return found

    @cached_property
    def _passed_over(self) -> int:
        """Bitmask of the terminals that may come in any state."""
        found = sum(1 << terminal for terminal in self.forms.ignored)
        return found if self._layout is None else found | 1 << self._layout.newline

    def _competing(self, tables: LalrTables, state: int, mode: int) -> frozenset[int]:
        """Terminals that take part in a lexeme which begins in an LALR state."""
        members = self._members[mode]
        if self.forms.contextual[mode]:
            members &= tables.acceptable(state) | self._passed_over
        if state == 0 and self._flush:
            members &= ~sum(1 << terminal for terminal in self.forms.ignored)
        return _numbers(members)

    def _always_shiftable(self, tables: LalrTables) -> bool:
        """Whether every terminal that a state looks for can win a lexeme that begins in it."""
        alive = {
            start: int.from_bytes(self.lexer.alive[start].tobytes(), "little")
            for start in np.unique(self.parser.start_of).tolist()
        }
        for state, starts in enumerate(self.parser.start_of.tolist()):
            wanted = tables.acceptable(state)
            for mode, start in enumerate(starts):
                if self.forms.exclusive[mode] and wanted & self._members[mode] & ~alive[start]:
                    return False
        return True

    def _boundaries(self, grammar: Grammar) -> NDArray[np.int32]:
        """(productions,) the boundary that a reduction closes, or -1."""
        number = {name: i for i, name in enumerate(grammar.boundaries)}
        closes = []
        for production in self.cfg.productions:
            rule = self.forms.rules.get(production.lhs)
            closes.append(number.get(grammar.boundary_of.get(rule, rule), -1) if rule is not None else -1)
        return np.array(closes, dtype=np.int32)


@lru_cache(maxsize=4096)
def _numbers(mask: int) -> frozenset[int]:
    """The numbers of the bits of a mask; many states have the same."""
    return frozenset(bits(mask))


def parser_tables(
    tables: LalrTables, start_of: NDArray[np.int32], markers: list[int], boundary: NDArray[np.int32]
) -> ParserTables:
    """LALR tables as flat arrays."""
    states, terminals = len(tables.shift), tables.end + 1
    shift = np.full((states, terminals), -1, dtype=np.int32)
    goto = np.full((states, len(tables.grammar.nonterminals)), -1, dtype=np.int32)
    reductions: list[tuple[int, int, int]] = []
    for state in range(states):
        for terminal, target in tables.shift[state].items():
            shift[state, terminal] = target
        for nonterminal, target in tables.goto[state].items():
            goto[state, nonterminal] = target
        reductions += [(state, production, lookaheads) for production, lookaheads in tables.reduce[state].items()]
    masks = bit_rows([lookaheads for _, _, lookaheads in reductions], terminals // 64 + 1)
    number, terminal_of = np.nonzero(np.unpackbits(masks.view(np.uint8), axis=1, bitorder="little"))
    of = np.array([(state, production) for state, production, _ in reductions], dtype=np.int64).reshape(-1, 2)[number]
    cells = of[:, 0] * terminals + terminal_of
    order = np.argsort(cells, kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(cells, minlength=states * terminals))])
    return ParserTables(
        shift=shift,
        first_reduce=first.astype(np.int32),
        reduce=of[order, 1].astype(np.int32),
        goto=goto,
        lhs=np.array([production.lhs for production in tables.grammar.productions], dtype=np.int32),
        length=np.array([len(production.rhs) for production in tables.grammar.productions], dtype=np.int32),
        boundary=boundary,
        start_of=start_of.astype(np.int32),
        possible=bit_rows([tables.acceptable(state) for state in range(states)], terminals // 64 + 1),
        markers=np.array(markers, dtype=np.int32),
    )


def _anything() -> Dfa:
    return Dfa(np.array([[0] * 256, [1] * 256], dtype=np.int32), np.array([False, True]), 1)


def refuse_special_tokens(grammar: Grammar, vocabulary: Vocabulary) -> None:
    """Raises CompileError E0407 for a grammar with a literal that spells a special token."""
    names = [name for _, name in vocabulary.special_names if len(name) > 2]
    if not names:
        return
    expressions = [*(terminal.definition for terminal in grammar.terminals.values()), *grammar.fragments.values()]
    if grammar.lexing == "scannerless":
        expressions += grammar.rules.values()
    literals = []
    while expressions:
        expression = expressions.pop()
        expressions.extend(children(expression))
        if isinstance(expression, LiteralText):
            literals.append(expression)
    texts = "\0".join(literal.text for literal in literals)
    names = [name for name in names if name in texts]
    found = [mistakes.special_token(name, each.span) for each in literals for name in names if name in each.text]
    if found:
        raise CompileError(found)
