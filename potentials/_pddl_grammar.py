"""Binding `grammars/pddl.lark` to a domain and a problem: the library's `specialize` hook.

A lexeme is one terminal whatever stands around it, but a word can be a predicate here and an object there. So words
are sorted by the set of roles they can play (a predicate of these types, an object that fits there, ...), each set
that occurs becomes one terminal, and a rule for each role lists the terminals whose words have it. Predicates of
equal types are one role; so the rules grow with the domain's types, not with the number of objects.

Under `line` blanks are terminals of the rules and each word has one spelling, the first one of the files; under `free`
blanks are ignored and words have any case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from string import ascii_letters

from smcdsl.potentials._pddl_model import ADL, OBJECT, Domain, Problem, Types

from smcdsl.errors import Diagnostic, UsageError
from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    Grammar,
    GrammarExpression,
    LiteralText,
    Pattern,
    Reference,
    Repeat,
    Terminal,
)

Parts = tuple[str, ...]
"""A sequence: names of rules, and texts that begin with `'`; `~` stands for the blank between words."""

_NAME = "[A-Za-z0-9_][A-Za-z0-9_-]*"
_OTHER = "[A-Za-z0-9_?:-][A-Za-z0-9_?:-]*"


def bind_goal(grammar: Grammar, domain: Domain, problem: Problem | None, layout: str) -> Grammar:
    """Goals of a domain, over the objects of a problem or any.

    Raises:
        UsageError: E0802, no goal can be written with these objects.
    """
    building = _Building(domain, problem, layout)
    building.goal()
    if "literal" not in building.rules:
        raise UsageError(Diagnostic("E0802", f"no object of the problem fits any predicate of `{domain.name}`"))
    return building.finish(grammar, "goal", {"single": "conjunct"}, ("conjunct",))


def bind_plan(grammar: Grammar, domain: Domain, problem: Problem | None, layout: str) -> Grammar:
    """Plans of a domain, over the objects of a problem or any.

    Raises:
        UsageError: E0802, no action can be written with these objects.
    """
    building = _Building(domain, problem, layout)
    building.plan()
    if "action" not in building.rules:
        raise UsageError(Diagnostic("E0802", f"no object of the problem fits any action of `{domain.name}`"))
    return building.finish(grammar, "plan", {}, ("action",))


def bind_problem(grammar: Grammar, domain: Domain, layout: str) -> Grammar:
    """Problems of a domain; objects have any names, so only the number of a predicate's objects is known."""
    building = _Building(domain, None, layout)
    building.problem()
    return building.finish(grammar, "problem", {"single": "conjunct"}, ("conjunct",))


