"""Masks as numbers of rows: groups of tokens run against the parser's stack, and what was read is remembered.

A mask depends on a position, the LR state on top, and as much of the stack as its evaluation read. Per
(position, top state) a *decision* keeps the row of the groups that these two already allow and the list of groups
that need more of the stack. Below it, *branches* lead by the LR states further down to the finished row. The key is
exact: an evaluation reads the stack from the top, and what it reads next follows from what it has read.
"""

from __future__ import annotations

import numpy as np

from smcdsl.automaton.grouping import (
    B_GROUPS,
    B_ROW_AT,
    B_SEQUENCES,
    B_TOKEN_AT,
    ENDS,
    GROUP_COUNT,
    GROUP_END,
    GROUP_FIRST,
    GROUP_ROW,
    GROUP_SEQUENCE,
    SEQ_CODE,
    SEQ_PARENT,
    SEQ_TERMINAL,
    group_at,
    sequence_at,
)
from smcdsl.automaton.interning import find, first_of, forget, intern, second_of, used
from smcdsl.automaton.layout import (
    ARGUMENT,
    ASK,
    BRANCH_AGE,
    BRANCH_ROW,
    BRANCHES,
    CLOCK,
    CONFIGS,
    DECISION_AGE,
    DECISION_BASE,
    DECISION_LIST,
    DECISION_TREE,
    DECISIONS,
    DONE,
    ENDS_NOW,
    FIRST_TOKEN,
    FLAG,
    FOLLOWING,
    FORKED,
    FREE_ROWS,
    FULL,
    HYPOTHESES,
    HYPOTHESIS_POSSIBLE,
    IGNORED,
    IS_LOCAL,
    LIST_POOL,
    LISTS,
    LOW,
    LOW_AT,
    MASK_WORDS,
    MAX_LISTED,
    NO,
    NODE_AT,
    NODE_HEIGHT,
    NODES,
    NUM_FOLLOWING,
    NUM_FREE,
    NUM_LISTED,
    NUM_MODES,
    NUM_STATES,
    NUM_TERMINALS,
    NUM_TRIE,
    OMEGA_BLOCK,
    OMEGA_ENDS,
    OMEGA_Q,
    PLACE_AGE,
    PLACE_ROW,
    PLACES,
    ROW_AGE,
    ROW_HASH,
    ROW_POOL,
    ROW_STAMP,
    ROW_TABLE,
    ROW_TABLE_MASK,
    ROWS,
    SCRATCH_ROW,
    SETS,
    START_OF,
    TAIL_NOW,
    TRIE_BYTE,
    TRIE_SKIP,
    TRIE_TOKENS,
    UNBUILT,
    VERDICTS,
)
from smcdsl.automaton.lexing import free_terminals
from smcdsl.automaton.memory import i32, i64, njit, set_i32, set_i64, set_u64, u8, u64
from smcdsl.automaton.parsing import accepts_end, begins_alike, below, shift, state_of, union, viable, viable_of
from smcdsl.automaton.tails import load_tails

UNDECIDED, NEVER, ALWAYS = 0, 1, 2
_FAR = 1 << 40


@njit()
def keep_row(t: int) -> int:
    """The number of the row that equals SCRATCH_ROW, entered if it is new."""
    words = i64(t, MASK_WORDS)
    scratch = i64(t, SCRATCH_ROW)
    one, two = np.uint64(0x243F6A8885A308D3), np.uint64(0x13198A2E03707344)
    three, four = np.uint64(0xA4093822299F31D0), np.uint64(0x082EFA98EC4E6C89)
    factor = np.uint64(0x9E3779B97F4A7C15)
    for i in range(0, words - 3, 4):
        one = (one ^ u64(scratch, i)) * factor
        two = (two ^ u64(scratch, i + 1)) * factor
        three = (three ^ u64(scratch, i + 2)) * factor
        four = (four ^ u64(scratch, i + 3)) * factor
        one ^= one >> np.uint64(32)
        two ^= two >> np.uint64(32)
        three ^= three >> np.uint64(32)
        four ^= four >> np.uint64(32)
    for i in range(words & ~3, words):
        one = (one ^ u64(scratch, i)) * factor
        one ^= one >> np.uint64(32)
    mixed = (one ^ (two * factor) ^ (three * factor * factor) ^ (four >> np.uint64(7))) * factor
    digest = np.int64(mixed >> np.uint64(1))
    mask, table, digests = i64(t, ROW_TABLE_MASK), i64(t, ROW_TABLE), i64(t, ROW_HASH)
    slot = digest & mask
    while True:
        row = i32(table, slot)
        if row < 0:
            break
        if i64(digests, row) == digest:
            stored = i64(t, ROWS) + 8 * words * row
            same = True
            for i in range(words):
                if u64(stored, i) != u64(scratch, i):
                    same = False
                    break
            if same:
                set_i64(i64(t, ROW_STAMP), row, i64(t, CLOCK))
                return row
        slot = (slot + 1) & mask
    free = i64(t, NUM_FREE)
    if free == 0:
        set_i64(t, FLAG, ROW_POOL + 1)
        return 0
    row = i32(i64(t, FREE_ROWS), free - 1)
    set_i64(t, NUM_FREE, free - 1)
    set_i32(table, slot, row)
    set_i64(digests, row, digest)
    set_i64(i64(t, ROW_STAMP), row, i64(t, CLOCK))
    stored = i64(t, ROWS) + 8 * words * row
    for i in range(words):
        set_u64(stored, i, u64(scratch, i))
    return row


