"""smcdsl: programs that say what a language model may write, and how good it is."""

from pathlib import Path

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

__version__ = "0.1.0"

__all__ = [
    "BudgetExceeded",
    "CompileError",
    "ModelError",
    "NoSurvivors",
    "PotentialError",
    "SmcdslError",
    "UsageError",
    "__version__",
]
