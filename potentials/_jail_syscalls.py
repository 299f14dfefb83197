"""The system calls that a jailed program may make, and the filter that allows no others.

The filter is a program for the kernel's classic BPF machine (Documentation/userspace-api/seccomp_filter.rst). A
call that is not listed fails with EPERM, so that programs see a PermissionError; `clone3` fails with ENOSYS, since
glibc falls back to `clone` for that only, which is refused. Threads are refused too: whether they could be counted
depends on the machine, and a verdict must not. Calls of another architecture kill the process.

The numbers are those of asm/unistd_64.h (x86_64) and asm-generic/unistd.h (aarch64).
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence
from typing import NamedTuple


class Architecture(NamedTuple):
    """What tells one processor's system calls from another's."""

    audit: int  # AUDIT_ARCH_* of linux/audit.h
    numbers: dict[str, int]
    foreign_bit: int  # calls from this number on belong to another ABI (x32), or 0


def _table(text: str) -> dict[str, int]:
    words = text.split()
    return {name: int(number) for name, number in zip(words[::2], words[1::2], strict=True)}


_X86_64 = _table("""
read 0 write 1 futex 202 mmap 9 munmap 11 brk 12 rt_sigaction 13 rt_sigprocmask 14 rt_sigreturn 15 madvise 28
newfstatat 262 openat 257 close 3 fstat 5 lseek 8 getdents64 217 clock_gettime 228 getrandom 318
open 2 stat 4 lstat 6 poll 7 mprotect 10 ioctl 16 pread64 17 readv 19 writev 20 access 21 pipe 22 select 23
sched_yield 24 mremap 25 mincore 27 dup 32 dup2 33 pause 34 nanosleep 35 getitimer 36 alarm 37 setitimer 38
getpid 39 sendto 44 recvfrom 45 shutdown 48 socketpair 53 clone 56 exit 60 kill 62 uname 63 fcntl 72 getdents 78
getcwd 79 readlink 89 gettimeofday 96 getrlimit 97 getrusage 98 sysinfo 99 times 100 getuid 102 getgid 104
geteuid 107 getegid 108 getppid 110 getpgrp 111 getgroups 115 getresuid 118 getresgid 120 rt_sigpending 127
rt_sigtimedwait 128 rt_sigsuspend 130 sigaltstack 131 gettid 186 tkill 200 time 201 sched_getaffinity 204
epoll_create 213 set_tid_address 218 restart_syscall 219 fadvise64 221 clock_getres 229 clock_nanosleep 230
exit_group 231 epoll_wait 232 epoll_ctl 233 tgkill 234 readlinkat 267 faccessat 269 pselect6 270 ppoll 271
set_robust_list 273 epoll_pwait 281 eventfd2 290 epoll_create1 291 dup3 292 pipe2 293 preadv 295 prlimit64 302
getcpu 309 membarrier 324 statx 332 rseq 334 clone3 435 close_range 436 faccessat2 439 epoll_pwait2 441
""")

_AARCH64 = _table("""
read 63 write 64 futex 98 mmap 222 munmap 215 brk 214 rt_sigaction 134 rt_sigprocmask 135 rt_sigreturn 139 madvise 233
newfstatat 79 openat 56 close 57 fstat 80 lseek 62 getdents64 61 clock_gettime 113 getrandom 278
getcwd 17 eventfd2 19 epoll_create1 20 epoll_ctl 21 epoll_pwait 22 dup 23 dup3 24 fcntl 25 ioctl 29 faccessat 48
pipe2 59 readv 65 writev 66 pread64 67 preadv 69 pselect6 72 ppoll 73 readlinkat 78 exit 93 exit_group 94
set_tid_address 96 set_robust_list 99 nanosleep 101 getitimer 102 setitimer 103 clock_getres 114 clock_nanosleep 115
sched_getaffinity 123 sched_yield 124 restart_syscall 128 kill 129 tkill 130 tgkill 131 sigaltstack 132
rt_sigsuspend 133 rt_sigpending 136 rt_sigtimedwait 137 getresuid 148 getresgid 150 times 153 getgroups 158 uname 160
getrlimit 163 getrusage 165 getcpu 168 gettimeofday 169 getpid 172 getppid 173 getuid 174 geteuid 175 getgid 176
getegid 177 gettid 178 sysinfo 179 socketpair 199 sendto 206 recvfrom 207 shutdown 210 mremap 216 clone 220
fadvise64 223 mprotect 226 mincore 232 prlimit64 261 membarrier 283 statx 291 rseq 293 clone3 435 close_range 436
faccessat2 439 epoll_pwait2 441
""")

ARCHITECTURES = {
    "x86_64": Architecture(0xC000003E, _X86_64, 0x40000000),
    "aarch64": Architecture(0xC00000B7, _AARCH64, 0),
}
"""By the name that `uname -m` gives."""

Condition = tuple[int, tuple[int, ...], int]
"""(argument, values it may have, its width in bits)."""

_TERMINAL_QUESTIONS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX; not TIOCSTI, which types into the terminal."""
_DESCRIPTOR_QUESTIONS = (0, 1, 2, 3, 4, 1030)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC; not F_SETOWN, which sends signals."""
_STREAMS = (1, 1 | 0o4000, 1 | 0o2000000, 1 | 0o2004000)
"""SOCK_STREAM with SOCK_NONBLOCK, SOCK_CLOEXEC. Datagrams could be sent to a socket that has a name."""


def conditions(own_pid: int) -> dict[str, tuple[Condition, ...]]:
    """What the arguments of some allowed calls must be."""
    itself: Condition = (0, (own_pid,), 32)
    return {
        "kill": (itself,),
        "tgkill": (itself,),
        # The first thread, and there is no other.
        "tkill": (itself,),
        "ioctl": ((1, _TERMINAL_QUESTIONS, 32),),
        "fcntl": ((1, _DESCRIPTOR_QUESTIONS, 32),),
        "prlimit64": ((0, (0, own_pid), 32), (2, (0,), 64)),
        "sched_getaffinity": ((0, (0, own_pid), 32),),
        "socketpair": ((0, (1,), 32), (1, _STREAMS, 32)),
        # An address would lead out of the pair.
        "sendto": ((4, (0,), 64),),
    }


_REFUSED = {"clone": errno.EPERM, "clone3": errno.ENOSYS}

_LOAD, _JUMP_EQUAL, _JUMP_GREATER_OR_EQUAL, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
# Of struct seccomp_data: the number, the architecture, six arguments of 64 bits.
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16


def _instruction(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("<HBBI", code, then, otherwise, value)


def _refuse(error: int) -> bytes:
    return _instruction(_RETURN, _ERRNO | error)


def _tested(tests: Sequence[Condition]) -> list[bytes]:
    """Instructions that return: allowed if all conditions hold, else EPERM."""
    made: list[bytes] = []
    for argument, values, width in tests:
        low = _ARGUMENTS_AT + 8 * argument
        made.append(_instruction(_LOAD, low))
        for index, value in enumerate(values):
            made.append(_instruction(_JUMP_EQUAL, value, then=len(values) - index))
        made.append(_refuse(errno.EPERM))
        if width == 64:
            made += [_instruction(_LOAD, low + 4), _instruction(_JUMP_EQUAL, 0, then=1), _refuse(errno.EPERM)]
    return [*made, _instruction(_RETURN, _ALLOW)]


def filter_program(architecture: Architecture, own_pid: int) -> bytes:
    """The filter for a process that has one thread and the process id `own_pid`: 8 bytes an instruction."""
    program = [
        _instruction(_LOAD, _ARCHITECTURE_AT),
        _instruction(_JUMP_EQUAL, architecture.audit, then=1),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER_AT),
    ]
    if architecture.foreign_bit:
        program += [
            _instruction(_JUMP_GREATER_OR_EQUAL, architecture.foreign_bit, otherwise=1),
            _instruction(_RETURN, _KILL),
        ]
    tests = conditions(own_pid)
    for name, number in architecture.numbers.items():
        if name in _REFUSED:
            block = [_refuse(_REFUSED[name])]
        elif name in tests:
            block = _tested(tests[name])
        else:
            block = [_instruction(_RETURN, _ALLOW)]
        program += [_instruction(_JUMP_EQUAL, number, otherwise=len(block)), *block]
    return b"".join([*program, _refuse(errno.EPERM)])
