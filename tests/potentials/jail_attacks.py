"""Programs that try to leave the jail, grouped by what they go for. Each leaves what it got.

`loot` is what an attack read: it got out if a canary's word is in it. `escaped` is its own claim, for what leaves no trace
outside. Everything else is judged outside, by the canaries. `<name>` stands for a canary's place.
"""

from __future__ import annotations

from dataclasses import dataclass

from smcdsl.potentials._jail_report import Program

LIBC = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"


@dataclass(frozen=True)
class Attack:
    """One attempt; `group` is its number in the list of bad inputs."""

    name: str
    group: str
    body: str

    def program(self, places: dict[str, str]) -> Program:
        body = self.body
        for name, place in places.items():
            body = body.replace(f"<{name}>", place)
        indented = "\n".join("    " + line for line in body.strip().splitlines())
        code = f"loot = ''\nescaped = False\ntry:\n{indented}\nexcept BaseException as error:\n    failed = repr(error)\n"
        return Program("", code, ("str(loot)[:200000]", "bool(escaped)"))


def attacks(group: str, text: str) -> list[Attack]:
    """Attacks of a text: `# name` lines, each followed by its program."""
    found = []
    for part in text.strip().split("\n# "):
        name, _, body = part.removeprefix("# ").partition("\n")
        found.append(Attack(name, group, body))
    return found


READING = """
# open
loot = open('<secret>').read()
# low-level open
import os
loot = os.read(os.open('<secret>', os.O_RDONLY), 999)
# system file
loot = open('/etc/passwd').read()
escaped = 'root' in loot
# through the root of a process
loot = open('/proc/self/root<secret>').read()
# upwards from a folder that may be read
import os
place = os.open(os.path.dirname(os.__file__), os.O_RDONLY)
loot = os.read(os.open('../' * 20 + '<secret>'[1:], os.O_RDONLY, dir_fd=place), 999)
# as a module's source
import importlib.machinery
loot = importlib.machinery.SourceFileLoader('x', '<secret>').get_data('<secret>')
# as a database
import sqlite3
loot = sqlite3.connect('<secret>').execute('select * from sqlite_master').fetchall()
escaped = True
# every open descriptor
import os
for number in range(3, 300):
    try:
        os.set_blocking(number, False)
        loot += repr(os.read(number, 9999)) + repr(os.listdir(number))
    except OSError:
        pass
# openat2
import ctypes, os
libc = ctypes.CDLL(None)
how = (ctypes.c_uint64 * 3)(0, 0, 0)
loot = os.read(libc.syscall(437, -100, b'<secret>', how, 24), 999)
# list folders
import os
for folder in ('/', '/home', '/root', '<folder>', '/tmp', '/etc', '/proc'):
    try:
        escaped = escaped or bool(os.listdir(folder))
    except OSError:
        pass
# link of a process
import os
loot = os.readlink('/proc/<owner>/cwd')
escaped = True
# code of the jail's owner
loot = open('/proc/<owner>/exe', 'rb').read(4)
escaped = True
"""

WRITING = """
# open
open('<folder>/a', 'w').write('x')
# overwrite
open('<secret>', 'w').write('x')
# append
open('<secret>', 'a').write('x')
# delete
import os
os.unlink('<secret>')
# rename
import os
os.rename('<secret>', '<folder>/b')
# folder
import os
os.mkdir('<folder>/c')
# links
import os
for make in (os.symlink, os.link):
    try:
        make('<secret>', '<folder>/d' + make.__name__)
    except OSError:
        pass
# mode
import os
os.chmod('<secret>', 0o600)
# owner
import os
os.chown('<secret>', os.getuid(), os.getgid())
escaped = True
# times
import os
os.utime('<secret>', (1, 1))
# attributes
import os
os.setxattr('<secret>', 'user.x', b'1')
escaped = True
# truncate
import os
os.truncate('<secret>', 0)
# pipe and device
import os
for make in (os.mkfifo, lambda path: os.mknod(path, 0o20666, os.makedev(1, 5))):
    try:
        make('<folder>/e%d' % id(make))
    except OSError:
        pass
# fill the disk
import tempfile, os
for folder in ('<folder>', '/tmp', '/var/tmp', '/dev/shm', '/run', '/'):
    try:
        for number in range(50):
            with open(f'{folder}/smcdsl-fill{number}', 'wb') as file:
                file.write(bytes(1 << 20))
            escaped = True
    except OSError:
        pass
# file without a name
import os
number = os.open('<folder>', os.O_TMPFILE | os.O_RDWR)
escaped = os.write(number, bytes(1 << 20)) > 0
# database
import sqlite3
line = sqlite3.connect('<folder>/base.sqlite')
line.execute('create table t (a)')
line.commit()
# bytecode
import py_compile, os
py_compile.compile(os.__file__, cfile='<folder>/os.pyc')
"""

