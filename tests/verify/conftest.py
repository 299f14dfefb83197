"""The programs by hand of the tests of inference are enumerated here too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "inference"))
