"""The layers that the `cpython-jail` is made of: which are there, and what to say where they are not."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from smcdsl.potentials import _jail_launch

LAYERS = ("limits", "landlock", "seccomp", "namespaces")


@dataclass(frozen=True)
class Layer:
    """One means of closing the jail: is it there, by what evidence; how to get it."""

    name: str
    active: bool
    evidence: str
    remedy: str = ""


def examine() -> list[Layer]:
    """The layers of the `cpython-jail`, each tried."""
    if sys.platform != "linux":
        evidence = f"{sys.platform} has none of Linux's means"
        return [Layer(name, False, evidence, "run smcdsl on Linux, or pip install pydantic-monty") for name in LAYERS]
    from smcdsl.potentials import _jail_kernel

    abi = _jail_kernel.landlock_abi()
    machine = os.uname().machine
    seccomp = _jail_kernel.has_seccomp_filters()
    known = machine in _jail_kernel.ARCHITECTURES
    problem = _jail_launch.try_bubblewrap()
    return [
        Layer("limits", True, "resource limits of the system"),
        Layer(
            "landlock",
            abi > 0,
            f"interface version {abi}" if abi else "the kernel does not offer it",
            "a kernel of 5.13 or later, with `landlock` in its boot option `lsm=`",
        ),
        Layer(
            "seccomp",
            seccomp,
            f"filters for {machine}" if seccomp else _no_seccomp(machine, known),
            "a kernel with CONFIG_SECCOMP_FILTER on x86_64 or aarch64",
        ),
        Layer(
            "namespaces",
            not problem,
            problem or "bubblewrap starts",
            "install bubblewrap (apt install bubblewrap) and allow user namespaces",
        ),
    ]


def _no_seccomp(machine: str, known: bool) -> str:
    return "the kernel takes no filters" if known else f"the system calls of {machine} are not known"


def lack(missing: Sequence[Layer]) -> str:
    """What is missing, and what would mend it."""
    return ". ".join(f"{layer.name}: {layer.evidence}; needed: {layer.remedy}" for layer in missing)


def refusal(missing: Sequence[Layer]) -> str:
    """Why nothing is run."""
    return f"programs are not run without a jail, and this one cannot be had. {lack(missing)}".strip()
