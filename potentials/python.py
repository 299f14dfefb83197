"""Python programs: does it compile, does it run, does it pass tests? Run in a jail, never in this process.

    import python

    grammar code = python.statements(version: "3.11") where tokens <= 400, excludes /```/
    ...
    require python.no_error(setup.text, body) at statement
    score   python.pass_rate(setup.text, body, cases) ^ 4

Of code that continues a `setup`:

| | complete | as far as it is written, at a statement |
|---|---|---|
| `compiles` | the interpreter compiles it | so do its whole statements |
| `no_error` | running it after `setup` raises nothing | so do its whole statements |
| `pass_rate` | the share of cases whose call has the wanted value | |

An exception, also SystemExit, running out of time (1 s of CPU, 2 s of waiting) or memory (512 MB beyond the
interpreter's), and ending the process are the program's failings: no, or 0. The jail's own failings raise. So does a
`setup` that fails by itself, since no code could mend it. Programs read no files but the interpreter's and its
packages, and write none; there is no network and no second thread or process. What they print goes nowhere.
As WebAssembly (docs/python.md) they get 5 s of CPU, and no files but the library's.

A case is `{ call, want }`: an expression, evaluated after the code, and its value in JSON. Tuples, sets (sorted) and
arrays count as lists, tables as mappings from column to list. Values are compared outside the jail, which
never sees `want`; numbers to nine digits.

`jail()` says what programs run in; `SMCDSL_JAIL_REQUIRE=namespaces` demands more. docs/python.md says what a
jail protects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smcdsl.protocols import Weight, potential

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smcdsl.potentials._jail_report import Report

_MOST_KEPT = 4096
_kept: dict[tuple[str, str], Report] = {}
"""Reports of prefixes: several texts have the same whole statements."""


@potential(prefix="closed", cost="200us", prefix_form="_compiles_so_far", explanation="_why_not_compiled")
def compiles(code: str) -> bool:
    """Whether the interpreter compiles `code`: syntax, and what it checks besides (`return` outside a function)."""
    from smcdsl.potentials._python_cut import mistake

    return mistake(code) is None


def _compiles_so_far(code: str) -> bool:
    """`compiles` for a beginning: no if its whole statements do not compile."""
    from smcdsl.potentials._python_cut import mistake, whole_statements

    return mistake(whole_statements(code)) is None


def _why_not_compiled(code: str, *, prefix: bool) -> str | None:
    from smcdsl.potentials._python_cut import mistake, whole_statements

    return mistake(whole_statements(code) if prefix else code)


@potential(prefix="closed", cost="4ms", batch=True, prefix_form="_no_error_so_far", explanation="_why_not")
def no_error(setup: str, code: list[str]) -> list[bool]:
    """Whether running `setup` and then `code` raises nothing, within the limits.

    Raises:
        ValueError: `setup` fails by itself.
        JailError: the jail cannot be opened, or failed.
    """
    return [report.ok for report in _reports(setup, code)]


def _no_error_so_far(setup: str, code: list[str]) -> list[bool]:
    """`no_error` for texts that end where a statement ends: no if every continuation fails."""
    return [_may_go_on(report) for report in _reports_so_far(setup, code)]


@potential(prefix="none", cost="5ms", batch=True)
def pass_rate(setup: str, code: list[str], cases: Any) -> list[Weight]:
    """The share of `cases` that pass after `setup` and `code`; 0 if these fail.

    Calls are made one after the other in one process. One that ends the process or takes all its time
    fails the cases after it too.

    Raises:
        ValueError: `cases` is not a list of `{ call, want }`, or `setup` fails by itself.
        JailError: the jail cannot be opened, or failed.
    """
    from smcdsl.potentials._python_cases import read_cases, same

    read = read_cases(cases)
    rates = []
    for report in _reports(setup, code, tuple(case.call for case in read)):
        passed = 0
        if report.failure is None:
            passed = sum(
                index in report.values and same(report.values[index], case.want) for index, case in enumerate(read)
            )
        rates.append(passed / len(read))
    return rates


def jail() -> str:
    """What programs run in on this machine, such as `cpython-jail (limits, landlock, seccomp)`.

    Raises:
        JailError: no jail can be opened.
    """
    from smcdsl.potentials._jail import open_jail

    return open_jail().rung


def _reports(setup: str, codes: Sequence[str], calls: tuple[str, ...] = ()) -> list[Report]:
    """Run complete codes; those too long are not run."""
    from smcdsl.potentials._jail import run_all
    from smcdsl.potentials._jail_report import Program, Report
    from smcdsl.potentials._python_cut import MOST_CHARACTERS

    short = [code for code in dict.fromkeys(codes) if len(code) <= MOST_CHARACTERS]
    reports = dict(zip(short, run_all([Program(setup, code, calls) for code in short]), strict=True))
    for report in reports.values():
        _check_setup(report)
    return [reports.get(code) or Report("large", finished_setup=True) for code in codes]


def _check_setup(report: Report) -> None:
    """A setup that fails is a mistake of the program's author.

    Raises:
        ValueError: it did.
    """
    if report.failure is not None and report.failure.part == "setup":
        raise ValueError(f"the setup fails by itself: {report.failure}")
    if not report.finished_setup:
        raise ValueError(f"the setup fails by itself: {report}")


def _reports_so_far(setup: str, codes: Sequence[str]) -> list[Report]:
    """Run the whole statements of codes, each distinct one once."""
    from smcdsl.potentials._python_cut import whole_statements

    cuts = [whole_statements(code) for code in codes]
    fresh = [cut for cut in dict.fromkeys(cuts) if (setup, cut) not in _kept]
    if len(_kept) + len(fresh) > _MOST_KEPT:
        fresh = list(dict.fromkeys(cuts))
        _kept.clear()
    _kept.update(((setup, cut), report) for cut, report in zip(fresh, _reports(setup, fresh), strict=True))
    return [_kept[setup, cut] for cut in cuts]


def _may_go_on(report: Report) -> bool:
    """Whether a continuation may be right. A name missed inside a function may be one that is defined later."""
    failure = report.failure
    return report.ok or (failure is not None and failure.missing_name and failure.inside_function)


def _why_not(setup: str, code: str, *, prefix: bool) -> str | None:
    report = _reports_so_far(setup, [code])[0] if prefix else _reports(setup, [code])[0]
    return None if (_may_go_on(report) if prefix else report.ok) else str(report)
