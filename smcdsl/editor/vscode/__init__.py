"""The extension for VS Code: this folder."""

from pathlib import Path

FOLDER = Path(__file__).parent
"""Where the extension's files are."""
