"""The words of the language by what they do: what highlighters paint and completion offers.

`tests/editor/test_words.py` holds these against smc.lark.
"""

from __future__ import annotations

HEADER = ("smc", "program", "module")
DECLARATIONS = (
    "import", "input", "lm", "grammar", "potential", "template", "generate", "return", "infer", "test",
)  # fmt: skip
STATEMENTS = ("observe", "require", "score", "guide", "let", "use", "break", "if", "for")
ROLES = ("system", "user", "assistant", "text")
TEST_WORDS = ("accept", "reject", "expect")
OPERATOR_WORDS = ("and", "or", "not", "in")
CONSTANTS = ("true", "false", "null")
CLAUSES = ("where", "matches", "excludes", "at", "each", "as", "when", "by", "else", "best", "posterior", "samples")
UNITS = ("tokens", "chars", "words", "lines")
BOUNDARIES = ("token", "line", "end")
TYPES = ("str", "int", "float", "bool", "file", "json", "sqlite", "list")
RESULTS = ("bool", "weight", "logweight")

CONTINUING = ("where", "at", "each", "else", "by")
"""Words with which a line goes on with the statement of the line before it."""

RESERVED = frozenset({*HEADER, *DECLARATIONS, *STATEMENTS, *OPERATOR_WORDS, *CONSTANTS, *CLAUSES} - {"by"})
"""Words that no name may be."""

DOCS = {
    "smc": "`smc 1`: the edition of the language, on the first line of every file.",
    "program": "`program NAME \"summary\"`: the program's name; the file's where it is left out.",
    "module": "`module NAME`: a file of grammars, potentials and templates that programs import.",
    "import": (
        "`import sql`, `import \"lib/prompts.smc\" as p`, `import potential \"potentials/chem.py\" as chem`: "
        "a library, a module or Python functions. Nothing of it runs when a program is checked."
    ),
    "input": "`input NAME: TYPE [= default] [\"help\"]`: a value that is given to a run.",
    "lm": "`lm { temperature: 1.0 }`: the model's law, a part of what the program denotes.",
    "grammar": "`grammar NAME = EXPRESSION` or `{ rules }`: the texts that a hole may be.",
    "potential": "`potential NAME(x: str) -> weight = EXPRESSION`: a judgement; `bool`, `weight` or `logweight`.",
    "template": "`template NAME(x: str) { ... }`: statements that `use NAME(...)` puts in place.",
    "generate": "`generate { ... }`: the transcript, its holes, and what judges them.",
    "return": "`return [posterior | best | samples(n)] EXPRESSION [by KEY]`: what a run gives back.",
    "infer": "`infer METHOD [NAME] { ... }`: how hard to try. It never changes what the program denotes.",
    "test": "`test \"name\" { ... }`: inputs, texts that grammars accept or reject, claims on the result.",
    "observe": "`observe \"text\"`: appends the text and multiplies by its probability.",
    "require": "`require EXPRESSION [at boundary, ...]`: a hard factor: 1 where it is true, else 0.",
    "score": "`score EXPRESSION [at boundary, ...]`: a soft factor: multiplies by a number that is zero or more.",
    "guide": "`guide EXPRESSION at boundary`: previews that steer and cancel; no factor.",
    "let": "`let NAME = EXPRESSION`: a name for a value.",
    "use": "`use NAME(arguments)`: a template's statements, here.",
    "break": "`break`: leaves the innermost loop.",
    "if": "`if CONDITION { ... } else { ... }`: may depend on what was generated.",
    "for": "`for x in list { ... }`, `for i in a..b { ... }`: bounds are fixed before the loop starts.",
    "else": "The other arm of an `if`.",
    "system": "A turn that tells the model what it is for.",
    "user": "A turn of the user.",
    "assistant": "A turn of the model: holes are filled in here; without one it is an example.",
    "text": "Raw text for base models, without a chat template.",
    "accept": "`accept GRAMMAR \"text\"`: the grammar must have this text.",
    "reject": "`reject GRAMMAR \"text\"`: the grammar must not have this text.",
    "expect": "`expect EXPRESSION`: must be true of the returned view.",
    "where": "`where tokens <= 200, excludes /;/`: restricts a grammar; compiled into the masks.",
    "matches": "`matches /r/`: the whole text matches.",
    "excludes": "`excludes /r/`: no part of the text matches.",
    "at": "`at clause, q.subquery`: where to look early. The factor counts once; previews cancel.",
    "each": "`each c in q.column`: one factor for every occurrence of the rule.",
    "as": "`as int`, `as float`, `as json`: what type the text is read as.",
    "when": "`resample: systematic when ess < 0.5`: resample below this share of the particles.",
    "by": "`by KEY`: values with equal keys are one value of the posterior.",
    "posterior": "The distribution over values.",
    "best": "The most probable value.",
    "samples": "`samples(n)`: n draws.",
    "tokens": "Length in the model's tokens.",
    "chars": "Length in Unicode code points.",
    "words": "Maximal runs without white space.",
    "lines": "Pieces between newlines.",
    "token": "The boundary after every token.",
    "line": "The boundary at every end of a line.",
    "end": "The boundary where the hole ends; always implied for `require` and `score`.",
}  # fmt: skip
"""What hovering over a word says."""

METHOD_DOCS = {
    "smc": "Sequential Monte Carlo: targets the posterior; gives posterior, best, samples and log Z.",
    "is": "Importance sampling: the same target, no resampling; previews are not used.",
    "rejection": "Exact samples; needs every `score` to be at most 1.",
    "rerank": "Locally constrained samples, then weighted: biased.",
    "lcd": "Locally constrained decoding, one sample: biased.",
    "beam": "An approximation of the most probable value.",
}

SETTING_DOCS = {
    "particles": "How many weighted partial transcripts are carried side by side.",
    "resample": "`SCHEME [when ess < SHARE]`: ssp, systematic, stratified, residual or multinomial.",
    "proposal": "What tokens are drawn from: auto, mask, awrs, lm or select.",
    "proposal_temperature": "Draw flatter or sharper than the model; weights make up for it.",
    "lookahead": "off, learned or fixed: propose with an eye on how texts can still end.",
    "previews": "now, or late: write on while workers judge.",
    "temper": "Let previews count for less.",
    "draft": "none, forced, suffix, self, or a model: fewer passes for the same target.",
    "gamma": "How many tokens a draft proposes at a time, or auto.",
    "lenience": "How much the draft may be trusted.",
    "islands": "Independent repetitions, from which the error of log Z is known.",
    "grow": "Run again with more particles where too little survives.",
    "retry": "Run again where nothing survives.",
    "refine": "Sweeps of conditional SMC.",
    "seed": "The number that all randomness comes from.",
    "timeout": "The time after which a result is given as it is, incomplete.",
    "max": "`N tokens`: the most tokens of a particle.",
    "temperature": "The model's temperature, a part of the target.",
    "power": "An exponent on the model's probability of whole texts.",
    "thinking": "Whether the model thinks before it answers; false.",
    "cost": "How long a call takes: a duration, `cheap` or `expensive`.",
    "prefix": "What it may judge: `none`, `closed` (at boundaries) or `any` prefix.",
    "pure": "Same arguments, same value.",
    "batch": "Whether it takes many texts at once.",
    "on_error": "What a failure means: fail, zero or one.",
    "on_timeout": "What a timeout means: fail, zero or one.",
    "workers": "How many processes judge side by side.",
    "version": "Names what stands behind kept results.",
    "cache": "Whether results are kept from run to run.",
}