NETWORK = """
# TCP
import socket
socket.create_connection(('127.0.0.1', <port>), 1)
# TCP over IPv6
import socket
socket.create_connection(('::ffff:127.0.0.1', <port>), 1)
# asyncio
import asyncio
asyncio.run(asyncio.open_connection('127.0.0.1', <port>))
# UDP
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', <udp>))
# Unix socket by path
import socket
socket.socket(socket.AF_UNIX).connect('<socket>')
# Unix socket without a file
import socket
socket.socket(socket.AF_UNIX).connect('\\0<abstract>')
# datagram from a pair to a name
import socket
pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
pair[0].sendto(b'x', '<datagrams>')
# stream pair to a name
import socket
pair = socket.socketpair()
for call in (lambda: pair[0].sendto(b'x', '<datagrams>'), lambda: pair[0].connect('<socket>')):
    try:
        call()
    except OSError:
        pass
# message with an address
import ctypes, socket
pair = socket.socketpair()
pair[0].sendmsg([b'x'], [], 0, '<datagrams>')
# names
import socket
loot = socket.getaddrinfo('localhost', 80)
escaped = True
# listen
import socket
line = socket.socket()
line.bind(('127.0.0.1', 0))
line.listen()
escaped = True
# netlink and raw
import socket
for family, kind in ((16, 3), (17, 3), (2, 3)):
    try:
        socket.socket(family, kind)
        escaped = True
    except OSError:
        pass
# FTP and HTTP
import urllib.request
loot = urllib.request.urlopen('http://127.0.0.1:<port>/', timeout=1).read()
"""

BOMBS = """
# forks
import os
for number in range(200):
    if os.fork() == 0:
        import time
        time.sleep(60)
    escaped = True
# vfork
import ctypes
escaped = ctypes.CDLL(None).syscall(<vfork>) >= 0
# clone
import ctypes, signal
made = ctypes.CDLL(None).syscall(<clone>, signal.SIGCHLD, 0, 0, 0, 0)
if made == 0:
    import os
    os._exit(0)
escaped = made > 0
# threads
import threading, time
threading.stack_size(32768)
for number in range(5000):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
escaped = True
# low-level thread
import _thread
_thread.start_new_thread(print, ())
escaped = True
# memory
held = [bytearray(1 << 26) for number in range(1000)]
escaped = True
# memory, a little at a time
held = []
while len(held) < 200_000_000:
    held.append(object())
escaped = True
# shared memory of one's own
import mmap
held = [mmap.mmap(-1, 1 << 30) for number in range(40)]
escaped = True
# daemon
import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        import time
        time.sleep(60)
# subprocess
import subprocess
subprocess.Popen(['sleep', '60'])
escaped = True
# multiprocessing
import multiprocessing
multiprocessing.get_context('fork').Process(target=print).start()
escaped = True
# descriptors
import os
held = [os.open('/dev/null', os.O_RDONLY) for number in range(5000)]
escaped = True
"""

TIME = """
# loop
while True:
    pass
# loop that ignores every signal
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    pass
# loop that catches everything
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
# sleep
import time
time.sleep(60)
# stop itself
import os, signal
os.kill(os.getpid(), signal.SIGSTOP)
# close everything and stay
import os, time
os.closerange(0, 100)
time.sleep(60)
# giant power
x = 7 ** 10 ** 9
# regular expression
import re
re.match('(a+)+$', 'a' * 60 + 'b')
# later limits
import resource
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
escaped = True
# sum of a range
x = sum(range(10 ** 12))
# work in a destructor at the end
class Slow:
    def __del__(self):
        while True:
            pass
keep = Slow()
"""

