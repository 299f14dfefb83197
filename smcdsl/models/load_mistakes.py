"""What can go wrong between a model's name and the model, each with what to do about it.

transformers reports every failure as an `OSError` whose cause tells the case, and retries for 23 seconds
where there is no network; so the hub is asked once, with a short deadline, before it is used.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from smcdsl.errors import Diagnostic, ModelError

HUB_DEADLINE_SECONDS = 4.0


def unknown_model(name: str, similar: Sequence[str]) -> Diagnostic:
    """E0803: neither an alias, nor a folder, nor of the form of a hub name."""
    meant = f"did you mean {' or '.join(f'`{other}`' for other in similar)}? " if similar else ""
    rest = "A folder or a hub name works too. `smcdsl models` lists the aliases"
    return Diagnostic(
        "E0803",
        f"I do not know a model called `{name}`",
        context=f"--model {name}",
        help=meant + (rest if similar else rest[0].lower() + rest[1:]),
    )


def missing_folder(name: str) -> Diagnostic:
    """E0803: a path that is not there."""
    return Diagnostic(
        "E0803",
        f"there is no model folder `{name}`",
        context=f"--model {name}",
        help="check the path; `smcdsl models` lists the names that need none",
    )


def incomplete_folder(name: str, folder: Path, missing: str) -> Diagnostic:
    """E0808: a folder without one of the files that a model needs."""
    files = sorted(file.name for file in folder.iterdir())
    shown = ", ".join(files[:6]) + (", ..." if len(files) > 6 else "")
    return Diagnostic(
        "E0808",
        f"the model folder `{name}` has no {missing}",
        context=f"--model {name}",
        facts=(f"it holds {shown}" if files else "it is empty",),
        help="download the whole model, for example with `hf download ORG/NAME --local-dir FOLDER`",
    )


def offline(name: str, source: str) -> Diagnostic:
    """E0809: the hub cannot be reached and the model is not in the local cache."""
    return Diagnostic(
        "E0809",
        f"`{name}` is not on this machine, and the hub cannot be reached",
        context=f"--model {name}",
        facts=(f"looked for `{source}` in the local cache",),
        help=f"connect once and run `hf download {source}`, give a folder, or use the embedded model (`--model tiny`)",
    )


def gated(name: str, source: str) -> Diagnostic:
    """E0810: the hub wants a licence accepted."""
    return Diagnostic(
        "E0810",
        f"`{name}` is gated: its licence must be accepted first",
        context=f"--model {name}",
        help=f"accept it on the page of `{source}` on the hub, then run `hf auth login`",
    )


def not_on_hub(name: str, source: str) -> Diagnostic:
    """E0803: the hub knows no such repository, or hides it from us."""
    return Diagnostic(
        "E0803",
        f"the hub has no model `{source}`",
        context=f"--model {name}",
        notes=("private models look the same until you run `hf auth login`",),
        help="check the spelling; `smcdsl models` lists the aliases",
    )


def broken(name: str, reason: str) -> Diagnostic:
    """E0811: transformers refuses the files."""
    return Diagnostic(
        "E0811",
        f"`{name}` cannot be loaded",
        context=f"--model {name}",
        facts=(reason,),
        help="check that the files are complete and that the model is a causal language model",
    )


def unknown_tokenizer(name: str, reason: str) -> Diagnostic:
    """E0812: the bytes of its tokens cannot be told."""
    return Diagnostic(
        "E0812",
        f"the tokenizer of `{name}` is of a kind that smcdsl cannot read",
        context=f"--model {name}",
        facts=(reason,),
        help="choose a model with a byte-level BPE or SentencePiece tokenizer (`tokenizer.json`)",
    )


def not_a_classifier(name: str, architectures: Sequence[str]) -> Diagnostic:
    """E0811: a model without the layer that a classifier or reward model ends in."""
    return Diagnostic(
        "E0811",
        f"`{name}` is neither a sequence classifier nor a reward model",
        facts=(f"it is a {' and '.join(architectures)}" if architectures else "its config.json names no architecture",),
        help="choose a model whose architecture ends in ForSequenceClassification, or ask a language model: judge.yes",
    )


def no_answer_token(name: str, answer: str) -> Diagnostic:
    """E0806: a judge cannot say its answer in one token."""
    return Diagnostic(
        "E0806",
        f"the vocabulary of `{name}` has no token for the answer `{answer}`",
        help="choose a model that knows the word, or answers that it has: `positive: WORD, negative: WORD`",
    )


def no_end_token(name: str) -> Diagnostic:
    """E0813: nothing says which token ends a text."""
    return Diagnostic(
        "E0813",
        f"nothing says which token ends a text of `{name}`",
        context=f"--model {name}",
        help="set `eos_token_id` in its generation_config.json",
    )


@contextlib.contextmanager
def explained(name: str, source: str, is_folder: bool) -> Iterator[None]:
    """Turn what transformers and the hub raise while loading into one ModelError that names the case."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(_explain(name, source, is_folder, error), name) from error


def _explain(name: str, source: str, is_folder: bool, error: Exception) -> Diagnostic:
    kinds = {type(link).__name__ for link in _chain(error)}
    if "GatedRepoError" in kinds:
        return gated(name, source)
    if not is_folder:
        if kinds & {"LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectionError", "ConnectError"}:
            return offline(name, source)
        if kinds & {"RepositoryNotFoundError", "RevisionNotFoundError", "HFValidationError"}:
            return not_on_hub(name, source)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return broken(name, f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def must_stay_offline(source: str, revision: str | None) -> bool:
    """Whether the hub does not answer in time, so that only the local cache can help.

    One request with a short deadline; nothing is asked where the user has switched the hub off, or where
    the cache already holds the wanted revision.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return True
    from huggingface_hub import constants, get_session, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(source, "config.json", revision=revision), str):
        return True
    try:
        get_session().head(f"{constants.ENDPOINT}/api/models/{source}", timeout=HUB_DEADLINE_SECONDS)
    except Exception:
        return True
    return False