class _Building:
    """Rules and words of one bound grammar."""

    def __init__(self, domain: Domain, problem: Problem | None, layout: str) -> None:
        self._domain = domain
        self._problem = problem
        self._is_free = layout == "free"
        self.rules: dict[str, list[Parts]] = {}
        self._words: dict[str, dict[str, None]] = {}  # role -> words
        self._texts: dict[str, str] = {}  # fixed text -> terminal
        self._has_names = problem is None

    def goal(self) -> None:
        """The rules from `goal` down."""
        logic = self._domain.requirements
        self._formulas("", quantified=False)
        if "literal" not in self.rules:
            return
        self.rules["goal"] = [("single",), ("'(", "'and", "conjuncts", "')")]
        self.rules["conjuncts"] = [("~", "conjunct"), ("conjuncts", "~", "conjunct")]
        self.rules["single"] = [("simple",)]
        self.rules["conjunct"] = [("simple",), ("nested",)] if "nested" in self.rules else [("simple",)]
        if logic & {":existential-preconditions", ":universal-preconditions"}:
            self._formulas("_inside", quantified=True)

    def plan(self) -> None:
        """The rules from `plan` down."""
        for action in self._domain.actions.values():
            role = self._role("action", tuple(types for _, types in action.parameters))
            self._words.setdefault(role, {})[action.name] = None
            self._applied("action", role, tuple(types for _, types in action.parameters), "")
        self.rules["plan"] = [("action",), ("plan", "'\n", "action")] if not self._is_free else []
        if self._is_free:
            self.rules["plan"] = [("action",), ("plan", "action")]

    def problem(self) -> None:
        """The rules from `problem` down."""
        self.goal()
        head = ("'(", "'define", "~", "'(", "'problem", "~", "name", "')", "gap", "'(", "':domain", "~", "domain", "')")
        self._words["domain"] = {self._domain.name: None}
        self.rules["gap"] = [() if self._is_free else ("'\n    ",)]
        self.rules["end"] = [() if self._is_free else ("'\n",)]
        tail = ("init", "gap", "goal_section", "end", "')")
        self.rules["problem"] = [
            (*head, "gap", *optional, *objects, *tail)
            for optional in ((), ("requirements", "gap"))
            for objects in (("objects", "gap"), ())
        ]
        self.rules["requirements"] = [("'(", "':requirements", "requirement_list", "')")]
        self.rules["requirement_list"] = [("~", "REQUIREMENT"), ("requirement_list", "~", "REQUIREMENT")]
        self.rules["objects"] = [("'(", "':objects", "object_list", "')"), ("'(", "':objects", "')")]
        self.rules["object_list"] = [("~", "object"), ("object_list", "~", "object")]
        self.rules["object"] = [("name",)]
        if len(self._domain.parents) > 1:
            self.rules["object"] += [("name", "~", "'-", "~", "type")]
            self._words["type_name"] = dict.fromkeys(self._domain.parents)
            self.rules["type"] = [("type_name",), ("'(", "'either", "type_names", "')")]
            self.rules["type_names"] = [("~", "type_name"), ("type_names", "~", "type_name")]
        self.rules["init"] = [("'(", "':init", "facts", "')"), ("'(", "':init", "')")]
        self.rules["facts"] = [("~", "literal_atom"), ("facts", "~", "literal_atom")]
        self.rules["goal_section"] = [("'(", "':goal", "~", "goal", "')")]

    def _formulas(self, suffix: str, *, quantified: bool) -> None:
        """Rules for conditions; inside quantifiers (`suffix`) variables may stand for objects."""
        logic = self._domain.requirements
        for name, types in self._domain.predicates.items():
            role = self._role("predicate", types)
            self._words.setdefault(role, {})[name] = None
            self._applied(f"literal_atom{suffix}", role, types, suffix)
        if f"literal_atom{suffix}" not in self.rules:
            return
        atom, literal, simple, nested, formula = (
            f"{name}{suffix}" for name in ("literal_atom", "literal", "simple", "nested", "formula")
        )
        self.rules[literal] = [(atom,)]
        self.rules[simple] = [(literal,)]
        self.rules[formula] = [(simple,)]
        if logic & {":negative-preconditions", ":disjunctive-preconditions"}:
            self.rules[literal] += [("'(", "'not", "~", atom, "')")]
        if ":equality" in logic and quantified:
            # Between objects it says nothing; between variables and objects it may.
            anything = self._term((OBJECT,), suffix)
            self.rules[literal] += [("'(", "'=", "~", anything, "~", anything, "')")]
            self.rules[literal] += [("'(", "'not", "~", "'(", "'=", "~", anything, "~", anything, "')", "')")]
        if ":disjunctive-preconditions" in logic:
            self.rules[simple] += [
                ("'(", "'or", f"formulas{suffix}", "')"),
                ("'(", "'imply", "~", formula, "~", formula, "')"),
                ("'(", "'not", "~", f"compound{suffix}", "')"),
            ]
            self.rules[f"compound{suffix}"] = [("'(", "'or", f"formulas{suffix}", "')"), (nested,)]
        if logic & {":disjunctive-preconditions", ":existential-preconditions", ":universal-preconditions"}:
            self.rules[nested] = [("'(", "'and", f"formulas{suffix}", "')")]
            self.rules[formula] += [(nested,)]
            self.rules[f"formulas{suffix}"] = [("~", formula), (f"formulas{suffix}", "~", formula)]
        for requirement, word in ((":existential-preconditions", "exists"), (":universal-preconditions", "forall")):
            if requirement in logic:
                quantifier = ("'(", f"'{word}", "~", "'(", "variables", "')", "~", "formula_inside", "')")
                self.rules[simple] += [quantifier]
                self._variables()

    def _variables(self) -> None:
        self.rules["variables"] = [("variable",), ("variables", "~", "variable")]
        self.rules["variable"] = [("VARIABLE",)]
        if len(self._domain.parents) > 1:
            self.rules["variable"] += [("VARIABLE", "~", "'-", "~", "variable_type")]
            self._words["variable_type"] = dict.fromkeys(self._domain.parents)

    def _applied(self, rule: str, role: str, types: tuple[Types, ...], suffix: str) -> None:
        """`rule` may be a word of the role with objects of these types, if there are such objects."""
        terms = [self._term(wanted, suffix) for wanted in types]
        if suffix == "" and any(term not in self.rules and not self._words.get(term) for term in terms):
            return
        parts = ("'(", role, *(part for term in terms for part in ("~", term)), "')")
        alternatives = self.rules.setdefault(rule, [])
        if parts not in alternatives:
            alternatives.append(parts)

    def _term(self, types: Types, suffix: str) -> str:
        """The rule for an object that fits; its words are noted."""
        if self._problem is None:
            self.rules.setdefault("name", [])
            if not suffix:
                return "name"
            self.rules["name_inside"] = [("name",), ("VARIABLE",)]
            return "name_inside"
        role = f"object_{'_or_'.join(sorted(types))}"
        words = self._words.setdefault(role, {})
        words.update(dict.fromkeys(self._problem.of_types(self._domain, types)))
        if not suffix:
            return role
        self.rules[f"{role}_inside"] = [(role,), ("VARIABLE",)] if words else [("VARIABLE",)]
        return f"{role}_inside"

    def _role(self, kind: str, types: tuple[Types, ...]) -> str:
        if self._problem is None:
            return f"{kind}_{len(types)}"
        return "_of_".join((kind, *("_or_".join(sorted(each)) for each in types)))

    def finish(
        self, grammar: Grammar, start: str, boundary_of: dict[str, str], boundaries: tuple[str, ...]
    ) -> Grammar:
        """The grammar: words become terminals, sequences become expressions."""
        terminals = self._word_terminals()
        rules: dict[str, GrammarExpression] = {}
        for rule, alternatives in self.rules.items():
            if rule != "name":
                rules[rule] = Alternatives(tuple(self._sequence(parts) for parts in alternatives))
        roles = {role: [] for role in self._words} | {f"'{text}": [] for text in self._texts if _is_word(text)}
        for name, (_, played) in terminals.items():
            for role in played:
                roles[role].append(name)
        for role, names in roles.items():
            rules[_rule_of(role)] = Alternatives(tuple(_reference(name) for name in names))
        found = {name: Terminal(name, definition, is_keyword=True) for name, (definition, _) in terminals.items()}
        found |= {name: Terminal(name, LiteralText(text)) for text, name in self._texts.items() if not _is_word(text)}
        found |= self._patterns()
        if "name" in self.rules:
            rules["name"] = Alternatives(tuple(_reference(name) for name in ("NAME", *_speakable(terminals))))
        kept = _reachable(rules, start)
        rules = {name: rule for name, rule in rules.items() if name in kept}
        dead = {"OTHER"} if self._is_free else set()
        ordered = {
            name: replace(terminal, order=order)
            for order, (name, terminal) in enumerate(found.items())
            if name in kept | dead | set(terminals) | ({"BLANK"} if self._is_free else set())
        }
        return replace(
            grammar,
            start=start,
            rules=rules,
            terminals=ordered,
            ignored=("BLANK",) if self._is_free else (),
            boundaries=boundaries,
            boundary_of={rule: boundary for rule, boundary in boundary_of.items() if rule in rules},
            fragments={},
        )

    def _sequence(self, parts: Parts) -> GrammarExpression:
        items = []
        for part in parts:
            if part == "~":
                if self._is_free:
                    continue
                part = "' "
            items.append(_reference(self._text(part[1:]) if part.startswith("'") else part))
        return Concatenation(tuple(items))

    def _text(self, text: str) -> str:
        """The terminal of a sign, or the rule of a word."""
        known = self._texts.setdefault(text, f"SIGN_{len(self._texts)}")
        return _rule_of(f"'{text}") if _is_word(text) else known

    def _word_terminals(self) -> dict[str, tuple[GrammarExpression, frozenset[str]]]:
        """One terminal for all words of the same roles: its definition and the roles."""
        for alternatives in self.rules.values():
            for parts in alternatives:
                self._sequence(parts)  # notes the fixed texts
        played: dict[str, set[str]] = {}
        for role, words in self._words.items():
            for word in words:
                played.setdefault(word, set()).add(role)
        for text in self._texts:
            if _is_word(text):
                played.setdefault(text, set()).add(f"'{text}")
        classes: dict[frozenset[str], list[str]] = {}
        for word, roles in played.items():
            classes.setdefault(frozenset(roles), []).append(word)
        return {
            f"WORD_{number}": (Alternatives(tuple(self._spelled(word) for word in sorted(words))), roles)
            for number, (roles, words) in enumerate(classes.items())
        }

    def _spelled(self, word: str) -> GrammarExpression:
        if self._is_free:
            # ASCII letters only: ignoring case as Unicode does would take the Kelvin sign for a k.
            return Pattern("".join(f"[{c.lower()}{c.upper()}]" if c in ascii_letters else re.escape(c) for c in word))
        spellings = {} if self._problem is None else self._problem.spellings
        own = spellings if self._problem is not None and word in self._problem.objects else self._domain.spellings
        return LiteralText(own.get(word) or self._domain.spellings.get(word) or word)

    def _patterns(self) -> dict[str, Terminal]:
        patterns = {"REQUIREMENT": "", "VARIABLE": r"\?[A-Za-z][A-Za-z0-9_-]*", "NAME": _NAME}
        found = {name: Terminal(name, Pattern(pattern)) for name, pattern in patterns.items() if pattern}
        words = sorted({*ADL, ":strips", ":adl", ":quantified-preconditions"})
        found["REQUIREMENT"] = Terminal("REQUIREMENT", Alternatives(tuple(self._spelled(word) for word in words)))
        # What is no word of the grammar is one lexeme nonetheless: `b1b2` is not `b1` and `b2`.
        found["OTHER"] = Terminal("OTHER", Pattern(_OTHER))
        found["BLANK"] = Terminal("BLANK", Pattern(r"[ \t\r\n]+"))
        return found


def _is_word(text: str) -> bool:
    return text[0].isalpha() or text[0] == ":"


def _rule_of(role: str) -> str:
    return f"word_{role[1:].lstrip(':')}" if role.startswith("'") else role


def _speakable(terminals: dict[str, tuple[GrammarExpression, frozenset[str]]]) -> Iterable[str]:
    """Terminals of words that an object may be called: all but the words of conditions and sections."""
    return (name for name, (_, roles) in terminals.items() if not any(role.startswith("'") for role in roles))


def _reachable(rules: dict[str, GrammarExpression], start: str) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            if name in rules:
                waiting += _names(rules[name])
    return reached


def _names(expression: GrammarExpression) -> Iterable[str]:
    match expression:
        case Reference():
            yield expression.name
        case Concatenation(items=items) | Alternatives(items=items):
            for item in items:
                yield from _names(item)
        case Repeat(item=item):
            yield from _names(item)


def _reference(name: str) -> Reference:
    return Reference((name,))
