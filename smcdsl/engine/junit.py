"""Tested programs as JUnit XML, as build servers read it: a suite a program, a case a line of a test block."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from xml.etree import ElementTree

from smcdsl.engine.testing import Tested
from smcdsl.report.diagnostics import render
from smcdsl.report.visible import escape


def junit_xml(tested: Sequence[Tested]) -> str:
    """The document. Control characters, which XML cannot hold, are spelled out."""
    suites = ElementTree.Element("testsuites")
    for program, blocks in groupby(tested, key=lambda each: each.program):
        _suite(suites, program, list(blocks))
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _suite(suites: ElementTree.Element, program: str, blocks: Sequence[Tested]) -> None:
    suite = ElementTree.SubElement(suites, "testsuite", name=escape(program))
    tests = failures = errors = skipped = 0
    for block in blocks:
        seconds = block.seconds / max(len(block.checks), 1)
        for check in block.checks:
            tests += 1
            case = _case(suite, block.name, check.line, seconds)
            if check.passed is None:
                skipped += 1
                ElementTree.SubElement(case, "skipped", message=escape(check.detail))
            elif check.problem is not None:
                failures += 1
                failure = ElementTree.SubElement(case, "failure", message=escape(check.problem.message))
                failure.text = escape(render([check.problem]), keep_newlines=True)
        if block.failure is not None:
            tests += 1
            errors += 1
            case = _case(suite, block.name, "run to its end", seconds)
            error = ElementTree.SubElement(case, "error", message=escape(block.failure.diagnostics[0].message))
            error.text = escape(render(block.failure.diagnostics), keep_newlines=True)
    counts = {"tests": tests, "failures": failures, "errors": errors, "skipped": skipped}
    suite.attrib |= {name: str(count) for name, count in counts.items()}


def _case(suite: ElementTree.Element, block: str, line: str, seconds: float) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=escape(block), name=escape(line), time=f"{seconds:.3f}")