@njit(inline="always")
def is_fresh(t, row, age):  # type: ignore[no-untyped-def]
    """Whether a remembered row is still what it was; if so it counts as used."""
    if row < 0 or i32(i64(t, ROW_AGE), row) != age:
        return False
    set_i64(i64(t, ROW_STAMP), row, i64(t, CLOCK))
    return True


@njit()
def clear_scratch(t: int) -> None:
    """Begin a row."""
    scratch = i64(t, SCRATCH_ROW)
    for i in range(i64(t, MASK_WORDS)):
        set_u64(scratch, i, np.uint64(0))


@njit()
def copy_to_scratch(t: int, row: int) -> None:
    """Begin a row with another."""
    words = i64(t, MASK_WORDS)
    scratch, stored = i64(t, SCRATCH_ROW), i64(t, ROWS) + 8 * words * row
    for i in range(words):
        set_u64(scratch, i, u64(stored, i))


@njit()
def add_row(t: int, bits: int) -> None:
    """Add the bits at an address to the row."""
    scratch = i64(t, SCRATCH_ROW)
    for i in range(i64(t, MASK_WORDS)):
        set_u64(scratch, i, u64(scratch, i) | u64(bits, i))


@njit(inline="always")
def add_token(t: int, token: int) -> None:
    """Add a token to the row."""
    scratch = i64(t, SCRATCH_ROW)
    set_u64(scratch, token >> 6, u64(scratch, token >> 6) | (np.uint64(1) << np.uint64(token & 63)))


@njit()
def add_group(t: int, block: int, group: int) -> None:
    """Add a group's tokens to the row."""
    at = group_at(block, group)
    row = i32(at, GROUP_ROW)
    if row >= 0:
        add_row(t, block + 4 * (i32(block, B_ROW_AT) + 2 * i64(t, MASK_WORDS) * row))
        return
    tokens = block + 4 * i32(block, B_TOKEN_AT)
    scratch = i64(t, SCRATCH_ROW)
    first = i32(at, GROUP_FIRST)
    for i in range(first, first + i32(at, GROUP_COUNT)):
        token = i32(tokens, i)
        set_u64(scratch, token >> 6, u64(scratch, token >> 6) | (np.uint64(1) << np.uint64(token & 63)))


@njit()
def run_sequence(t: int, block: int, number: int, node: int) -> None:
    """Parse one sequence after its parent: NODE_AT and LOW_AT of it."""
    nodes, lows = i64(t, NODE_AT), i64(t, LOW_AT)
    if number == 0:
        set_i32(nodes, 0, node)
        set_i32(lows, 0, i32(i64(t, NODE_HEIGHT), node))
        return
    at = sequence_at(block, number)
    parent = i32(at, SEQ_PARENT)
    before = i32(nodes, parent)
    set_i64(t, LOW, i32(lows, parent))
    after = np.int64(NO)
    if before >= 0:
        terminal, code = i32(at, SEQ_TERMINAL), i32(at, SEQ_CODE)
        if terminal == i64(t, NUM_TERMINALS) - 1:
            after = before if accepts_end(t, before) else np.int64(NO)
        elif u8(i64(t, IGNORED), terminal):
            after = those_alike(t, before, code)
        else:
            after = shift(t, before, terminal, code)
    set_i32(nodes, number, after)
    set_i32(lows, number, i64(t, LOW))


