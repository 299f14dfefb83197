"""Completion: what may be written at a place, whether or not the program around it is complete.

The scanner says where the place is (which statement, which brackets), from the text before it alone; the names
come from the syntax tree of the whole text, as far as it could be read, and from the text where it could not.
"""

from __future__ import annotations

import re

from lsprotocol import types as lsp

from smcdsl.editor import words
from smcdsl.editor.documents import Document
from smcdsl.editor.offers import Item, Offers, keyword_items
from smcdsl.editor.pieces import Piece
from smcdsl.editor.scan import Scanner
from smcdsl.language.settings import METHOD_SETTINGS
from smcdsl.library.signatures import FACT_NAMES

TRIGGERS = (".", ":", " ", "(", '"', ",", "/")
_WORD = re.compile(r"\w*\Z")
_PATH = re.compile(r"[^\W\d]\w*(?:[ \t]*\.[ \t]*[^\W\d]\w*)*\Z")
_FACTORS = ("require", "score", "guide")
_MODEL_SETTINGS = ("temperature", "power", "thinking")
_VALUE_ENDS = (")", "]", '"')


def complete(document: Document, offset: int) -> lsp.CompletionList:
    """What may be written at an offset, for the word that ends there."""
    word = _WORD.search(document.text, 0, offset)
    start = word.start() if word is not None else offset
    place = _Place(document, start)
    if place.state.unclosed == "string":
        start = place.string_start
    where = document.lines.range(start, offset)
    items = {item.label: item for item in reversed(place.items())}
    ordered = sorted(items.values(), key=lambda item: (item.rank, item.label))
    return lsp.CompletionList(
        False,
        [
            lsp.CompletionItem(
                label=item.label,
                kind=item.kind,
                detail=item.detail or None,
                documentation=lsp.MarkupContent(lsp.MarkupKind.Markdown, item.documentation)
                if item.documentation
                else None,
                sort_text=f"{item.rank}{item.label}",
                filter_text=item.label,
                text_edit=lsp.TextEdit(where, item.text or item.label),
            )
            for item in ordered
        ],
    )


