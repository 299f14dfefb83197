"""LR parsing on interned stacks, as kernels.

A *node* stands for a stack: LR state on top of the node below. A node with state -1 stands for several stacks,
a set of nodes with distinct states. Sets come from conflicts only (generalised parsing), and equal sets are one
node; grammars without conflicts never leave the first few lines. Tables with conflicts have no empty productions
and no unit cycles, so a reduction always goes to older nodes, and ends.

LOW keeps the least height at which a state was read: what a result depends on is the stack down to there.

Source of the graph-structured stack: Tomita (1986); here it is a value.
"""

from __future__ import annotations

import numpy as np

from smcdsl.automaton.interning import add_distinct, find, first_of, intern, second_of
from smcdsl.automaton.layout import (
    ACCESS,
    ACTION,
    AGENDA,
    ALIVE,
    BASE,
    CHECK_STARTS,
    CLOSED,
    COLUMN,
    COLUMN_NOW,
    CONFLICT,
    DEDENT,
    DEDENTED,
    ENDINGS,
    ENDINGS_START,
    FIRST_REDUCE,
    FLAG,
    FORKED,
    GOTO,
    HAS_LINES,
    HEIGHT_ABOVE,
    IGNORED,
    INDENT,
    INDENTED,
    LENGTH,
    LEVEL,
    LEVEL_NEXT,
    LHS,
    LOW,
    MODE,
    MOST_COLUMNS,
    NEXT_STATE,
    NO,
    NODE_FRAME,
    NODE_HEIGHT,
    NODES,
    NUM_MODES,
    NUM_NONTERMINALS,
    NUM_TERMINALS,
    NUM_WORDS,
    OPENED,
    POSSIBLE,
    PUSHED,
    REDUCE,
    RESULTS,
    SCRATCH,
    SETS,
    SHIFT,
    SHIFTABLE,
    START_OF,
    STATE_BITS,
    UNION,
    UNIONS,
    WANTED,
)
from smcdsl.automaton.memory import i32, i64, njit, set_i32, set_i64, u8, u64

FORKS = -2
STATE_MASK = (1 << STATE_BITS) - 1


@njit(inline="always")
def state_of(t, node):  # type: ignore[no-untyped-def]
    """The LR state on top, -1 for several stacks."""
    content = second_of(t, NODES, node)
    return content & STATE_MASK if content >= 0 else content


@njit(inline="always")
def below(t, node):  # type: ignore[no-untyped-def]
    """The node below."""
    return first_of(t, NODES, node)


@njit()
def push(t: int, node: int, state: int) -> int:
    """The stack with `state` on top of `node`; 0, with FLAG set, if there is no room."""
    content = state
    if i64(t, HAS_LINES) and u8(i64(t, ACCESS), state) == INDENTED:
        content += (i64(t, COLUMN_NOW) + 1) << STATE_BITS
    new = intern(t, NODES, node, content)
    heights = i64(t, NODE_HEIGHT)
    if new > 0 and i32(heights, new) < 0:
        set_i32(heights, new, i32(heights, node) + 1)
        if i64(t, HAS_LINES):
            set_i32(i64(t, NODE_FRAME), new, _frame_after(t, node, new, u8(i64(t, ACCESS), state)))
    return new


@njit(inline="always")
def _frame_after(t: int, node: int, new: int, access: int) -> int:
    """The innermost open bracket or block of the stack `new`, which is one state on top of `node`."""
    frames = i64(t, NODE_FRAME)
    if access in (OPENED, INDENTED):
        return new
    frame = i32(frames, node)
    if access in (CLOSED, DEDENTED) and frame > 0:
        return i32(frames, below(t, frame))
    return frame


@njit()
def read_frame(t: int, node: int) -> int:
    """The innermost open bracket or block; looking for it reads the stack down to there."""
    frame = i32(i64(t, NODE_FRAME), node)
    height = i32(i64(t, NODE_HEIGHT), frame) if frame > 0 else 0
    set_i64(t, LOW, min(i64(t, LOW), height))
    return frame


@njit()
def in_brackets(t: int, frame: int) -> bool:
    """Whether an innermost open thing is a bracket."""
    return frame > 0 and u8(i64(t, ACCESS), state_of(t, frame)) == OPENED


@njit()
def column_of(t: int, frame: int) -> int:
    """The column of the lines of a block."""
    return (second_of(t, NODES, frame) >> STATE_BITS) - 1 if frame > 0 else 0


@njit(inline="always")
def lowest(bits):  # type: ignore[no-untyped-def]
    """The number of the lowest bit of a word that is not zero."""
    number = 0
    for width in (32, 16, 8, 4, 2, 1):
        if bits & ((np.uint64(1) << np.uint64(width)) - np.uint64(1)) == np.uint64(0):
            number += width
            bits >>= np.uint64(width)
    return number


