"""Where everything stands in a machine's pointer table: one int64 a slot, an address, a count or a setting.

Kernels get the address of this table and nothing else; `pools.py` owns what the addresses point to.
"""

from __future__ import annotations

from itertools import count

_next = count()

# The lexer. S states; a state from which nothing can be completed is 0.
NEXT_STATE = next(_next)  # i32 (S, 256)
ACCEPTS_START = next(_next)  # i32 (S + 1,) terminals of a state are ACCEPTS[start : next start]
ACCEPTS = next(_next)  # i32
ALIVE = next(_next)  # u64 (S, TW) terminals that a lexeme may still become
ALIVE_CLASS = next(_next)  # i32 (S,) states with equal `ALIVE` are one class
CLASS_STATE = next(_next)  # i32 a state of each class
MODE = next(_next)  # i32 (S,)
IS_START = next(_next)  # u8 (S,)
EXCLUSIVE = next(_next)  # u8 (modes,)
IGNORED = next(_next)  # u8 (T,)
TRAPPED_START = next(_next)  # i32 (S + 1,) into TRAPPED, by owed state
TRAPPED = next(_next)  # i32 states that cannot get rid of it, ascending
NUM_LEXER_STATES = next(_next)
RESTARTS_START = next(_next)  # i32 (T + 1,)
RESTARTS = next(_next)  # i32 (n, 5) markers a, b, c or -1; lexer state in which the next lexeme begins; whether none
ENDINGS_START = next(_next)  # i32 (modes + 1,)
ENDINGS = next(_next)  # i32 (n, 3) markers by which the text of a mode ends at the outermost level
FOLLOWS = next(_next)  # u64 (T, TW) terminals that may come after a terminal
CHECK_STARTS = next(_next)  # whether the lexer depends on the parser
CODE_ROW = next(_next)  # i32 (S,) the row of CODES of a start state
CODES = next(_next)  # i32 (rows, 256) see `lexing.code_of`

# The parser. R states, T terminals.
ACTION = next(_next)  # i32 (R, T) 0 error, n > 0 shift to n - 1, n < 0 reduce -n - 1, CONFLICT
SHIFT = next(_next)  # i32 (R, T) next state or -1
FIRST_REDUCE = next(_next)  # i32 (R * T + 1,)
REDUCE = next(_next)  # i32
GOTO = next(_next)  # i32 (R, nonterminals)
LHS = next(_next)  # i32 (P,)
LENGTH = next(_next)  # i32 (P,)
START_OF = next(_next)  # i32 (R, modes)
POSSIBLE = next(_next)  # u64 (R, TW) terminals with any action
SHIFTABLE = next(_next)  # u64 (R, TW) terminals that are shifted at once, ignored ones included
NUM_STATES = next(_next)
NUM_TERMINALS = next(_next)
NUM_WORDS = next(_next)  # TW
NUM_NONTERMINALS = next(_next)
NUM_MODES = next(_next)

# Significant indentation.
HAS_LINES = next(_next)
COLUMN = next(_next)  # i32 (T,) column of a line break, -1 for other terminals
ACCESS = next(_next)  # u8 (R,) what a state was entered by: OPENED ... DEDENTED
INDENT = next(_next)  # terminals
DEDENT = next(_next)
MOST_COLUMNS = next(_next)

# The filter beside them; none if FILTER_NEXT is 0.
FILTER_NEXT = next(_next)  # i32 (F, 256)
FILTER_ACCEPTS = next(_next)  # u8 (F,)

# The vocabulary.
TRIE_BYTE = next(_next)  # u8 (M,)
TRIE_DEPTH = next(_next)  # i32 (M,)
TRIE_SKIP = next(_next)  # i32 (M,)
FIRST_TOKEN = next(_next)  # i32 (M + 1,)
TRIE_TOKENS = next(_next)  # i32
TEXT = next(_next)  # u8
TEXT_START = next(_next)  # i64 (V + 1,)
NUM_TRIE = next(_next)
VOCAB_SIZE = next(_next)
MASK_WORDS = next(_next)  # words of 64 bits in a row
TURN_ENDS = next(_next)  # i32 end-of-turn tokens
NUM_TURN_ENDS = next(_next)  # 0 if text follows the hole

# How the hole ends.
FOLLOWING = next(_next)  # u8 bytes of the following text
NUM_FOLLOWING = next(_next)
TAIL_WORDS = next(_next)
TAIL_MOVES = next(_next)  # u64 (256, K)
COUNTS = next(_next)  # whether tokens are counted
LEAST = next(_next)
MOST = next(_next)  # -1 without a bound
COUNT_FROM = next(_next)  # counts below and above these two are the caller's
COUNT_TO = next(_next)
IS_LOCAL = next(_next)  # whether one viable hypothesis without obligations can always be completed
IS_GENERALISED = next(_next)  # whether the tables have conflicts

# Messages to the caller.
FLAG = next(_next)  # number of a pool that is full, plus 1; results do not count then
ARGUMENT = next(_next)
LOW = next(_next)  # the least height of the stack that was read
BASE = next(_next)  # results of `settle`
HEIGHT_ABOVE = next(_next)
COLUMN_NOW = next(_next)  # of the block that is entered
ENDS_NOW = next(_next)  # OMEGA_ENDS of the block that is evaluated
FORKED = next(_next)  # whether sets of stacks were made since it was cleared
CLOCK = next(_next)