class _Place:
    """A place in a text: what stands before it, and what may follow."""

    def __init__(self, document: Document, offset: int) -> None:
        self.offset = offset
        self.text = document.text[:offset]
        scanner = Scanner(self.text)
        scanner.run()
        self.state = scanner.state
        self.last = scanner.last
        self.fresh = scanner.fresh
        pieces = [piece for piece in scanner.pieces if piece.kind != "comment"]
        first = self.state.opened if self.state.inside else self.state.statement
        self.statement: list[Piece] = [piece for piece in pieces if piece.start >= first]
        self.is_first = not pieces
        self.offers = Offers(document, offset)
        self.brace, self.owner = self.state.braces[-1] if self.state.braces else ("", "")

    @property
    def string_start(self) -> int:
        """Where the content of the string that is being typed begins."""
        return self.state.unclosed_start + 1

    def items(self) -> list[Item]:
        """What may stand here."""
        state = self.state
        if state.unclosed == "string":
            return self._string()
        if state.unclosed:
            return []
        if self.last == ".":
            return self._members()
        if state.brackets and state.brackets[-1][2]:
            return self._parameter() if self._declares() else self._argument()
        if state.inside:
            return self._grammar() if state.inside == "hole" else self.offers.expression()
        if self.fresh:
            return self._start()
        if self.brace == "settings" and self.last == ":":
            return self.offers.setting_values(self._label())
        return self._in_statement()

    # ---- the start of a statement

    def _start(self) -> list[Item]:
        if self.is_first:
            return keyword_items(("smc",), {"smc": "smc 1"})
        continuing = keyword_items(words.CONTINUING, rank=8)
        match self.brace:
            case "":
                header = ("program", "module") if self.text.count("\n") < 6 else ()
                return [*keyword_items((*words.DECLARATIONS, *header)), *continuing]
            case "block":
                return [*keyword_items((*words.STATEMENTS, *words.ROLES)), *continuing]
            case "test":
                return [*keyword_items(words.TEST_WORDS), *self.offers.test_inputs()]
            case "settings":
                return self._settings()
        return []

    def _settings(self) -> list[Item]:
        if self.owner == "infer":
            names: tuple[str, ...] = METHOD_SETTINGS.get(self._method(), ())
            names = names or tuple(dict.fromkeys(name for known in METHOD_SETTINGS.values() for name in known))
        else:
            names = _MODEL_SETTINGS if self.owner == "lm" else FACT_NAMES
        return self.offers.settings(names)

    def _method(self) -> str:
        """The method of the `infer` block around this place."""
        found = re.findall(r"^infer[ \t]+(\w+)", self.text, re.MULTILINE)
        return found[-1] if found else ""

    def _label(self) -> str:
        match = re.search(r"(\w+)[ \t]*:[ \t]*\Z", self.text)
        return match[1] if match is not None else ""

    # ---- in a statement

    def _in_statement(self) -> list[Item]:
        keyword = self.state.keyword
        if self.brace == "settings" and self.last in ("{", ","):
            return self._settings()
        if self.brace == "rules" or keyword == "grammar":
            return self._grammar_declaration()
        handler = {
            "import": self._import,
            "input": self._input,
            "potential": self._potential,
            "infer": self._infer,
            "return": self._return,
            "use": self.offers.templates,
            "accept": self.offers.grammars,
            "reject": self.offers.grammars,
            "program": list[Item],
            "module": list[Item],
            "smc": list[Item],
            "break": list[Item],
        }.get(keyword)
        if handler is not None:
            return handler()
        if keyword in _FACTORS:
            return self._factor()
        if keyword == "for":
            return (
                [*keyword_items(("in",)), *self.offers.expression()]
                if "in" in self._words()
                else keyword_items(("in",))
            )
        return self.offers.expression()

    def _words(self) -> list[str]:
        return [self.text[piece.start : piece.end] for piece in self.statement]

    def _import(self) -> list[Item]:
        if self.last == "import":
            return [*self.offers.libraries(), *keyword_items(("potential",))]
        return keyword_items(("as",)) if self.last != "as" else []

    def _input(self) -> list[Item]:
        if self.last in (":", "["):
            return keyword_items(words.TYPES)
        return self.offers.expression() if self.last == "=" else []

    def _potential(self) -> list[Item]:
        if self.last == "->":
            return keyword_items(words.RESULTS)
        return [*self.offers.expression(), *keyword_items(("py",), {"py": 'py("'})] if "=" in self._words() else []

    def _infer(self) -> list[Item]:
        return self.offers.methods() if self.last == "infer" else []

    def _return(self) -> list[Item]:
        views = (
            keyword_items(("posterior", "best", "samples")) if self.last == "return" else keyword_items(("by",), rank=8)
        )
        return [*views, *self.offers.expression()]

    def _factor(self) -> list[Item]:
        found = self._words()
        if "at" in found and self.last in ("at", ","):
            return self.offers.boundaries(self._hole(found[: found.index("at")]), qualified=True)
        if "each" in found:
            after = found[found.index("each") :]
            if self.last == "in":
                return self.offers.holes()
            return keyword_items(("in",)) if len(after) == 2 else []
        is_word = self.last[-1:].isalnum() and self.last not in (*_FACTORS, *words.OPERATOR_WORDS)
        ends = self.last in _VALUE_ENDS or is_word
        clauses = keyword_items(("at", "each", "and", "or") if self.state.keyword != "guide" else ("at",), rank=0)
        return clauses if ends and not self.state.brackets else self.offers.expression()

    def _hole(self, before: list[str]) -> str:
        """The last hole that is mentioned."""
        names = {item.label for item in self.offers.holes()}
        return next((word for word in reversed(before) if word in names), "")

    # ---- grammars

    def _grammar_declaration(self) -> list[Item]:
        found = self._words()
        if self.brace != "rules" and "=" not in found and self.last != "{":
            return keyword_items(words.TYPES) if self.last == ":" else []
        return self._grammar()

    def _grammar(self) -> list[Item]:
        if self.last == "as":
            return keyword_items(("int", "float", "json", "str"))
        if self.last in ("matches", "excludes"):
            return []
        found = self._words()
        limits = found[len(found) - found[::-1].index("where") :] if "where" in found else None
        if self.last == "where" or (limits is not None and self.last == ","):
            return keyword_items((*words.UNITS, "matches", "excludes"))
        if limits is not None:
            return keyword_items(("in",)) if self.last in words.UNITS else self.offers.expression()
        rules = self._rules()
        return [*rules, *self.offers.grammars(), *keyword_items(("where", "as"), rank=8)]

    def _rules(self) -> list[Item]:
        """The rules of the block around this place."""
        if self.brace != "rules":
            return []
        name = re.findall(r"^grammar[ \t]+(\w+)", self.text, re.MULTILINE)
        return self.offers.rules(name[-1]) if name else []

    # ---- behind a dot, in brackets, in quotes

    def _members(self) -> list[Item]:
        path = _PATH.search(self.text[: self.text.rindex(".")])
        if path is None:
            return []
        name = re.sub(r"\s", "", path[0])
        before = self._words()[: -2 * name.count(".") - 2]
        if before and (before[-1] in ("at", ",") and "at" in before and self.state.keyword in _FACTORS):
            return self.offers.boundaries(name, qualified=False)
        if before and before[-1] == "in" and "each" in before:
            return self.offers.rules_of(name)
        in_grammar = (
            self.state.inside == "hole"
            or (not self.state.inside and self.state.keyword == "grammar")
            or self.brace == "rules"
        )
        is_argument = any(is_call for _, _, is_call in self.state.brackets)
        return self.offers.members(
            name, in_grammar=in_grammar and not is_argument, templates=self.state.keyword == "use"
        )

    def _declares(self) -> bool:
        """Whether the brackets are those of the parameters that a statement declares."""
        return self.state.keyword in ("grammar", "potential", "template") and "=" not in self._words()

    def _parameter(self) -> list[Item]:
        return keyword_items(words.TYPES) if self.last in (":", "[") else []

    def _argument(self) -> list[Item]:
        start = self.state.brackets[-1][1]
        path = _PATH.search(self.text[:start])
        name = re.sub(r"\s", "", path[0]) if path is not None else ""
        inside = self.text[start + 1 :]
        given = set(re.findall(r"(\w+)[ \t]*:", inside))
        if self.last == ":":
            return [*self.offers.argument_values(name, self._label()), *self.offers.expression()]
        named = self.offers.parameters(name, given) if self.last in ("(", ",") else []
        return [*named, *self.offers.expression()]

    def _string(self) -> list[Item]:
        before = self.text[: self.state.unclosed_start]
        if self.state.keyword == "import":
            return self.offers.files(".py" if re.search(r"potential[ \t]*\Z", before) else ".smc")
        if not self.state.brackets:
            return []
        start = self.state.brackets[-1][1]
        path = _PATH.search(self.text[:start])
        name = path[0] if path is not None else ""
        if name in ("lark", "gbnf", "json.schema", "py"):
            return self.offers.files({"lark": ".lark", "gbnf": ".gbnf", "py": ".py"}.get(name, ".json"))
        label = re.search(r"(\w+)[ \t]*:[ \t]*\Z", before)
        return self.offers.argument_values(name, label[1] if label is not None else "", quoted=False)