@njit()
def settle(t: int, node: int, terminal: int) -> int:
    """Do all reductions before `terminal`: the next state, NO, or FORKS where stacks fork.

    BASE and HEIGHT_ABOVE tell the node below and how many states of PUSHED are on it.
    """
    action, num_terminals = i64(t, ACTION), i64(t, NUM_TERMINALS)
    pushed, heights = i64(t, PUSHED), i64(t, NODE_HEIGHT)
    base, height, low = node, 0, i64(t, LOW)
    state = state_of(t, base)
    result = NO
    while True:
        if state < 0:
            result = FORKS
            break
        act = i32(action, state * num_terminals + terminal)
        if act > 0:
            result = act - 1
            break
        if act == 0:
            break
        if act == CONFLICT:
            result = FORKS
            break
        production = -act - 1
        length = i32(i64(t, LENGTH), production)
        popped = min(length, height)
        height -= popped
        length -= popped
        while length > 0 and state_of(t, base) >= 0:
            base = below(t, base)
            length -= 1
        if height > 0:
            state = i32(pushed, height - 1)
        else:
            state = state_of(t, base)
            low = min(low, i32(heights, base))
            if state < 0:
                result = FORKS
                break
        state = i32(i64(t, GOTO), state * i64(t, NUM_NONTERMINALS) + i32(i64(t, LHS), production))
        set_i32(pushed, height, state)
        height += 1
        if height >= SCRATCH:
            set_i64(t, FLAG, -1)
            break
    if result != FORKS:
        set_i64(t, LOW, low)
        set_i64(t, BASE, base)
        set_i64(t, HEIGHT_ABOVE, height)
    return result


@njit()
def begins_alike(t: int, state: int, code: int) -> bool:
    """Whether after an LR state the next lexeme begins as a code says, see `lexing.code_of`."""
    start, byte = code >> 8, code & 255
    own = i32(i64(t, START_OF), state * i64(t, NUM_MODES) + i32(i64(t, MODE), start))
    return own == start or i32(i64(t, NEXT_STATE), 256 * own + byte) == i32(i64(t, NEXT_STATE), code)


@njit()
def shift_one(t: int, node: int, terminal: int, code: int) -> int:
    """`shift` of a terminal that is no line break."""
    target = settle(t, node, terminal)
    if target == FORKS:
        after = fork(t, node, terminal, code, False)
        return after if after > 0 else NO
    if target < 0:
        return NO
    if code >= 0 and i64(t, CHECK_STARTS) and not begins_alike(t, target, code):
        return NO
    pushed = i64(t, PUSHED)
    base = i64(t, BASE)
    for i in range(i64(t, HEIGHT_ABOVE)):
        base = push(t, base, i32(pushed, i))
    after = push(t, base, target)
    return after if after > 0 else NO


@njit()
def shift(t: int, node: int, terminal: int, code: int) -> int:
    """The node after `terminal` if the next lexeme then begins as `code` says, else NO. With `code` NO any will do."""
    if i64(t, HAS_LINES) and i32(i64(t, COLUMN), terminal) >= 0:
        return after_line(t, node, terminal, code)
    return shift_one(t, node, terminal, code)


@njit()
def after_line(t: int, node: int, terminal: int, code: int) -> int:
    """`shift` of a line break, with the indent or the dedents that its column brings; in brackets nothing changes."""
    frame = read_frame(t, node)
    after = node
    if not in_brackets(t, frame):
        column = i32(i64(t, COLUMN), terminal)
        if column > i64(t, MOST_COLUMNS):
            return NO
        after = shift_one(t, node, terminal, NO)
        if after >= 0 and column > column_of(t, frame):
            set_i64(t, COLUMN_NOW, column)
            after = shift_one(t, after, i64(t, INDENT), NO)
        else:
            while after >= 0 and column < column_of(t, frame):
                after = shift_one(t, after, i64(t, DEDENT), NO)
                if after >= 0:
                    frame = read_frame(t, after)
            if column != column_of(t, frame):
                return NO
    if after < 0 or code < 0 or not i64(t, CHECK_STARTS):
        return after
    return after if begins_alike(t, state_of(t, after), code) else NO


@njit()
def acceptable(t: int, node: int, terminal: int) -> bool:
    """Whether `terminal` can be shifted next, after reductions."""
    if i64(t, HAS_LINES) and i32(i64(t, COLUMN), terminal) >= 0:
        return after_line(t, node, terminal, NO) >= 0
    target = settle(t, node, terminal)
    if target == FORKS:
        return fork(t, node, terminal, NO, True) != 0
    return target >= 0


