"""Productions and LALR(1) tables: textbook grammars, and random ones against enumeration."""

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from smcdsl.compiler.bnf import ContextFree, Production, without_empty, without_unit_cycles
from smcdsl.compiler.lalr import LalrTables, lalr


def grammar(*rules: str) -> ContextFree:
    """Rules such as `S -> L = R | R`; capitals are nonterminals, the first is the start."""
    pairs = [(rule.split(" -> ")[0], body.split()) for rule in rules for body in rule.split(" -> ")[1].split("|")]
    names = list(dict.fromkeys(lhs for lhs, _ in pairs))
    terminals = list(dict.fromkeys(s for _, body in pairs for s in body if s not in names))
    productions = tuple(
        Production(names.index(lhs), tuple(~names.index(s) if s in names else terminals.index(s) for s in body))
        for lhs, body in pairs
    )
    return ContextFree(tuple(terminals), tuple(names), productions, 0)


def test_assignments_are_lalr_though_not_slr():
    # Aho, Lam, Sethi and Ullman (2006), example 4.48.
    assert not lalr(grammar("S -> L = R | R", "L -> * R | id", "R -> L")).conflicts()


def test_a_grammar_that_is_lr1_but_not_lalr_has_conflicts():
    # The same, example 4.58.
    assert lalr(grammar("S -> a A d | b B d | a B e | b A e", "A -> c", "B -> c")).conflicts()


def test_the_dangling_else_is_a_conflict():
    found = lalr(grammar("S -> i S | i S e S | x")).conflicts()
    assert len(found) == 1


def test_lookaheads_pass_through_empty_rules():
    tables = lalr(grammar("S -> A B c", "A -> a |", "B -> b |"))
    assert not tables.conflicts()
    assert accepts(tables, (tables.grammar.terminals.index("c"),))


def accepts(tables: LalrTables, word: tuple[int, ...]) -> bool:
    stack = [0]
    for symbol in (*word, tables.end):
        while symbol not in tables.shift[stack[-1]]:
            rules = [p for p, lookaheads in tables.reduce[stack[-1]].items() if lookaheads >> symbol & 1]
            if not rules:
                return False
            production = tables.grammar.productions[rules[0]]
            del stack[len(stack) - len(production.rhs) :]
            stack.append(tables.goto[stack[-1]][production.lhs])
        stack.append(tables.shift[stack[-1]][symbol])
    return True


def words(cfg: ContextFree, longest: int) -> set[tuple[int, ...]]:
    """All words up to a length, by iteration to a fixed point."""
    known: list[set[tuple[int, ...]]] = [set() for _ in cfg.nonterminals]
    while True:
        size = sum(map(len, known))
        for production in cfg.productions:
            parts = [known[~symbol] if symbol < 0 else {(symbol,)} for symbol in production.rhs]
            known[production.lhs] |= {w for c in product(*parts) if len(w := sum(c, ())) <= longest}
        if sum(map(len, known)) == size:
            return known[cfg.start]


symbols = st.integers(-2, 1)
random_grammars = st.lists(
    st.builds(Production, st.integers(0, 1), st.lists(symbols, max_size=3).map(tuple)), min_size=1, max_size=6
).map(lambda productions: ContextFree(("a", "b"), ("S", "T"), tuple(dict.fromkeys(productions)), 0))


@settings(max_examples=200, deadline=None)
@given(random_grammars)
def test_grammars_without_empty_rules_and_unit_cycles_keep_their_words(cfg):
    positive, has_empty = without_empty(cfg)
    plain = without_unit_cycles(positive)
    assert all(production.rhs for production in plain.productions)
    assert words(plain, 5) == words(cfg, 5) - {()}
    assert has_empty == (() in words(cfg, 0))


@settings(max_examples=200, deadline=None)
@given(random_grammars)
def test_tables_without_conflicts_accept_just_the_words(cfg):
    from smcdsl.compiler.bnf import useful

    cfg = useful(cfg)
    if not cfg.productions:
        return
    tables = lalr(cfg)
    if tables.conflicts():
        return
    known = words(cfg, 4)
    for length in range(5):
        for word in product(range(2), repeat=length):
            assert accepts(tables, word) == (word in known)
