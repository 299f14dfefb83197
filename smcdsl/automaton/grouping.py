"""One walk over the vocabulary from a lexer position: which tokens read which terminals, whatever the parser.

A token from position omega reads one sequence of terminals (several, where lexing forks) and ends inside a
lexeme. Tokens that read the same sequence and end in lexemes that may become the same terminals are a *group*: a
parser allows all of them or none. The walk is made once per position, at its first visit, and kept as a *block*.

Source of the idea: GreatGramma (Park, Zhou, D'Antoni 2025), there computed for all positions ahead of time.
"""

from __future__ import annotations

import numpy as np

from smcdsl.automaton.interning import first_of, intern, second_of, used
from smcdsl.automaton.layout import (
    ACCEPTS,
    ACCEPTS_START,
    ALIVE,
    ALIVE_CLASS,
    ALT_COUNT,
    ALT_OMEGA,
    ALT_SEQUENCE,
    ALTERNATIVES,
    CHECK_STARTS,
    CLASS_STATE,
    ENDINGS,
    ENDINGS_START,
    EXCLUSIVE,
    FILTER_ACCEPTS,
    FILTER_NEXT,
    FIRST_TOKEN,
    FLAG,
    FOLLOWING,
    FOLLOWS,
    GROUP_SIZES,
    GROUPS,
    IGNORED,
    IS_LOCAL,
    MASK_WORDS,
    MAX_PAIRS,
    MODE,
    MOVES,
    NEXT_STATE,
    NO,
    NUM_FOLLOWING,
    NUM_PAIRS,
    NUM_TERMINALS,
    NUM_TRIE,
    NUM_TURN_ENDS,
    NUM_WORDS,
    OMEGA_Q,
    OMEGA_R,
    OMEGAS,
    PAIR_GROUP,
    PAIR_POOL,
    PAIR_TOKEN,
    SEQUENCES,
    STEPS,
    TRIE_BYTE,
    TRIE_DEPTH,
    TRIE_SKIP,
    TRIE_TOKENS,
    TURN_ENDS,
)
from smcdsl.automaton.lexing import MOVE, accepting, between, find_moves, omega
from smcdsl.automaton.memory import i32, i64, njit, set_i32, set_i64, set_u64, u8, u64

ENDS = -1
"""Instead of a class: the hole has ended, or only following text is being written."""

# A block is int32: a head of 8, the columns of sequences and groups, tokens, bit rows, and the positions that groups
# end in where a class of lexer states does not say enough.
B_SEQUENCES, B_GROUPS, B_TOKENS, B_ROWS, B_TOKEN_AT, B_ROW_AT, B_WORDS, B_ENDS = range(8)
HEAD = 8
SEQ_PARENT, SEQ_TERMINAL, SEQ_CODE = range(3)
GROUP_SEQUENCE, GROUP_END, GROUP_FIRST, GROUP_COUNT, GROUP_ROW = range(5)


@njit(inline="always")
def sequence_at(block, sequence):  # type: ignore[no-untyped-def]
    """The address of a sequence's three columns."""
    return block + 4 * (HEAD + 3 * sequence)


@njit(inline="always")
def group_at(block, group):  # type: ignore[no-untyped-def]
    """The address of a group's five columns."""
    return block + 4 * (HEAD + 3 * i32(block, B_SEQUENCES) + 5 * group)


@njit()
def sequence(t: int, parent: int, terminal: int, code: int) -> int:
    """The sequence that is `parent` and one more terminal; numbers begin at 1, the empty sequence."""
    return intern(t, SEQUENCES, parent, intern(t, STEPS, terminal, code))


@njit(inline="always")
def last_terminal(t, number):  # type: ignore[no-untyped-def]
    """The terminal with which a sequence ends."""
    return first_of(t, STEPS, second_of(t, SEQUENCES, number))


@njit(inline="always")
def last_code(t, number):  # type: ignore[no-untyped-def]
    """How the lexeme after a sequence begins, or NO."""
    return second_of(t, STEPS, second_of(t, SEQUENCES, number))


@njit()
def may_follow(t: int, before: int, terminal: int) -> bool:
    """Whether the grammar ever has one terminal after another; ignored ones are not asked about."""
    words = i64(t, NUM_WORDS)
    return (u64(i64(t, FOLLOWS), before * words + (terminal >> 6)) >> np.uint64(terminal & 63)) & np.uint64(1) != 0