@njit(inline="always")
def read_top(t: int, node: int) -> int:
    """The LR state on top of a node, or of one of its several stacks."""
    while state_of(t, node) < 0:
        set_i64(t, LOW, min(i64(t, LOW), i32(i64(t, NODE_HEIGHT), node)))
        node = second_of(t, SETS, -below(t, node))
    return state_of(t, node)


@njit()
def those_alike(t: int, node: int, code: int) -> int:
    """The node of those stacks of a node after which the next lexeme begins as a code says, or NO.

    Stacks of one node need not agree on that: before something ignored only its first byte has told them apart.
    """
    top = state_of(t, node)
    if top >= 0:
        return node if begins_alike(t, top, code) else NO
    set_i64(t, LOW, min(i64(t, LOW), i32(i64(t, NODE_HEIGHT), node)))
    set_i64(t, FORKED, 1)
    found: int = NO
    rest = -below(t, node)
    while rest > 0:
        one = second_of(t, SETS, rest)
        if begins_alike(t, state_of(t, one), code):
            found = one if found < 0 else union(t, found, one)
        rest = first_of(t, SETS, rest)
    return found


@njit()
def start_at(t: int, node: int, mode: int) -> int:
    """The lexer state in which the next lexeme begins after the first stack of a node; see `those_alike`."""
    return i32(i64(t, START_OF), read_top(t, node) * i64(t, NUM_MODES) + mode)


@njit()
def judge(t: int, block: int, group: int) -> int:
    """1 if the parser allows a group after its sequence, 0 if not, NO if a search must tell first."""
    at = group_at(block, group)
    number, end = i32(at, GROUP_SEQUENCE), i32(at, GROUP_END)
    node = i32(i64(t, NODE_AT), number)
    set_i64(t, LOW, i32(i64(t, LOW_AT), number))
    if node < 0:
        return 0
    if end == ENDS:
        return 1
    if end >= 0:
        return 1 if viable(t, end, node) else 0
    here = i32(i64(t, ENDS_NOW), -2 - end)
    if not viable(t, i32(i64(t, OMEGA_Q), here), node):
        return 0
    if i64(t, IS_LOCAL) and viable_of(t, free_terminals(t, here), node):
        return 1
    # The search looks at the whole stack, and the node must stay for whoever asks.
    set_i64(t, LOW, 0)
    set_i64(t, FORKED, 1)
    hypothesis = intern(t, HYPOTHESES, here, node)
    known = i32(i64(t, HYPOTHESIS_POSSIBLE), hypothesis)
    if known < 0:
        set_i64(t, ARGUMENT, hypothesis)
    return known


@njit()
def add_listed(t: int, value: int) -> None:
    """Append to the lists of decisions."""
    count = i64(t, NUM_LISTED)
    if count >= i64(t, MAX_LISTED):
        set_i64(t, FLAG, LIST_POOL + 1)
        return
    set_i32(i64(t, LISTS), count, value)
    set_i64(t, NUM_LISTED, count + 1)


@njit()
def release(t: int, mark: int) -> None:
    """Forget stacks made while a mask was evaluated, unless someone may refer to them."""
    if i64(t, FORKED):
        return
    heights = i64(t, NODE_HEIGHT)
    for node in range(mark, used(t, NODES)):
        set_i32(heights, node, NO)
    forget(t, NODES, mark)


