"""What there is to measure: `python -m benchmarks.inference` lists it, with the first line of each.

Each is a program of its own, `python -m benchmarks.inference.NAME --help`.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path


def programs() -> dict[str, str]:
    """The benchmarks of this folder by name, with the first line of what they say of themselves; none is imported."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        tree = ast.parse(path.read_text())
        runs = any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)
        if runs and not path.name.startswith("__") and not path.name.endswith("_peer.py"):
            found[path.stem] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return found


def main() -> int:
    """Print the list."""
    for name, line in programs().items():
        print(f"python -m benchmarks.inference.{name}\n    {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
