"""The kernel's own means to lock a process in: Landlock, seccomp and resource limits, called by ctypes.

Landlock (docs.kernel.org/userspace-api/landlock.html) takes away all files but those of a ruleset, and TCP, signals
and abstract sockets where it knows them; seccomp takes away system calls (`_jail_syscalls`); limits bound what is
left. All three are irrevocable and need no privilege. Nothing here can be undone by the process that called it.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import signal
import stat
import struct
from collections.abc import Iterable, Mapping

from smcdsl.potentials._jail_syscalls import ARCHITECTURES, filter_program

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_READ_FILE, _READ_DIR, _WRITE_FILE = 1 << 2, 1 << 3, 1 << 1
_FILE_RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many rights to files Landlock knows, by the version of its interface; later ones know as many as 5."""
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_GET_SECCOMP, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 21, 22, 38
_PAGE = mmap.PAGESIZE


class LockdownError(OSError):
    """A layer of the jail could not be put in place; `layer` names it."""

    def __init__(self, layer: str, reason: str) -> None:
        super().__init__(f"{layer}: {reason}")
        self.layer = layer


_libc = ctypes.CDLL(None, use_errno=True)


def _checked(layer: str, what: str, result: int) -> int:
    if result < 0:
        raise LockdownError(layer, f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def prctl(option: int, value: int, pointer: object = None) -> int:
    """prctl(2); -1 on failure."""
    unused = ctypes.c_ulong(0)
    return _libc.prctl(option, ctypes.c_ulong(value), pointer or unused, unused, unused)


def landlock_abi() -> int:
    """The version of Landlock's interface, 0 if the kernel has none."""
    return max(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(1)), 0)


def has_seccomp_filters() -> bool:
    """Whether the kernel takes filters, and the processor's system calls are known."""
    if os.uname().machine not in ARCHITECTURES:
        return False
    # A filter at no address: a kernel that knows filters says EFAULT, one that does not EINVAL.
    failed = prctl(_PR_SET_SECCOMP, 2, ctypes.c_void_p(0)) < 0
    return failed and ctypes.get_errno() == 14


def make_ruleset(readable: Iterable[str], writable: Iterable[str] = ()) -> int:
    """A Landlock ruleset's descriptor: what lies under `readable` may be read, devices `writable` written too.

    Raises:
        LockdownError: the kernel has no Landlock.
    """
    abi = landlock_abi()
    if abi < 1:
        raise LockdownError("Landlock", "the kernel does not offer it")
    rights = (1 << _FILE_RIGHTS_BY_ABI.get(abi, 16)) - 1
    attributes = struct.pack("<Q", rights)
    if abi >= 4:
        attributes += struct.pack("<Q", 0b11)
    if abi >= 6:
        attributes += struct.pack("<Q", 0b11)
    made = _libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0))
    ruleset = _checked("Landlock", "create_ruleset", made)
    for path in readable:
        _allow(ruleset, path, _READ_FILE | _READ_DIR)
    for path in writable:
        _allow(ruleset, path, _READ_FILE | _WRITE_FILE)
    return ruleset


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= ~_READ_DIR
        rule = struct.pack("<Qi", rights, place)
        _checked("Landlock", f"add_rule for {path}", _libc.syscall(_ADD_RULE, ruleset, 1, rule, 0))
    finally:
        os.close(place)


def renounce_privileges() -> None:
    """Let no program that is started give this process more rights; Landlock and seccomp ask for that."""
    _checked("privileges", "no_new_privs", prctl(_PR_SET_NO_NEW_PRIVS, 1))


def enter_ruleset(ruleset: int) -> None:
    """Live by the ruleset from now on."""
    _checked("Landlock", "restrict_self", _libc.syscall(_RESTRICT_SELF, ruleset, 0))


def enter_filter() -> None:
    """Allow the calls of `_jail_syscalls` only.

    Raises:
        LockdownError: the processor's system calls are not known, or the kernel takes no filters.
    """
    architecture = ARCHITECTURES.get(os.uname().machine)
    if architecture is None:
        raise LockdownError("seccomp", f"the system calls of {os.uname().machine} are not known")
    program = filter_program(architecture, os.getpid())
    code = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(code)))
    _checked("seccomp", "set_filter", prctl(_PR_SET_SECCOMP, 2, ctypes.byref(header)))


def set_limits(limits: Mapping[str, int]) -> None:
    """Set resource limits by their names without RLIMIT_, soft and hard alike; an existing lower one stays."""
    for name, wanted in limits.items():
        number = getattr(resource, f"RLIMIT_{name}")
        _, hard = resource.getrlimit(number)
        if hard != resource.RLIM_INFINITY:
            wanted = min(wanted, hard)
        resource.setrlimit(number, (wanted, wanted))


def die_with_parent(parent: int) -> None:
    """Be killed when the (single-threaded) parent ends."""
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def hide_from_equals() -> None:
    """Let no process of the same user read this one's memory and files."""
    prctl(_PR_SET_DUMPABLE, 0)


def address_space() -> int:
    """Bytes of address space in use, found by asking for one more page under different limits.

    Needs no /proc, which is not there in every jail.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    low, high = 0, 1 << 47
    if hard != resource.RLIM_INFINITY:
        high = min(high, hard)
    try:
        while high - low > _PAGE:
            middle = (low + high) // 2 // _PAGE * _PAGE
            resource.setrlimit(resource.RLIMIT_AS, (middle, hard))
            low, high = (low, middle) if _has_room() else (middle, high)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    return low


def _has_room() -> bool:
    try:
        mmap.mmap(-1, _PAGE).close()
    except (OSError, MemoryError):
        return False
    return True