OTHERS = """
# end a process
import os
os.kill(<victim>, 15)
# stop a process
import os
os.kill(<victim>, 19)
# end the owner
import os
os.kill(<owner>, 15)
# end all
import os
os.kill(-1, 15)
# end the group
import os
os.killpg(0, 10)
# end the server
import os
os.kill(os.getppid(), 9)
# signal to a thread
import ctypes
escaped = ctypes.CDLL(None).syscall(<tgkill>, <victim>, <victim>, 15) == 0
# queued signal
import ctypes
escaped = ctypes.CDLL(None).sigqueue(<victim>, 15, None) == 0
# by a descriptor of the process
import os, signal
signal.pidfd_send_signal(os.pidfd_open(<victim>), 15)
# by a socket's owner
import socket, fcntl, os
pair = socket.socketpair()
fcntl.fcntl(pair[0], fcntl.F_SETOWN, <victim>)
fcntl.fcntl(pair[0], 10, 15)
fcntl.fcntl(pair[0], fcntl.F_SETFL, os.O_ASYNC)
pair[1].send(b'x')
# by a timer
import ctypes
event = (ctypes.c_int * 32)(0, 0, 15, 4, <victim>)
timer = ctypes.c_void_p()
escaped = ctypes.CDLL(None).timer_create(0, event, ctypes.byref(timer)) == 0
# ptrace
import ctypes
escaped = ctypes.CDLL(None).ptrace(16, <victim>, 0, 0) == 0
# be traced
import ctypes
escaped = ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0
# memory by call
import ctypes, os
here = ctypes.create_string_buffer(4096)
class Part(ctypes.Structure):
    _fields_ = [('base', ctypes.c_void_p), ('size', ctypes.c_size_t)]
local, remote = Part(ctypes.addressof(here), 64), Part(id(None), 64)
for process in (<owner>, os.getppid(), <victim>):
    got = ctypes.CDLL(None).process_vm_readv(process, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
    escaped = escaped or got > 0
# memory by file
import os
for process in ('<owner>', '<victim>', str(os.getppid()), 'self'):
    try:
        open(f'/proc/{process}/mem', 'rb').read(0)
        escaped = True
    except OSError:
        pass
# limits
import resource
resource.prlimit(<victim>, resource.RLIMIT_NOFILE, (1, 1))
# limits of the owner
import resource
loot = resource.prlimit(<owner>, resource.RLIMIT_NOFILE)
escaped = True
# affinity
import os
os.sched_setaffinity(<victim>, {0})
# priority
import os
os.setpriority(os.PRIO_PROCESS, <victim>, 19)
# scheduler
import os
os.sched_setscheduler(<victim>, os.SCHED_IDLE, os.sched_param(0))
# descriptor of another
import ctypes
libc = ctypes.CDLL(None)
escaped = libc.syscall(438, libc.syscall(434, <victim>, 0), 0, 0) >= 0
# compare with another
import ctypes, os
escaped = ctypes.CDLL(None).syscall(<kcmp>, os.getpid(), os.getppid(), 1, 0, 0) >= 0
"""

SECRETS = """
# own environment
import os
loot = dict(os.environ)
# environment by libc
import ctypes
libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_char_p
loot = libc.getenv(b'SMCDSL_CANARY')
# environment of every process
import os
for process in [1, <owner>, <victim>, os.getppid(), *range(1, 400)]:
    try:
        loot += open(f'/proc/{process}/environ').read() + open(f'/proc/{process}/cmdline').read()
        escaped = True
    except OSError:
        pass
# own environment by file
loot = open('/proc/self/environ').read()
# names of people
import pwd
loot = pwd.getpwall()
escaped = bool(loot)
# memory of its own process
import gc
loot = [repr(found)[:300] for found in gc.get_objects() if isinstance(found, (dict, list, str))][:20000]
# frames above
import sys
frame = sys._getframe()
while frame:
    loot += repr(frame.f_locals)[:20000] + repr(frame.f_globals)[:20000]
    frame = frame.f_back
"""