@njit(inline="always")
def decide(t: int, here: int, node: int, block: int) -> int:
    """Evaluate all groups of a position for a stack: the row; the decision for its top state is kept. NO: ask."""
    top = i32(i64(t, NODE_HEIGHT), node)
    mark = used(t, NODES)
    set_i64(t, FORKED, 0)
    set_i64(t, ENDS_NOW, i64(i64(t, OMEGA_ENDS), here))
    for number in range(i32(block, B_SEQUENCES)):
        run_sequence(t, block, number, node)
    verdicts = i64(t, VERDICTS)
    groups = i32(block, B_GROUPS)
    clear_scratch(t)
    deepest, waiting = np.int64(top), 0
    for group in range(groups):
        verdict = judge(t, block, group)
        if verdict < 0:
            return NO
        low = i64(t, LOW)
        if low >= top:
            set_i32(verdicts, group, NEVER)
            if verdict:
                add_group(t, block, group)
        else:
            deepest = min(deepest, low)
            waiting += 1
            set_i32(verdicts, group, ALWAYS if verdict else UNDECIDED)
    base = keep_row(t)
    # The scratch row still holds the base. What needs the stack comes on top of it for this stack only.
    first = i64(t, NUM_LISTED)
    row = base
    if waiting:
        nodes = i64(t, NODE_AT)
        for number in range(i32(block, B_SEQUENCES)):
            set_i32(nodes, number, 0)
        for group in range(groups):
            if i32(verdicts, group) != NEVER:
                if i32(verdicts, group) == ALWAYS:
                    add_group(t, block, group)
                number = i32(group_at(block, group), GROUP_SEQUENCE)
                while number > 0 and i32(nodes, number) == 0:
                    set_i32(nodes, number, 1)
                    number = i32(sequence_at(block, number), SEQ_PARENT)
        row = keep_row(t)
        needed = 0
        add_listed(t, 0)
        for number in range(1, i32(block, B_SEQUENCES)):
            if i32(nodes, number):
                add_listed(t, number)
                needed += 1
        if i64(t, FLAG) == 0:
            set_i32(i64(t, LISTS), first, needed)
        add_listed(t, waiting)
        for group in range(groups):
            if i32(verdicts, group) != NEVER:
                add_listed(t, group)
    release(t, mark)
    if i64(t, FLAG):
        return row
    decision = intern(t, DECISIONS, here, second_of(t, NODES, node))
    tree = intern(t, BRANCHES, -1 - decision, 0)
    if i64(t, FLAG):
        return row
    set_i32(i64(t, DECISION_BASE), decision, base)
    set_i32(i64(t, DECISION_AGE), decision, i32(i64(t, ROW_AGE), base))
    set_i32(i64(t, DECISION_LIST), decision, first if waiting else NO)
    set_i32(i64(t, DECISION_TREE), decision, tree)
    remember(t, tree, node, deepest, row)
    return row


@njit(inline="always")
def refine(t: int, here: int, node: int, block: int, decision: int) -> int:
    """Evaluate what a decision leaves open for a stack: the row, kept at its branch. NO: ask."""
    mark = used(t, NODES)
    set_i64(t, FORKED, 0)
    set_i64(t, ENDS_NOW, i64(i64(t, OMEGA_ENDS), here))
    lists, at = i64(t, LISTS), i32(i64(t, DECISION_LIST), decision)
    run_sequence(t, block, 0, node)
    needed = i32(lists, at)
    for i in range(at + 1, at + 1 + needed):
        run_sequence(t, block, i32(lists, i), node)
    at += 1 + needed
    copy_to_scratch(t, i32(i64(t, DECISION_BASE), decision))
    deepest = np.int64(_FAR)
    for i in range(at + 1, at + 1 + i32(lists, at)):
        group = i32(lists, i)
        verdict = judge(t, block, group)
        if verdict < 0:
            return NO
        deepest = min(deepest, i64(t, LOW))
        if verdict:
            add_group(t, block, group)
    row = keep_row(t)
    release(t, mark)
    if i64(t, FLAG) == 0:
        remember(t, i32(i64(t, DECISION_TREE), decision), node, deepest, row)
    return row


@njit(inline="always")
def read_at(t, node):  # type: ignore[no-untyped-def]
    """What a branch goes by: the LR state, or the whole of several stacks."""
    content = second_of(t, NODES, node)
    return content if content >= 0 else i64(t, NUM_STATES) + node


@njit()
def remember(t: int, branch: int, node: int, deepest: int, row: int) -> None:
    """Put a row at the branch for the stack from `node` down to height `deepest`."""
    heights = i64(t, NODE_HEIGHT)
    while i32(heights, node) > deepest and state_of(t, node) >= 0:
        set_i32(i64(t, BRANCH_ROW), branch, NO)
        node = below(t, node)
        branch = intern(t, BRANCHES, branch, read_at(t, node))
        if i64(t, FLAG):
            return
    set_i32(i64(t, BRANCH_ROW), branch, row)
    set_i32(i64(t, BRANCH_AGE), branch, i32(i64(t, ROW_AGE), row))