@njit(inline="always")
def may_become(t: int, before: int, q: int) -> bool:
    """Whether a lexeme in state `q` may become something that can come after a terminal, or something ignored."""
    words = i64(t, NUM_WORDS)
    follows, alive = i64(t, FOLLOWS), i64(t, ALIVE)
    for word in range(words):
        if u64(alive, q * words + word) & u64(follows, before * words + word):
            return True
    return False


@njit(inline="always")
def extend(t: int, number: int, move: int) -> int:
    """The sequence after a move, 0 if the grammar never has it."""
    terminal, code = i32(move, 0), i32(move, 4)
    q = i32(i64(t, OMEGA_Q), i32(move, 5))
    if terminal == NO:
        return number
    if u8(i64(t, IGNORED), terminal):
        if i32(move, 1) == NO:
            # What is ignored leaves the parser where it is, so both codes speak of one start.
            if not i64(t, CHECK_STARTS) or (number != 1 and last_code(t, number) == code):
                return number
            return sequence(t, number, terminal, code)
    else:
        if number != 1 and not may_follow(t, last_terminal(t, number), terminal):
            return 0
        number = sequence(t, number, terminal, code if i32(move, 1) == NO else NO)
    for k in range(1, 4):
        if i32(move, k) >= 0:
            is_last = k == 3 or i32(move, k + 1) == NO
            number = sequence(t, number, i32(move, k), code if is_last else NO)
    if number == 1 or may_become(t, last_terminal(t, number), q):
        return number
    return 0


@njit()
def add_alternative(t: int, depth: int, number: int, here: int) -> None:
    """Enter an alternative at a depth of the walk, once."""
    base = depth * ALTERNATIVES
    count = i32(i64(t, ALT_COUNT), depth)
    numbers, positions = i64(t, ALT_SEQUENCE), i64(t, ALT_OMEGA)
    for i in range(base, base + count):
        if i32(numbers, i) == number and i32(positions, i) == here:
            return
    if count == ALTERNATIVES:
        set_i64(t, FLAG, -3)
        return
    set_i32(numbers, base + count, number)
    set_i32(positions, base + count, here)
    set_i32(i64(t, ALT_COUNT), depth, count + 1)


@njit()
def add_ends(t: int, depth: int, number: int, here: int, to: int) -> None:
    """Enter the ways in which the hole may end at a position; `to` is what it leads to."""
    q = i32(i64(t, OMEGA_Q), here)
    if i64(t, FILTER_NEXT) and not u8(i64(t, FILTER_ACCEPTS), i32(i64(t, OMEGA_R), here)):
        return
    if between(t, q):
        add_end(t, depth, number, i32(i64(t, MODE), q), to)
    for i in range(i32(i64(t, ACCEPTS_START), q), i32(i64(t, ACCEPTS_START), q + 1)):
        terminal = i32(i64(t, ACCEPTS), i)
        after = number
        if not u8(i64(t, IGNORED), terminal):
            if number != 1 and not may_follow(t, last_terminal(t, number), terminal):
                continue
            after = sequence(t, number, terminal, NO)
        add_end(t, depth, after, i32(i64(t, MODE), q), to)


@njit()
def add_end(t: int, depth: int, number: int, mode: int, to: int) -> None:
    """Enter the end of the hole between lexemes of a mode."""
    endings = i64(t, ENDINGS)
    for i in range(i32(i64(t, ENDINGS_START), mode), i32(i64(t, ENDINGS_START), mode + 1)):
        after = number
        for k in range(3):
            if i32(endings, 3 * i + k) >= 0:
                after = sequence(t, after, i32(endings, 3 * i + k), NO)
        add_alternative(t, depth, sequence(t, after, i64(t, NUM_TERMINALS) - 1, NO), to)


@njit()
def step_alternatives(t: int, depth: int, byte: int) -> None:
    """From the alternatives one level up to those after a byte."""
    set_i32(i64(t, ALT_COUNT), depth, 0)
    numbers, positions = i64(t, ALT_SEQUENCE), i64(t, ALT_OMEGA)
    above = (depth - 1) * ALTERNATIVES
    for i in range(above, above + i32(i64(t, ALT_COUNT), depth - 1)):
        number, here = i32(numbers, i), i32(positions, i)
        q = i32(i64(t, OMEGA_Q), here)
        if q == 0:
            written = i32(i64(t, OMEGA_R), here)
            if written < i64(t, NUM_FOLLOWING) and u8(i64(t, FOLLOWING), written) == byte:
                add_alternative(t, depth, number, omega(t, 0, written + 1, 0))
            continue
        moves = i64(t, MOVES)
        for k in range(find_moves(t, here, byte)):
            move = moves + 4 * MOVE * k
            after = extend(t, number, move)
            if after > 0:
                add_alternative(t, depth, after, i32(move, 5))
        if i64(t, NUM_FOLLOWING) and u8(i64(t, FOLLOWING), 0) == byte:
            add_ends(t, depth, number, here, omega(t, 0, 1, 0))