@njit()
def accepts_end(t: int, node: int) -> bool:
    """Whether the text may end here: open blocks end with it."""
    if i64(t, HAS_LINES):
        frame = read_frame(t, node)
        while node >= 0 and frame > 0 and not in_brackets(t, frame):
            node = shift_one(t, node, i64(t, DEDENT), NO)
            if node >= 0:
                frame = read_frame(t, node)
        if node < 0:
            return False
    return acceptable(t, node, i64(t, NUM_TERMINALS) - 1)


@njit()
def members(t: int, node: int, into: int) -> int:
    """Write the nodes that a node stands for into an array; how many."""
    if state_of(t, node) >= 0:
        set_i32(into, 0, node)
        return 1
    count = 0
    rest = -below(t, node)
    while rest > 0:
        set_i32(into, count, second_of(t, SETS, rest))
        rest = first_of(t, SETS, rest)
        count += 1
    return count


@njit()
def fork(t: int, node: int, terminal: int, code: int, ask: bool) -> int:
    """`shift` along every action of the tables: a node, or 0. With `ask` 1 as soon as something can be shifted."""
    agenda, results, level, onward = i64(t, AGENDA), i64(t, RESULTS), i64(t, LEVEL), i64(t, LEVEL_NEXT)
    shifts, heights = i64(t, SHIFT), i64(t, NODE_HEIGHT)
    num_terminals = i64(t, NUM_TERMINALS)
    set_i64(t, FORKED, 1)
    found, done = 0, 0
    waiting = members(t, node, agenda)
    while done < waiting and i64(t, FLAG) == 0:
        top = i32(agenda, done)
        done += 1
        state = state_of(t, top)
        set_i64(t, LOW, min(i64(t, LOW), i32(heights, top)))
        target = i32(shifts, state * num_terminals + terminal)
        if target >= 0:
            if ask:
                return 1
            if code < 0 or not i64(t, CHECK_STARTS) or begins_alike(t, target, code):
                found = add_distinct(t, results, found, push(t, top, target))
        cell = state * num_terminals + terminal
        for i in range(i32(i64(t, FIRST_REDUCE), cell), i32(i64(t, FIRST_REDUCE), cell + 1)):
            production = i32(i64(t, REDUCE), i)
            set_i32(level, 0, top)
            count = 1
            for _ in range(i32(i64(t, LENGTH), production)):
                more = 0
                for k in range(count):
                    under = below(t, i32(level, k))
                    if state_of(t, under) >= 0:
                        more = add_distinct(t, onward, more, under)
                    else:
                        set_i64(t, LOW, min(i64(t, LOW), i32(heights, under)))
                        rest = -below(t, under)
                        while rest > 0:
                            more = add_distinct(t, onward, more, second_of(t, SETS, rest))
                            rest = first_of(t, SETS, rest)
                level, onward = onward, level
                count = more
            for k in range(count):
                under = i32(level, k)
                set_i64(t, LOW, min(i64(t, LOW), i32(heights, under)))
                goto = i32(i64(t, GOTO), state_of(t, under) * i64(t, NUM_NONTERMINALS) + i32(i64(t, LHS), production))
                if goto >= 0:
                    waiting = add_distinct(t, agenda, waiting, push(t, under, goto))
    if ask or found == 0:
        return 0
    result = i32(results, 0)
    for i in range(1, found):
        result = union(t, result, i32(results, i))
    return result


@njit()
def known_union(t: int, first: int, second: int) -> int:
    """The node for all stacks of two nodes if it was made before, else NO."""
    if first == second:
        return first
    entry = find(t, UNIONS, min(first, second), max(first, second))
    # An entry without a node is one whose making was cut off by a pool that was full.
    known = i32(i64(t, UNION), entry) if entry >= 0 else 0
    return known if known > 0 else NO


@njit()
def union(t: int, first: int, second: int) -> int:
    """The node that stands for all stacks of two nodes.

    Unions of nodes below come first: a list of what is wanted, not recursion, which numba's cache cannot hold.
    """
    wanted = i64(t, WANTED)
    set_i32(wanted, 0, first)
    set_i32(wanted, 1, second)
    depth = 1 if first != second else 0
    while depth > 0 and i64(t, FLAG) == 0:
        lower = _unite(t, i32(wanted, 2 * depth - 2), i32(wanted, 2 * depth - 1), wanted + 8 * depth)
        depth += 1 if lower else -1
        if 2 * depth + 2 > SCRATCH:
            set_i64(t, FLAG, -1)
    return first if i64(t, FLAG) else known_union(t, first, second)


