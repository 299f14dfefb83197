"""Lower bounds of what is left to write: never too high, exact where lexemes need nothing between them."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from heapq import heappop, heappush
from importlib.resources import files

import numpy as np
import pytest

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.automaton.bits import bits
from smcdsl.automaton.recognizers import ParsedRecognizer
from smcdsl.automaton.shortest import FAR, ShortestEnds
from smcdsl.automaton.stacks import BOTTOM, LinearStacks
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import Grammar, Limit
from tests.oracles.vocabularies import small_vocabulary

BYTES = small_vocabulary([bytes([byte]) for byte in range(256)])
SQL = files("smcdsl.grammars").joinpath("sql.lark").read_text(encoding="utf-8")
GRAMMARS = {
    "brackets": 'start: "(" start ")" start | "[" start "]" | "a"',
    "lists": 'start: "begin" item ("," item)* "end"\nitem: /[0-9]+/ | "<" start ">" | "x" "yy" "z"?',
    "empty": 'start: a b "!"\na: "p"*\nb: "q"? | "(" a b ")"',
    "left": 'start: sum\nsum: sum "+" product | product\nproduct: product "*" atom | atom\natom: "n" | "(" sum ")"',
}
BEGINNINGS = {
    "brackets": ["", "(", "((", "([", "(a)", "((a)("],
    "lists": ["", "begin", "begin1,", "beginx", "beginxyy", "begin<begin", "begin<begin2,<begin"],
    "empty": ["", "p", "pp(", "((", "(q", "(q)"],
    "left": ["", "n", "n+", "(", "((n+", "(n*(n", "(n)"],
}


def recognizer_of(grammar: Grammar) -> ParsedRecognizer:
    return ParsedRecognizer(compile_grammar(grammar, BYTES))


def fewest_bytes(recognizer: ParsedRecognizer, configuration: int) -> int:
    """By trying all bytes."""
    alphabet = b"()[]a,0<>xyzbeginendpq!+*n"
    distance = {configuration: 0}
    agenda = deque([configuration])
    while agenda:
        here = agenda.popleft()
        if recognizer.may_end(here):
            return distance[here]
        for byte in sorted(set(alphabet)):
            after = recognizer.step(here, byte)
            if after and after not in distance:
                distance[after] = distance[here] + 1
                agenda.append(after)
    raise AssertionError("every beginning has an end")


@pytest.mark.parametrize("name", GRAMMARS)
def test_bounds_are_what_the_shortest_end_takes(name):
    recognizer = recognizer_of(load_lark(GRAMMARS[name]))
    assert isinstance(recognizer.stacks, LinearStacks)
    ends = ShortestEnds(recognizer.lexer, recognizer.parser, recognizer.stacks)
    for text in BEGINNINGS[name]:
        here = recognizer.start
        for byte in text.encode():
            here = recognizer.step(here, byte)
        assert here, text
        after = [p for h in recognizer.content(here)[1] for _, p in recognizer._committed(h)]
        stacks = after or [h.parser for h in recognizer.content(here)[1]]
        assert min(map(ends.to_end, stacks)) == fewest_bytes(recognizer, here), text


def cheapest_way(ends: ShortestEnds, stacks: LinearStacks, node: int) -> int:
    """Dijkstra over all stacks that ways to finish rules lead to."""
    best, agenda = {node: 0}, [(0, node)]
    while agenda:
        distance, here = heappop(agenda)
        if distance > best[here]:
            continue
        if here == BOTTOM or ends._parser.shift[stacks.state[here], ends._end] >= 0:
            return distance
        found = [(distance + ends._whole, BOTTOM)] if stacks.parent[here] == BOTTOM else []
        for (popped, lhs), cost in ends._finishes[stacks.state[here]].items():
            base = here
            for _ in range(popped):
                base = stacks.parent[base] if base != BOTTOM else BOTTOM
            if base != BOTTOM and ends._goto[stacks.state[base]][lhs] >= 0:
                found.append((distance + cost, stacks.push(base, ends._goto[stacks.state[base]][lhs])))
        for total, after in found:
            if total < best.get(after, FAR):
                best[after] = total
                heappush(agenda, (total, after))
    return FAR


@pytest.mark.parametrize("name", [*GRAMMARS, "sql"])
def test_shorter_stacks_answer_for_longer_ones(name):
    """Against a search that knows nothing; stacks of random beginnings, some of them deep."""
    recognizer = recognizer_of(load_lark(SQL, start="select") if name == "sql" else load_lark(GRAMMARS[name]))
    stacks = recognizer.stacks
    assert isinstance(stacks, LinearStacks)
    ends = ShortestEnds(recognizer.lexer, recognizer.parser, stacks)
    rng = np.random.default_rng(7)
    for _ in range(30):
        node = stacks.first
        for _ in range(int(rng.integers(1, 40))):
            after = [stacks.shift(node, terminal) for terminal in bits(stacks.acceptable(node))]
            nexts = [found[0] for found in after if found]
            if not nexts:
                break
            node = nexts[int(rng.integers(len(nexts)))]
            assert ends.to_end(node) == cheapest_way(ends, stacks, node)


def test_a_deep_stack_is_no_recursion():
    recognizer = recognizer_of(load_lark(GRAMMARS["brackets"]))
    stacks = recognizer.stacks
    assert isinstance(stacks, LinearStacks)
    ends = ShortestEnds(recognizer.lexer, recognizer.parser, stacks)
    opened = next(t for t in bits(stacks.acceptable(stacks.first)) if stacks.shift(*stacks.shift(stacks.first, t), t))
    node, depth = stacks.first, 5_000
    for _ in range(depth):
        (node,) = stacks.shift(node, opened)
    # Between brackets at least the one that closes and what stands inside.
    assert ends.to_end(node) >= depth + 1


def test_lexemes_count_from_where_they_are():
    recognizer = recognizer_of(load_lark(GRAMMARS["lists"]))
    assert isinstance(recognizer.stacks, LinearStacks)
    ends = ShortestEnds(recognizer.lexer, recognizer.parser, recognizer.stacks)
    (hypothesis,) = recognizer.content(recognizer.step(recognizer.start, ord("b")))[1]
    (terminal,) = [t for t in range(64) if recognizer.plain_lexer.alive(hypothesis.lexer) >> t & 1]
    assert ends.bytes_to_lexeme(hypothesis.lexer, terminal) == len("egin")


@pytest.mark.parametrize("depth", [10, 20])
def test_a_search_goes_straight_to_the_end(depth):
    """Without its guide the first of these took all the steps there are."""
    grammar = replace(load_lark(GRAMMARS["brackets"]), conditions=(Limit("chars", None, 3 * depth + 5),))
    automaton = TokenAutomaton(compile_grammar(grammar, BYTES), None)
    completion = automaton._completion
    assert completion is not None
    state = automaton.start
    for _ in range(depth):
        automaton.mask(state)
        state = automaton.next(state, ord("("))
    assert completion.undecided == 0
    assert 100_000 - completion._steps_left < 60 * depth


def test_masks_keep_to_a_limit_that_closing_needs():
    """Six characters: `((a)a)` has none left for another bracket."""
    grammar = replace(load_lark(GRAMMARS["left"]), conditions=(Limit("chars", None, 6),))
    automaton = TokenAutomaton(compile_grammar(grammar, BYTES), None)

    def allowed(text: str) -> set[str]:
        state = automaton.start
        for byte in text.encode():
            state = automaton.next(state, byte)
        mask = automaton.mask(state)
        return {chr(byte) for byte in range(128) if mask[byte >> 5] >> (byte & 31) & 1}

    assert allowed("((") == {"n"}
    assert allowed("(n") == {"+", "*", ")"}
    assert allowed("(n+n") == {")"}
    assert allowed("((n") == {")"}