@njit()
def add_pair(t: int, group: int, token: int) -> None:
    """Note that a token is in a group."""
    count = i64(t, NUM_PAIRS)
    if count >= i64(t, MAX_PAIRS):
        set_i64(t, FLAG, PAIR_POOL + 1)
        return
    set_i32(i64(t, PAIR_GROUP), count, group)
    set_i32(i64(t, PAIR_TOKEN), count, token)
    set_i64(t, NUM_PAIRS, count + 1)


@njit()
def group_of(t: int, number: int, here: int) -> int:
    """The group of an alternative in which a token ends."""
    q = i32(i64(t, OMEGA_Q), here)
    if q == 0:
        return intern(t, GROUPS, number, ENDS)
    if second_of(t, OMEGAS, here) == 0 and i64(t, IS_LOCAL):
        return intern(t, GROUPS, number, i32(i64(t, ALIVE_CLASS), q))
    return intern(t, GROUPS, number, -2 - here)


@njit(nogil=True)
def walk(t: int, here: int) -> None:
    """Walk the trie from a position; sequences, groups and pairs are left for `write_block`."""
    intern(t, SEQUENCES, 0, 0)
    set_i64(t, NUM_PAIRS, 0)
    counts = i64(t, ALT_COUNT)
    set_i32(counts, 0, 0)
    if i64(t, NUM_TURN_ENDS):
        add_ends(t, 0, 1, here, omega(t, 0, 0, 0))
        for i in range(i32(counts, 0)):
            group = group_of(t, i32(i64(t, ALT_SEQUENCE), i), i32(i64(t, ALT_OMEGA), i))
            for k in range(i64(t, NUM_TURN_ENDS)):
                add_pair(t, group, i32(i64(t, TURN_ENDS), k))
        set_i32(counts, 0, 0)
    add_alternative(t, 0, 1, here)
    numbers, positions = i64(t, ALT_SEQUENCE), i64(t, ALT_OMEGA)
    bytes_, depths, skips = i64(t, TRIE_BYTE), i64(t, TRIE_DEPTH), i64(t, TRIE_SKIP)
    first_token, tokens = i64(t, FIRST_TOKEN), i64(t, TRIE_TOKENS)
    next_state = i64(t, NEXT_STATE)
    # One alternative inside a lexeme that cannot end yet needs only the lexer's table.
    simple = i64(t, FILTER_NEXT) == 0
    omega_q = i64(t, OMEGA_Q)
    last_number, last_end, last_group = np.int64(-1), np.int64(-1), np.int64(0)
    node, end = 1, i64(t, NUM_TRIE)
    while node < end and i64(t, FLAG) == 0:
        depth, byte = i32(depths, node), u8(bytes_, node)
        above = (depth - 1) * ALTERNATIVES
        position = i32(positions, above)
        q = i32(omega_q, position)
        if simple and q and i32(counts, depth - 1) == 1 and second_of(t, OMEGAS, position) == 0:
            onward = i32(next_state, 256 * q + byte)
            if onward and (not accepting(t, q) or accepting(t, onward)) and _only_goes_on(t, q, byte):
                set_i32(counts, depth, 1)
                set_i32(numbers, depth * ALTERNATIVES, i32(numbers, above))
                set_i32(positions, depth * ALTERNATIVES, omega(t, onward, i32(i64(t, OMEGA_R), position), 0))
            else:
                step_alternatives(t, depth, byte)
        else:
            step_alternatives(t, depth, byte)
        count = i32(counts, depth)
        if count == 0:
            node = i32(skips, node)
            continue
        first, last = i32(first_token, node), i32(first_token, node + 1)
        if first != last:
            for i in range(depth * ALTERNATIVES, depth * ALTERNATIVES + count):
                number, here_now = i32(numbers, i), i32(positions, i)
                if number != last_number or here_now != last_end:
                    last_number, last_end, last_group = number, here_now, group_of(t, number, here_now)
                for k in range(first, last):
                    add_pair(t, last_group, i32(tokens, k))
        node += 1