COMMANDS = """
# system by libc
import ctypes
escaped = ctypes.CDLL(None).system(b'touch <folder>/f') == 0
# shell
import os
escaped = os.system('touch <folder>/g') == 0
# interpreter
import os, sys
os.execv(sys.executable, [sys.executable, '-c', "open('<folder>/h', 'w')"])
# spawn
import os
os.posix_spawn('/bin/touch', ['touch', '<folder>/i'], {})
# popen
import os
loot = os.popen('cat <secret>').read()
# run a file in memory
import ctypes, os
libc = ctypes.CDLL(None)
number = libc.memfd_create(b'x', 0)
escaped = number >= 0
libc.syscall(<execveat>, number, b'', None, None, 0x1000)
# loader
import ctypes, os
ctypes.CDLL(None).execve(b'/lib64/ld-linux-x86-64.so.2', (ctypes.c_char_p * 3)(b'x', b'/bin/true', None), None)
escaped = False
# terminal
import pty
pty.fork()
escaped = True
"""

KERNEL = """
# user namespace and mount
libc.unshare(0x10000000 | 0x20000)
escaped = libc.mount(b'none', b'/mnt', b'tmpfs', 0, None) == 0
# user namespace
escaped = libc.unshare(0x10000000) == 0
# network namespace
escaped = libc.unshare(0x40000000) == 0
# become root
escaped = libc.setuid(0) == 0 or libc.setresuid(0, 0, 0) == 0
# groups
escaped = libc.setgid(0) == 0 or libc.setgroups(0, None) == 0
# capabilities
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
data = (ctypes.c_uint32 * 6)(*[0xffffffff] * 6)
escaped = libc.capset(header, data) == 0
# chroot
escaped = libc.chroot(b'/') == 0
# change folder
import os
os.chdir('<folder>')
escaped = True
# io_uring
escaped = libc.syscall(425, 4, ctypes.create_string_buffer(200)) >= 0
# bpf
escaped = libc.syscall(<bpf>, 0, ctypes.create_string_buffer(200), 120) >= 0
# userfaultfd
escaped = libc.syscall(<userfaultfd>, 0) >= 0
# perf
escaped = libc.syscall(<perf>, ctypes.create_string_buffer(200), 0, -1, -1, 0) >= 0
# keys
escaped = libc.syscall(<add_key>, b'user', b'x', b'y', 1, -3) >= 0 or libc.syscall(<keyctl>, 0, -3, 0) >= 0
# file in memory
escaped = libc.memfd_create(b'x', 0) >= 0
# secret memory
escaped = libc.syscall(447, 0) >= 0
# enter a namespace
import os
escaped = libc.setns(os.open('/proc/1/ns/mnt', 0), 0) == 0
# clone3
arguments = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17)
made = libc.syscall(435, arguments, 88)
if made == 0:
    libc._exit(0)
escaped = made > 0
# personality
escaped = libc.personality(0x0040000) >= 0
# new filter
escaped = libc.prctl(22, 2, ctypes.create_string_buffer(16), 0, 0) == 0
# dumpable again
escaped = libc.prctl(4, 1, 0, 0, 0) == 0
# outlive the parent
escaped = libc.prctl(1, 0, 0, 0, 0) == 0
# handles of files
handle = (ctypes.c_uint32 * 64)(128, 0)
escaped = libc.name_to_handle_at(-100, b'<secret>', handle, ctypes.byref(ctypes.c_int()), 0) == 0
# watch files
escaped = libc.inotify_init1(0) >= 0
# fanotify
escaped = libc.fanotify_init(0, 0) >= 0
# module
escaped = libc.syscall(<init_module>, b'', 0, b'') == 0
# reboot and clock
escaped = libc.syscall(<reboot>, 0xfee1dead, 672274793, 0, 0) == 0 or libc.clock_settime(0, (ctypes.c_long * 2)(1, 1)) == 0
# name of the host
escaped = libc.sethostname(b'x', 1) == 0
# swap and quota
escaped = libc.swapoff(b'<secret>') == 0 or libc.acct(b'<secret>') == 0
"""

