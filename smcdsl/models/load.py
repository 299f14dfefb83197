"""From a name to a model: the embedded one, a table, a folder, an alias, a hub name, in this order."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from smcdsl.errors import ModelError
from smcdsl.models import load_mistakes
from smcdsl.protocols import LanguageModel

Backend = Literal["auto", "hf", "toy"]

EMBEDDED = "tiny"
TOY_PREFIX = "toy:"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Alias:
    """A row of aliases.toml."""

    name: str
    hub: str
    parameters: str
    context: int
    gated: bool
    chat: bool


@cache
def aliases() -> dict[str, Alias]:
    """The packaged table of short names."""
    text = files("smcdsl.models").joinpath("aliases.toml").read_text(encoding="utf-8")
    return {name: Alias(name=name, **row) for name, row in tomllib.loads(text).items()}


def load_model(
    name: str | None = None,
    *,
    backend: Backend = "auto",
    device: str = "auto",
    dtype: str = "auto",
    revision: str | None = None,
    chat_template: str | None = None,
) -> LanguageModel:
    """Load a model by name.

    Args:
        name: None or `tiny` for the embedded model; `toy:FILE.json`; a folder; an alias; `org/name`.
        backend: what to load it with; `toy` takes a bare file name as a table.
        device, dtype, revision: for `hf` (see `models.huggingface.load`).
        chat_template: Jinja text in place of the model's own.

    Raises:
        ModelError: unknown (E0803), offline, gated, incomplete or broken.
    """
    if backend == "toy" or (name is not None and name.startswith(TOY_PREFIX)):
        from smcdsl.models.toy import load as load_toy

        return load_toy((name or "").removeprefix(TOY_PREFIX))
    if name in (None, EMBEDDED) and backend == "auto" and chat_template is None:
        from smcdsl.models.embedded.model import EmbeddedModel

        return EmbeddedModel(EMBEDDED)
    source = source_of(name or EMBEDDED)
    from smcdsl.models.huggingface import load as load_huggingface

    return load_huggingface(
        name or EMBEDDED, source, revision=revision, device=device, dtype=dtype, chat_template=chat_template
    )


def source_of(name: str) -> str:
    """A folder or a hub name."""
    if name == EMBEDDED:
        return str(files("smcdsl.models.embedded"))
    if Path(name).is_dir():
        return name
    if name in aliases():
        return aliases()[name].hub
    looks_like_path = name.startswith((".", "/", "~")) or name.endswith("/") or "\\" in name or name.count("/") > 1
    if looks_like_path or Path(name).exists():
        raise ModelError(load_mistakes.missing_folder(name), name)
    if _HUB_NAME.fullmatch(name):
        return name
    raise ModelError(load_mistakes.unknown_model(name, similar(name)), name)


def installed(hub_name: str) -> Path | None:
    """The snapshot with weights in the hub's local cache, the latest if there are several; None if there is none."""
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    snapshots = cache / f"models--{hub_name.replace('/', '--')}" / "snapshots"
    found = [file.parent for file in snapshots.glob("*/*.safetensors")]
    return max(found, key=lambda folder: folder.stat().st_mtime, default=None)


def similar(name: str) -> list[str]:
    """Aliases that somebody who typed `name` may have meant, the best first; two at most."""
    wanted = _plain(name)
    scored = [(SequenceMatcher(None, wanted, _plain(alias)).ratio(), alias) for alias in (*aliases(), EMBEDDED)]
    best = sorted((score, alias) for score, alias in scored if score >= 0.8)[::-1]
    return [alias for score, alias in best[:2] if score == best[0][0]]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower().split("/")[-1])