@njit(inline="always")
def _only_goes_on(t: int, q: int, byte: int) -> bool:
    """Whether a lexeme that goes on with a byte cannot end before it instead."""
    if i64(t, NUM_FOLLOWING) and u8(i64(t, FOLLOWING), 0) == byte:
        return False
    return not accepting(t, q) or _is_exclusive_and_plain(t, i32(i64(t, MODE), q))


@njit(inline="always")
def _is_exclusive_and_plain(t: int, mode: int) -> bool:
    from_here = i32(i64(t, ENDINGS_START), mode + 1) - i32(i64(t, ENDINGS_START), mode)
    return u8(i64(t, EXCLUSIVE), mode) != 0 and from_here == 1


@njit(nogil=True)
def block_size(t: int) -> int:
    """How many int32 the block of the last walk needs."""
    groups = used(t, GROUPS)
    sizes = i64(t, GROUP_SIZES)
    for group in range(groups):
        set_i32(sizes, group, 0)
    for i in range(i64(t, NUM_PAIRS)):
        group = i32(i64(t, PAIR_GROUP), i)
        set_i32(sizes, group, i32(sizes, group) + 1)
    listed, rows = 0, 0
    for group in range(1, groups):
        if i32(sizes, group) > _most_listed(t):
            rows += 1
        else:
            listed += i32(sizes, group)
    head = HEAD + 3 * (used(t, SEQUENCES) - 1) + 5 * (groups - 1)
    head += head & 1
    return head + listed + (listed & 1) + rows * 2 * i64(t, MASK_WORDS)


@njit()
def _most_listed(t: int) -> int:
    return 16 + i64(t, MASK_WORDS) // 2


@njit(nogil=True)
def write_block(t: int, block: int, size: int) -> None:
    """Write the last walk's block to an address."""
    groups, sequences = used(t, GROUPS) - 1, used(t, SEQUENCES) - 1
    set_i32(block, B_SEQUENCES, sequences)
    set_i32(block, B_GROUPS, groups)
    for i in range(sequences):
        at = sequence_at(block, i)
        set_i32(at, SEQ_PARENT, first_of(t, SEQUENCES, i + 1) - 1)
        set_i32(at, SEQ_TERMINAL, last_terminal(t, i + 1) if i else NO)
        set_i32(at, SEQ_CODE, last_code(t, i + 1) if i else NO)
    sizes = i64(t, GROUP_SIZES)
    token_at = HEAD + 3 * sequences + 5 * groups
    token_at += token_at & 1
    listed, rows = 0, 0
    for group in range(groups):
        at, count = group_at(block, group), i32(sizes, group + 1)
        set_i32(at, GROUP_SEQUENCE, first_of(t, GROUPS, group + 1) - 1)
        end = second_of(t, GROUPS, group + 1)
        set_i32(at, GROUP_END, i32(i64(t, CLASS_STATE), end) if end >= 0 else end)
        set_i32(at, GROUP_FIRST, listed)
        set_i32(at, GROUP_COUNT, count)
        set_i32(at, GROUP_ROW, NO)
        if count > _most_listed(t):
            set_i32(at, GROUP_ROW, rows)
            rows += 1
        else:
            listed += count
    row_at = token_at + listed + (listed & 1)
    set_i32(block, B_TOKENS, listed)
    set_i32(block, B_ROWS, rows)
    set_i32(block, B_TOKEN_AT, token_at)
    set_i32(block, B_ROW_AT, row_at)
    set_i32(block, B_WORDS, size)
    words = i64(t, MASK_WORDS)
    bits = block + 4 * row_at
    for i in range(rows * words):
        set_u64(bits, i, np.uint64(0))
    for group in range(groups):
        set_i32(sizes, group + 1, 0)
    for i in range(i64(t, NUM_PAIRS)):
        group, token = i32(i64(t, PAIR_GROUP), i), i32(i64(t, PAIR_TOKEN), i)
        at = group_at(block, group - 1)
        row = i32(at, GROUP_ROW)
        if row >= 0:
            word = row * words + (token >> 6)
            set_u64(bits, word, u64(bits, word) | (np.uint64(1) << np.uint64(token & 63)))
        else:
            filled = i32(sizes, group)
            set_i32(block + 4 * token_at, i32(at, GROUP_FIRST) + filled, token)
            set_i32(sizes, group, filled + 1)