DEVICES = """
# shared memory of another
libc.shmat.restype = ctypes.c_void_p
where = libc.shmat(<segment>, None, 0o10000)
loot = ctypes.string_at(where, 64) if where not in (None, 2 ** 64 - 1) else ''
# shared memory
escaped = libc.shmget(0, 4096, 0o1600) >= 0
# semaphores and queues
escaped = libc.semget(0, 1, 0o1600) >= 0 or libc.msgget(0, 0o1600) >= 0
# POSIX queue
escaped = libc.syscall(<mq_open>, b'smcdsl', 0o102, 0o600, None) >= 0
# type into the terminal
import fcntl
for number in range(10):
    try:
        fcntl.ioctl(number, 0x5412, b'x')
        escaped = True
    except OSError:
        pass
# take the terminal
import os
escaped = os.open('/dev/tty', os.O_RDWR) >= 0
# devices
import os, glob
for device in ('mem', 'kmsg', 'kvm', 'fuse', 'sda', 'vda', 'ptmx', 'net/tun', 'shm/smcdsl', 'full', 'random'):
    for flags in (os.O_RDWR, os.O_WRONLY | os.O_CREAT):
        try:
            os.open('/dev/' + device, flags)
            escaped = True
        except OSError:
            pass
# settings of the kernel
import os
for setting in ('kernel/core_pattern', 'vm/overcommit_memory', 'kernel/hostname', 'vm/drop_caches'):
    try:
        os.open('/proc/sys/' + setting, os.O_WRONLY)
        escaped = True
    except OSError:
        pass
# control groups
import os
for path in ('/sys/fs/cgroup/x', '/sys/fs/cgroup/memory/x'):
    try:
        os.mkdir(path)
        escaped = True
    except OSError:
        pass
"""

CRASHES = """
# segmentation fault
import ctypes
ctypes.string_at(0)
# abort
import os
os.abort()
# endless recursion
def f():
    f()
f()
# endless recursion without its guard
import sys
sys.setrecursionlimit(10 ** 9)
def f():
    f()
f()
# nested too deeply
compile('(' * 100_000, '', 'exec')
# large result
loot = 'x' * (1 << 29)
# much output
import sys
for number in range(256):
    sys.stdout.write('x' * (1 << 20))
sys.stdout.flush()
# many lines of results
class Text(str):
    def __str__(self):
        while True:
            pass
loot = Text()
"""

MACHINE = """
# call of 32 bits by machine code (mov eax, getpid; int 0x80; ret)
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')
escaped = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))() > 0
# numbers of another ABI
escaped = ctypes.CDLL(None).syscall(0x40000000 | 39) > 0
"""

ATTACKS = [
    *attacks("25 read", READING),
    *attacks("26 write", WRITING),
    *attacks("27 network", NETWORK),
    *attacks("28 bombs", BOMBS),
    *attacks("29 time", TIME),
    *attacks("30 other processes", OTHERS),
    *attacks("31 secrets", SECRETS),
    *attacks("32 commands", COMMANDS),
    *(Attack(found.name, found.group, LIBC + found.body) for found in attacks("33 kernel", KERNEL)),
    *(Attack(found.name, found.group, LIBC + found.body) for found in attacks("34 devices", DEVICES)),
    *attacks("35 crashes and output", CRASHES),
    *(Attack(found.name, found.group, "import ctypes\n" + found.body) for found in attacks("machine code", MACHINE)),
]

NUMBERS = {
    "x86_64": {
        "vfork": 58, "clone": 56, "tgkill": 234, "kcmp": 312, "execveat": 322, "bpf": 321, "userfaultfd": 323,
        "perf": 298, "add_key": 248, "keyctl": 250, "init_module": 175, "reboot": 169, "mq_open": 240,
    },
    "aarch64": {
        "vfork": 1071, "clone": 220, "tgkill": 131, "kcmp": 272, "execveat": 281, "bpf": 280, "userfaultfd": 282,
        "perf": 241, "add_key": 217, "keyctl": 219, "init_module": 105, "reboot": 142, "mq_open": 180,
    },
}  # fmt: skip
"""System calls that the attacks make by number."""