# Scratch space.
PUSHED = next(_next)  # i32 states pushed by reductions
MOVES = next(_next)  # i32 (n, 6) ways on with a byte
OLD_OMEGA = next(_next)  # i32 hypotheses while a token is read
OLD_NODE = next(_next)
NEW_OMEGA = next(_next)
NEW_NODE = next(_next)
TAIL_NOW = next(_next)  # u64 (K,)
NODE_AT = next(_next)  # i32 (sequences,)
LOW_AT = next(_next)  # i32 (sequences,)
VERDICTS = next(_next)  # i32 (groups,)
SCRATCH_ROW = next(_next)  # u64 (MASK_WORDS,)
AGENDA = next(_next)  # i32 worklist of the generalised parser
LEVEL = next(_next)  # i32 nodes so many levels below
LEVEL_NEXT = next(_next)
RESULTS = next(_next)  # i32 shifted nodes
WANTED = next(_next)  # i32 pairs of nodes whose union is wanted; obligations while one is entered

# Walks of the trie.
ALT_SEQUENCE = next(_next)  # i32 (levels, ALTERNATIVES)
ALT_OMEGA = next(_next)
ALT_COUNT = next(_next)  # i32 (levels,)
PAIR_GROUP = next(_next)  # i32 (token, group) as found
PAIR_TOKEN = next(_next)
NUM_PAIRS = next(_next)
GROUP_SIZES = next(_next)  # i32 (groups,)
MAX_PAIRS = next(_next)

# Rows.
ROWS = next(_next)  # u64 (cap, MASK_WORDS)
ROW_HASH = next(_next)  # i64 (cap,)
ROW_STAMP = next(_next)  # i64 (cap,)
ROW_AGE = next(_next)  # i32 (cap,) counts how often the row was given away
ROW_TABLE = next(_next)  # i32 open addressing
ROW_TABLE_MASK = next(_next)
FREE_ROWS = next(_next)  # i32
NUM_FREE = next(_next)

# Flat lists of groups that need the stack.
LISTS = next(_next)  # i32
NUM_LISTED = next(_next)
MAX_LISTED = next(_next)

# More columns of pools.
NODE_HEIGHT = next(_next)
NODE_FRAME = next(_next)  # the node of the innermost open bracket or block, 0 for none
OMEGA_Q = next(_next)
PLAIN_OMEGA = next(_next)  # i32 (S,) the position in a lexer state that owes nothing, NO before it is known
OMEGA_R = next(_next)
OMEGA_BLOCK = next(_next)  # i64 address, 0 before the first visit
OMEGA_FREE = next(_next)  # i32 row of FREE_BITS, -1 before it is known
FREE_BITS = next(_next)  # u64 (cap, TW) terminals that a lexeme may become once it owes nothing more
NUM_FREE_BITS = next(_next)
MAX_FREE_BITS = next(_next)
OMEGA_ENDS = next(_next)  # i64 address of the numbers of positions that the block names
HYPOTHESIS_POSSIBLE = next(_next)  # -1 unknown
CONFIG_POSSIBLE = next(_next)
STATE_DONE = next(_next)  # 1 + bytes of the following text that were written, once the hole has ended; else 0
STATE_ROW = next(_next)
STATE_AGE = next(_next)
PLACE_ROW = next(_next)
PLACE_AGE = next(_next)
SUCCESSOR = next(_next)
DECISION_BASE = next(_next)
DECISION_AGE = next(_next)
DECISION_LIST = next(_next)
DECISION_TREE = next(_next)
BRANCH_ROW = next(_next)
BRANCH_AGE = next(_next)
UNION = next(_next)

# Pools of interned pairs.
POOLS = (
    "nodes",  # (node below or minus a set, LR state or -1)
    "sets",  # (rest, node): several stacks, by LR state
    "unions",  # (node, node) -> node
    "owed",  # (rest, lexer state): obligations
    "rooms",  # (lexer state, state of the filter)
    "omegas",  # (room, owed)
    "hypotheses",  # (omega, node)
    "configs",  # (rest, hypothesis)
    "words",  # halves of a word of tails
    "tails",  # (rest, word)
    "places",  # (config, tails)
    "states",  # (place, count + 1)
    "successors",  # (state, token) -> state
    "decisions",  # (omega, LR state on top)
    "branches",  # (branch, what was read)
    "sequences",  # (parent, step): while a walk lasts
    "groups",  # (sequence, how it ends): while a walk lasts
    "steps",  # (terminal, code of the next lexeme): while a walk lasts
)
NODES, SETS, UNIONS, OWED, ROOMS, OMEGAS, HYPOTHESES, CONFIGS, WORDS = range(9)
TAILS, PLACES, STATES, SUCCESSORS, DECISIONS, BRANCHES, SEQUENCES, GROUPS, STEPS = range(9, 18)

FIRST_POOL = next(_next)
POOL_SLOTS = 6
FIRST, SECOND, TABLE, TABLE_MASK, CAPACITY, USED = range(POOL_SLOTS)
NUM_SLOTS = FIRST_POOL + POOL_SLOTS * len(POOLS)

ROW_POOL, LIST_POOL, PAIR_POOL, FREE_POOL = 100, 101, 102, 103
"""What FLAG says when one of those is full."""

CONFLICT = -(2**31)
NO = -1
OPENED, CLOSED, INDENTED, DEDENTED = 1, 2, 3, 4
STATE_BITS = 20
"""A node's LR state has so many bits; above them the column plus 1 of a block that it begins."""
ALTERNATIVES = 256
SCRATCH = 1 << 14
"""Elements of the fixed scratch arrays."""

DONE, FULL, UNBUILT, ASK, SPECIAL, ASK_CONFIG = 0, 1, 2, 3, 4, 5
"""Codes: a batch is through; a pool is full; a walk is missing; a search must tell of a hypothesis; the limits must
tell; a search must tell of a config."""