@njit(inline="always")
def _unite(t: int, first: int, second: int, wanted: int) -> bool:
    """Make one union of two nodes; whether one further down, written to `wanted`, has to be made before."""
    heights = i64(t, NODE_HEIGHT)
    state = state_of(t, first)
    if state >= 0 and state == state_of(t, second):
        under = _union_or_want(t, below(t, first), below(t, second), wanted)
        if under == NO:
            return True
        result = intern(t, NODES, under, state)
    else:
        ones, twos, merged = i64(t, LEVEL), i64(t, LEVEL_NEXT), i64(t, AGENDA)
        num_ones, num_twos = members(t, first, ones), members(t, second, twos)
        if num_ones + num_twos > SCRATCH:
            set_i64(t, FLAG, -1)
            return False
        i, k, count = 0, 0, 0
        while i < num_ones or k < num_twos:
            one = i32(ones, i) if i < num_ones else NO
            two = i32(twos, k) if k < num_twos else NO
            of_one = state_of(t, one) if one >= 0 else NO
            of_two = state_of(t, two) if two >= 0 else NO
            node = one if of_one > of_two else two
            if of_one == of_two:
                node = _union_or_want(t, one, two, wanted)
                if node == NO:
                    return True
            i += of_one >= of_two
            k += of_two >= of_one
            set_i32(merged, count, node)
            count += 1
        chain = np.int64(0)
        for m in range(count - 1, -1, -1):
            chain = intern(t, SETS, chain, i32(merged, m))
        result = intern(t, NODES, -chain, NO) if i64(t, FLAG) == 0 else np.int64(0)
    if result == 0:
        return False
    height = min(i32(heights, first), i32(heights, second))
    known_height = i32(heights, result)
    set_i32(heights, result, height if known_height < 0 else min(height, known_height))
    entry = intern(t, UNIONS, min(first, second), max(first, second))
    if i64(t, FLAG) == 0:
        set_i32(i64(t, UNION), entry, result)
    return False


@njit()
def _union_or_want(t: int, first: int, second: int, wanted: int) -> int:
    """A union that is known, or NO with the pair written to `wanted`."""
    known = known_union(t, first, second)
    if known < 0:
        set_i32(wanted, 0, first)
        set_i32(wanted, 1, second)
    return known


@njit()
def viable(t: int, q: int, node: int) -> bool:
    """Whether some terminal that a lexeme in state `q` may become can be shifted, or is ignored."""
    return viable_of(t, i64(t, ALIVE) + 8 * i64(t, NUM_WORDS) * q, node)


@njit()
def viable_of(t: int, alive: int, node: int) -> bool:
    """Whether some terminal of the bit set at `alive` can be shifted, or is ignored."""
    words = i64(t, NUM_WORDS)
    shiftable, possible = i64(t, SHIFTABLE), i64(t, POSSIBLE)
    state = state_of(t, node)
    if state < 0:
        set_i64(t, FORKED, 1)
        set_i64(t, LOW, min(i64(t, LOW), i32(i64(t, NODE_HEIGHT), node)))
        rest = -below(t, node)
        while rest > 0:
            if viable_top(t, alive, second_of(t, SETS, rest)):
                return True
            rest = first_of(t, SETS, rest)
        return False
    for word in range(words):
        if u64(alive, word) & u64(shiftable, state * words + word):
            return True
    some = np.uint64(0)
    for word in range(words):
        some |= u64(alive, word) & u64(possible, state * words + word)
    return some != np.uint64(0) and viable_top(t, alive, node)


@njit()
def viable_top(t: int, alive: int, node: int) -> bool:
    """`viable` for one stack, reductions tried."""
    words, state = i64(t, NUM_WORDS), state_of(t, node)
    shiftable, possible = i64(t, SHIFTABLE), i64(t, POSSIBLE)
    for word in range(words):
        if u64(alive, word) & u64(shiftable, state * words + word):
            return True
    for word in range(words):
        bits = u64(alive, word) & u64(possible, state * words + word)
        while bits:
            if acceptable(t, node, word * 64 + lowest(bits)):
                return True
            bits &= bits - np.uint64(1)
    return False


@njit()
def ends_after(t: int, node: int, mode: int) -> bool:
    """Whether the text may end between lexemes here, markers that leave embedded grammars included."""
    endings = i64(t, ENDINGS)
    for i in range(i32(i64(t, ENDINGS_START), mode), i32(i64(t, ENDINGS_START), mode + 1)):
        after = node
        for k in range(3):
            marker = i32(endings, 3 * i + k)
            if marker >= 0 and after >= 0:
                after = shift(t, after, marker, NO)
        if after >= 0 and accepts_end(t, after):
            return True
    return False


@njit(inline="always")
def after_lexeme(t: int, node: int, terminal: int) -> int:
    """The node after a lexeme has ended, any start; ignored ones change nothing."""
    if u8(i64(t, IGNORED), terminal):
        return node
    return shift(t, node, terminal, NO)
