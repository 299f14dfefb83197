"""A small TextMate engine: line by line, a stack of begin/end rules, the leftmost match wins, then the earlier rule.

It knows what our grammar uses: match, begin/end, captures (with patterns), contentName, include of the repository.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

Rule = dict[str, Any]


@dataclass
class Line:
    """The innermost scope of every UTF-16 column of a line."""

    scopes: list[str] = field(default_factory=list)

    def at(self, column: int) -> str:
        return self.scopes[column] if column < len(self.scopes) else ""


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """An Oniguruma pattern of ours for Python: `\\p{L}` is in `\\w`, look-behinds are split by their widths."""
    pattern = pattern.replace(r"[A-Za-z_\p{L}]", r"[^\W\d]").replace(r"\p{L}", "")
    return re.compile(re.sub(r"\(\?<=([^()\[\]]*\|[^()\[\]]*)\)", _split, pattern))


def _split(match: re.Match[str]) -> str:
    return "(?:" + "|".join(f"(?<={option})" for option in match[1].split("|")) + ")"


class Engine:
    """Tokenizes with one grammar."""

    def __init__(self, grammar: Rule) -> None:
        self.grammar = grammar

    def tokenize(self, text: str) -> list[Line]:
        stack: list[Rule] = [self.grammar]
        return [self._line(line, stack) for line in text.split("\n")]

    def _patterns(self, rule: Rule) -> list[Rule]:
        found: list[Rule] = []
        for pattern in rule.get("patterns", ()):
            if "include" in pattern:
                included = self.grammar["repository"][pattern["include"][1:]]
                is_group = "match" not in included and "begin" not in included
                found += self._patterns(included) if is_group else [included]
            else:
                found.append(pattern)
        return found

    def _line(self, line: str, stack: list[Rule]) -> Line:
        scopes = [""] * len(line)
        position = 0
        stuck = 0
        while position <= len(line):
            top = stack[-1]
            outer = _scope(stack)
            best = self._best(line, position, top)
            if best is None:
                scopes[position:] = [outer] * (len(line) - position)
                break
            match, rule, ends = best
            scopes[position : match.start()] = [outer] * (match.start() - position)
            stuck = stuck + 1 if match.end() == position else 0
            if stuck > 10:
                break
            if ends:
                self._paint(scopes, match, top.get("endCaptures", {}), top.get("name", outer))
                stack.pop()
            elif "begin" in rule:
                self._paint(scopes, match, rule.get("beginCaptures", {}), rule.get("name", outer))
                stack.append(rule)
            else:
                self._paint(scopes, match, rule.get("captures", {}), rule.get("name", outer))
            position = match.end() if match.end() > position or ends or "begin" in rule else position + 1
        return Line([scope for char, scope in zip(line, scopes) for _ in range(2 if ord(char) > 0xFFFF else 1)])

    def _best(self, line: str, position: int, top: Rule) -> tuple[re.Match[str], Rule, bool] | None:
        candidates: list[tuple[re.Match[str], Rule, bool]] = []
        if "end" in top and (match := compiled(top["end"]).search(line, position)) is not None:
            candidates.append((match, top, True))
        for rule in self._patterns(top):
            match = compiled(rule.get("match") or rule["begin"]).search(line, position)
            if match is not None and (match.end() > match.start() or "begin" in rule):
                candidates.append((match, rule, False))
        return min(candidates, key=lambda each: each[0].start(), default=None)

    def _paint(self, scopes: list[str], match: re.Match[str], captures: Rule, scope: str) -> None:
        for index in range(match.start(), match.end()):
            scopes[index] = scope
        for number, capture in captures.items():
            start, end = match.span(int(number))
            if start < 0:
                continue
            if "name" in capture:
                scopes[start:end] = [capture["name"]] * (end - start)
            elif "patterns" in capture:
                inner = self._line(match.string[start:end], [{**capture, "name": scope}]).scopes
                scopes[start:end] = inner if len(inner) == end - start else [scope] * (end - start)


def _scope(stack: list[Rule]) -> str:
    """The scope of what no rule matches: that of the innermost rule that names its content or itself."""
    for rule in reversed(stack):
        if "contentName" in rule or ("name" in rule and "scopeName" not in rule):
            return rule.get("contentName") or rule["name"]
    return ""
