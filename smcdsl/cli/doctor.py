"""`smcdsl doctor`: is everything there that a run may need?"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import click

from smcdsl.cli import exits
from smcdsl.cli.terminal import Terminal


@dataclass(frozen=True)
class Finding:
    """One line: `ok`, `missing` (something will not work) or `note`."""

    state: str
    what: str
    detail: str


@click.command("doctor")
@click.pass_obj
def command(terminal: Terminal) -> int:
    """Check the installation, GPU, models and external tools."""
    findings = list(examine())
    marks = {"ok": "\x1b[32mok     \x1b[0m", "missing": "\x1b[31mmissing\x1b[0m", "note": "note   "}
    plain = {"ok": "ok     ", "missing": "missing", "note": "note   "}
    painted = marks if terminal.colored(sys.stdout) else plain
    for finding in findings:
        click.echo(f"  {painted[finding.state]}  {finding.what:<26} {finding.detail}".rstrip(), color=True)
    return exits.FINDINGS if any(finding.state == "missing" for finding in findings) else exits.SUCCESS


def examine() -> Iterator[Finding]:
    """Look at everything, fastest first."""
    from smcdsl import __version__

    yield Finding("ok", "smcdsl", f"{__version__} on Python {platform.python_version()}, {platform.system()}")
    for package in ("numpy", "numba", "lark", "tokenizers", "safetensors", "torch", "transformers"):
        yield _package(package, "pip install smcdsl")
    for package, library in (("sqlglot", "sql"), ("rdkit", "smiles")):
        yield _package(package, f"needed by `import {library}`: pip install {package}")
    yield _extra("rustworkx", "pddl", "`pddl.equivalent` needs it")
    yield _extra("unified_planning", "planners", "`pddl.plan_likelihood` can use it")
    yield _extra("pygls", "lsp", "`smcdsl lsp` needs it")
    yield _sqlite()
    yield _duckdb()
    yield _cache()
    yield from _jail()
    yield from _embedded()
    yield from _devices()
    yield _hub()
    yield _services()


def _package(name: str, advice: str) -> Finding:
    if importlib.util.find_spec(name) is None:
        return Finding("missing", name, advice)
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Finding("ok", name, version(name))
    except PackageNotFoundError:
        return Finding("ok", name, "")


def _extra(name: str, extra: str, purpose: str) -> Finding:
    """A package that only some programs need: its absence is a note."""
    found = _package(name, f"not installed; {purpose}: pip install smcdsl[{extra}]")
    return Finding("note", name, found.detail) if found.state == "missing" else found


def _sqlite() -> Finding:
    import sqlite3

    return Finding("ok", "SQLite", sqlite3.sqlite_version)


def _duckdb() -> Finding:
    if importlib.util.find_spec("duckdb") is None:
        advice = "not installed; checks SQL of other dialects than SQLite's: pip install 'smcdsl[duckdb]'"
        return Finding("note", "duckdb", advice)
    return _package("duckdb", "")


def _cache() -> Finding:
    from smcdsl.cache import cache_dir

    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if writable:
        free = shutil.disk_usage(folder).free / 1e9
        return Finding("ok", "cache", f"{folder} ({free:.0f} GB free)")
    return Finding("note", "cache", f"{folder} cannot be written; grammars are compiled anew each time")


def _jail() -> Iterator[Finding]:
    """The layers of the jail in which `import python` runs programs, and what its self-test says."""
    jail = importlib.import_module("smcdsl.potentials._jail")
    for state, what, detail in jail.findings():
        yield Finding(state, what, detail)


def _embedded() -> Iterator[Finding]:
    from smcdsl.errors import SmcdslError
    from smcdsl.models.load import load_model

    try:
        model = load_model(None)
        yield Finding("ok", "embedded model", f"{len(model.vocabulary):,} tokens, context {model.context_length:,}")
    except (SmcdslError, OSError) as error:
        yield Finding("missing", "embedded model", str(error))


def _devices() -> Iterator[Finding]:
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    yield Finding("ok", "CPU", f"{os.cpu_count()} cores, {torch.get_num_threads()} threads for torch")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            memory = torch.cuda.get_device_properties(index).total_memory / 1e9
            yield Finding("ok", f"GPU {index}", f"{torch.cuda.get_device_name(index)}, {memory:.0f} GB")
    else:
        yield Finding("note", "GPU", "none that torch can use; models run on the CPU")


def _hub() -> Finding:
    from smcdsl.cli.models import listing

    here = [str(row["name"]) for row in listing() if row["here"]]
    offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
    return Finding("ok", "models here", ", ".join(here) + offline)


def _services() -> Finding:
    """What the judges of programs may connect to; keys are looked for, never shown."""
    from smcdsl.errors import UsageError

    # Potentials are imported by name, as programs do.
    allowed_hosts = importlib.import_module("smcdsl.potentials._judge_hosts").allowed_hosts
    try:
        services = allowed_hosts()
    except UsageError as error:
        return Finding("missing", "judge services", error.diagnostics[0].message)
    names = list(dict.fromkeys(host for host, _ in services))
    lacking = sorted({variable for variable in services.values() if variable and not os.environ.get(variable)})
    if lacking:
        return Finding("missing", "judge services", f"{', '.join(names)}; {', '.join(lacking)}, their key, is not set")
    detail = ", ".join(names) or "none; SMCDSL_HTTP_HOSTS lists those that programs may ask"
    return Finding("ok" if names else "note", "judge services", detail)
