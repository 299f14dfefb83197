"""smcdsl: programs that say what a language model may write, and how good it is."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

# A wheel carries grammars/ and potentials/ inside this package; a checkout keeps them beside it.
if not Path(__file__).with_name("potentials").is_dir():
    __path__.append(str(Path(__file__).parents[1]))

from smcdsl.errors import (
    BudgetExceeded,
    CompileError,
    ModelError,
    NoSurvivors,
    PotentialError,
    SmcdslError,
    UsageError,
)

if TYPE_CHECKING:
    from smcdsl.engine import CompiledProgram, compile, load, model
    from smcdsl.engine.result import Distribution, Result
    from smcdsl.protocols import LogWeight, Sqlite, Weight, potential

__version__ = "0.1.0"

_LATER = {
    "CompiledProgram": "smcdsl.engine",
    "LogWeight": "smcdsl.protocols",
    "Distribution": "smcdsl.engine.result",
    "Result": "smcdsl.engine.result",
    "Sqlite": "smcdsl.protocols",
    "Weight": "smcdsl.protocols",
    "compile": "smcdsl.engine",
    "load": "smcdsl.engine",
    "model": "smcdsl.engine",
    "potential": "smcdsl.protocols",
}
"""Names whose modules are imported when first asked for."""

__all__ = [
    "BudgetExceeded",
    "CompileError",
    "CompiledProgram",
    "Distribution",
    "LogWeight",
    "ModelError",
    "NoSurvivors",
    "PotentialError",
    "Result",
    "SmcdslError",
    "Sqlite",
    "UsageError",
    "Weight",
    "__version__",
    "compile",
    "load",
    "model",
    "potential",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