@njit()
def row_of(t: int, here: int, node: int) -> int:
    """The row of a position and a stack. NO: a block is missing or a search must tell, see ARGUMENT and CODE."""
    decision = find(t, DECISIONS, here, second_of(t, NODES, node))
    if decision >= 0:
        branch, at = i32(i64(t, DECISION_TREE), decision), node
        while branch >= 0:
            row = i32(i64(t, BRANCH_ROW), branch)
            if row >= 0:
                if is_fresh(t, row, i32(i64(t, BRANCH_AGE), branch)):
                    return row
                break
            if state_of(t, at) < 0 or at <= 1:
                break
            at = below(t, at)
            branch = find(t, BRANCHES, branch, read_at(t, at))
    block = i64(i64(t, OMEGA_BLOCK), here)
    if block == 0:
        set_i64(t, ARGUMENT, -here)
        return NO
    if decision >= 0:
        base = i32(i64(t, DECISION_BASE), decision)
        if is_fresh(t, base, i32(i64(t, DECISION_AGE), decision)):
            if i32(i64(t, DECISION_LIST), decision) < 0:
                remember(t, i32(i64(t, DECISION_TREE), decision), node, i32(i64(t, NODE_HEIGHT), node), base)
                return base
            return refine(t, here, node, block, decision)
    return decide(t, here, node, block)


@njit(inline="always")
def row_of_stacks(t: int, here: int, node: int) -> int:
    """The row of a position and any node: for several stacks the union of theirs. NO as `row_of`."""
    if state_of(t, node) >= 0:
        return row_of(t, here, node)
    rest = -below(t, node)
    row = row_of(t, here, second_of(t, SETS, rest))
    rest = first_of(t, SETS, rest)
    while rest > 0 and row >= 0:
        other = row_of(t, here, second_of(t, SETS, rest))
        row = join(t, row, other) if other >= 0 else np.int64(NO)
        rest = first_of(t, SETS, rest)
    return row


@njit()
def join(t: int, row: int, other: int) -> int:
    """The row with the tokens of both."""
    if row == other:
        return row
    copy_to_scratch(t, row)
    add_row(t, i64(t, ROWS) + 8 * i64(t, MASK_WORDS) * other)
    return keep_row(t)


@njit(inline="always")
def row_of_place(t: int, place: int) -> int:
    """The row of a place, from memory or made; NO as `row_of`."""
    known = i32(i64(t, PLACE_ROW), place)
    if is_fresh(t, known, i32(i64(t, PLACE_AGE), place)):
        return known
    config, tails = first_of(t, PLACES, place), second_of(t, PLACES, place)
    row = NO
    if config == 0 or tails > 0:
        clear_scratch(t)
        if tails > 0:
            add_tail_tokens(t, tails)
        row = keep_row(t)
    while config > 0:
        hypothesis = second_of(t, CONFIGS, config)
        other = row_of_stacks(t, first_of(t, HYPOTHESES, hypothesis), second_of(t, HYPOTHESES, hypothesis))
        if other < 0:
            return NO
        row = other if row < 0 else join(t, row, other)
        config = first_of(t, CONFIGS, config)
    if i64(t, FLAG) == 0:
        set_i32(i64(t, PLACE_ROW), place, row)
        set_i32(i64(t, PLACE_AGE), place, i32(i64(t, ROW_AGE), row))
    return row


@njit(inline="always")
def add_tail_tokens(t: int, tails: int) -> None:
    """Add the tokens that go on with the following text after some of it."""
    load_tails(t, tails)
    following, length = i64(t, FOLLOWING), i64(t, NUM_FOLLOWING)
    now = i64(t, TAIL_NOW)
    for written in range(1, length):
        if not (u64(now, written >> 6) >> np.uint64(written & 63)) & np.uint64(1):
            continue
        node, end = np.int64(1), i64(t, NUM_TRIE)
        at = written
        while node < end and at < length:
            if u8(i64(t, TRIE_BYTE), node) != u8(following, at):
                node = i32(i64(t, TRIE_SKIP), node)
                continue
            for i in range(i32(i64(t, FIRST_TOKEN), node), i32(i64(t, FIRST_TOKEN), node + 1)):
                add_token(t, i32(i64(t, TRIE_TOKENS), i))
            end = i32(i64(t, TRIE_SKIP), node)
            node += 1
            at += 1


@njit(inline="always")
def explain(t: int) -> int:
    """Why a row could not be had: FULL, UNBUILT or ASK."""
    if i64(t, FLAG):
        return FULL
    if i64(t, ARGUMENT) < 0:
        return UNBUILT
    return ASK if i64(t, ARGUMENT) > 0 else DONE
