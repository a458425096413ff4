"""Which system calls a kernel may make: a filter of the Linux kernel's own (seccomp), compiled here by libseccomp.

Namespaces separate what belongs to one: files, processes, network, memory that is shared by name. What the Linux kernel
keeps for all of them together they do not separate, and the keyrings are such a thing: a key that is added in one run
is found in the next. So the calls that reach it are refused, and with them the doors through which a sandbox has been
left before (bpf, io_uring, userfaultfd, perf_event_open, namespaces of one's own, mounts, ptrace).

It is a list of what is refused, not of what is allowed: torch, numpy and Jupyter between them make most of the harmless
calls there are, and a list of those would break with the next release of any of the three.
"""

from __future__ import annotations

import errno
import sys
import tempfile
from base64 import b64encode
from functools import cache
from typing import Any

from course_utils.grading.inside.reports import Attempt
from course_utils.grading.inside.settings import Filter

REFUSED = {
    Attempt.KEYRING: ("add_key", "keyctl", "request_key"),
    Attempt.SYSTEM: (
        *("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register"),
        *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "iopl", "ioperm"),
        *("modify_ldt", "reboot", "swapon", "swapoff", "acct", "syslog", "quotactl", "fanotify_init"),
        *("open_by_handle_at", "name_to_handle_at", "lookup_dcookie", "vhangup", "memfd_secret"),
        *("settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname"),
    ),
    Attempt.NAMESPACES: (
        *("unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree"),
        *("fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"),
    ),
    Attempt.PROCESS: (
        *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd"),
        *("pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo"),
    ),
    # Landlock keeps nobody from these, and no lesson needs them: each holds for all files of the one who marks.
    Attempt.RIGHTS: (
        *("chown", "lchown", "fchown", "fchownat", "truncate", "setxattr", "lsetxattr", "fsetxattr", "setxattrat"),
        *("removexattr", "lremovexattr", "fremovexattr", "removexattrat"),
    ),
    # Where there is no namespace for them, what is put there stays for the next one.
    Attempt.MEMORY: ("shmget", "semget", "msgget", "mq_open"),
}
# Allowed only where they are meant for the caller: what each argument, by its place, must be for that. A 0 says
# "itself" of a process, but of a user "all that are mine": the first argument of the last two says which it is of.
# Not the calls that place threads on processors: ZeroMQ makes them for each thread of its own, by number.
_PRIO_PROCESS, _IOPRIO_WHO_PROCESS = 0, 1
OF_OTHERS = {
    "prlimit64": {0: 0},
    "migrate_pages": {0: 0},
    "move_pages": {0: 0},
    "setpriority": {0: _PRIO_PROCESS, 1: 0},
    "ioprio_set": {0: _IOPRIO_WHO_PROCESS, 1: 0},
}
# Which argument is the mode. Who may set these two makes a file that runs with its owner's rights, for good.
MODES = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2}
SET_ID = (0o4000, 0o2000)
_DATAGRAMS, _KINDS = 2, 0xF  # one of a pair that sends datagrams can send them to any name; of a stream, to the other
_NEWER = {
    "setxattrat": 463,
    "removexattrat": 466,
}  # a libseccomp may be older than the system; the same on all processors
_STARTS, _SIGNALS = ("fork", "vfork"), ("kill", "tkill", "tgkill")
_NEW_NAMESPACES = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
_THREAD = 0x10000  # what tells a new thread from a new process
AF_UNIX = 1
_LOCAL = (AF_UNIX, 16)  # Jupyter talks on the first; of AF_NETLINK the standard library asks the interfaces' names
_LAST_FAMILY = 64


@cache
def compile_filter() -> Filter | None:
    """The filter; None where there is no libseccomp (macOS; a Linux without it)."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        import pyseccomp
    except Exception:  # the package, or the system's library that it loads: it raises several kinds
        return None

    def number(name: str) -> int:
        return number_of(pyseccomp, name)

    refused = {number(name): what for what, names in REFUSED.items() for name in names}
    starts = [number(name) for name in (*_STARTS, "clone")]
    programs = (_program(pyseccomp, pyseccomp.NOTIFY), _program(pyseccomp, None))
    known = {call: what for call, what in refused.items() if call >= 0}  # this processor has not all of them
    known[number("socket")] = Attempt.NETWORK
    known[number("socketpair")] = Attempt.SOCKET
    known |= {call: Attempt.PROCESS for name in OF_OTHERS if (call := number(name)) >= 0}
    known |= {call: Attempt.RIGHTS for name in MODES if (call := number(name)) >= 0}
    signals = tuple(number(name) for name in _SIGNALS)
    started = tuple(one for one in starts if one >= 0)
    clone, socket = number("clone"), number("socket")
    return Filter(*programs, known, started, signals, clone, socket, new_namespaces=sum(_NEW_NAMESPACES))


def number_of(library: Any, name: str) -> int:
    """The number of a system call on this processor, negative where it has none."""
    found = int(library.resolve_syscall(library.Arch.NATIVE, name))
    return found if found >= 0 else _NEWER.get(name, found)


def _program(library: Any, ask: int | None) -> str:
    """The compiled program; ``ask``: what is done where the watch should know, None to refuse without asking."""
    refuse = ask if ask is not None else library.ERRNO(errno.EPERM)
    rules = library.SyscallFilter(library.ALLOW)
    for names in REFUSED.values():
        for name in names:
            if number_of(library, name) >= 0:
                rules.add_rule(refuse, number_of(library, name))
    for name, own in OF_OTHERS.items():
        if number_of(library, name) >= 0:
            for place, value in own.items():
                rules.add_rule(refuse, name, library.Arg(place, library.NE, value))
    for name, place in MODES.items():
        if number_of(library, name) >= 0:
            for bit in SET_ID:
                rules.add_rule(refuse, name, library.Arg(place, library.MASKED_EQ, bit, bit))
    rules.add_rule(refuse, "socketpair", library.Arg(1, library.MASKED_EQ, _KINDS, _DATAGRAMS))
    # Its flags lie in memory, where no filter can look: as if the system were too old for it, clone is used instead.
    rules.add_rule(library.ERRNO(errno.ENOSYS), "clone3")
    for flag in _NEW_NAMESPACES:
        rules.add_rule(library.ERRNO(errno.EPERM), "clone", library.Arg(0, library.MASKED_EQ, flag, flag))
    for family in range(_LAST_FAMILY):
        if family not in _LOCAL:
            rules.add_rule(refuse, "socket", library.Arg(0, library.EQ, family))
    if ask is not None:
        for name in (*_STARTS, *_SIGNALS):
            if number_of(library, name) >= 0:
                rules.add_rule(ask, name)
        rules.add_rule(ask, "clone", library.Arg(0, library.MASKED_EQ, _THREAD, 0))
        rules.add_rule(ask, "socket", library.Arg(0, library.EQ, AF_UNIX))
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return b64encode(file.read()).decode()
