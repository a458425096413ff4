"""The few calls of the Linux kernel that shut a process in, which Python 3.11 does not offer itself."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import struct
import sys

if sys.platform != "win32":  # the tests of marking import the examiner there too, and see to the rest themselves
    import fcntl

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
READ_ONLY, NO_SUID, NO_DEV, NO_EXEC = 0x1, 0x2, 0x4, 0x8
REMOUNT, BIND, RECURSIVE, PRIVATE = 0x20, 0x1000, 0x4000, 0x40000
_DIE_WITH_PARENT, _DUMPABLE, _DROP_BOUNDING, _SUBREAPER, _NO_NEW_PRIVILEGES = 1, 4, 24, 36, 38

AVAILABLE = sys.platform == "linux"


def _call(function: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


def enter_namespaces() -> None:
    """Leave the user, mount, process, network, host-name and shared-memory namespaces for new ones. Children are in
    the new process namespace; the first of them is its init. Raises OSError where the system does not allow it.

    Others may look into this process afterwards, until it keeps them out.
    """
    user, group = os.getuid(), os.getgid()
    # What others may not look into has a /proc of root's, and its maps can be written by nobody else.
    _call("prctl", _DUMPABLE, 1, 0, 0, 0)
    _call("unshare", NEWUSER | NEWNS | NEWPID | NEWIPC | NEWNET | NEWUTS)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{user} {user} 1")
    _write("/proc/self/gid_map", f"{group} {group} 1")


def mount_nothing_shared() -> None:
    """No mount made from here on reaches the namespace that this one was copied from."""
    _call("mount", b"none", b"/", None, RECURSIVE | PRIVATE, None)


def mount_empty(path: str, size: int) -> None:
    """An empty folder in memory, of at most ``size`` bytes, over ``path``."""
    _call("mount", b"tmpfs", path.encode(), b"tmpfs", NO_SUID | NO_DEV, f"size={size},mode=0700".encode())


def mount_bind(source: str, target: str) -> None:
    """``source`` is seen at ``target`` too."""
    _call("mount", source.encode(), target.encode(), None, BIND, None)


def mount_read_only(path: str) -> None:
    """What is mounted at ``path`` cannot be written any more."""
    kept = NO_EXEC if os.statvfs(path).f_flag & os.ST_NOEXEC else 0  # who left that out would be refused
    _call("mount", None, path.encode(), None, REMOUNT | BIND | READ_ONLY | NO_SUID | NO_DEV | kept, None)


def drop_privileges() -> None:
    """No capability is left in this process, and none can be had again."""
    for capability in range(64):
        try:
            _call("prctl", _DROP_BOUNDING, capability, 0, 0, 0)
        except OSError:
            break
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _call("capset", header, (ctypes.c_uint32 * 6)())
    no_new_privileges()


def no_new_privileges() -> None:
    """No program that is started from here gains rights by being started (setuid)."""
    _call("prctl", _NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def keep_out() -> None:
    """Other processes of the same user may not look into this one."""
    _call("prctl", _DUMPABLE, 0, 0, 0, 0)


def adopt_orphans() -> None:
    """Grandchildren whose parent ends become children of this process, however they were started."""
    _call("prctl", _SUBREAPER, 1, 0, 0, 0)


def die_with_parent(signal: int) -> None:
    """The system sends this process ``signal`` when its parent ends."""
    _call("prctl", _DIE_WITH_PARENT, signal, 0, 0, 0)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


_NUMBERS = {"x86_64": (317, 250), "aarch64": (277, 219)}  # seccomp and keyctl, which the C library does not offer
_INSTALL_FILTER, _NEW_LISTENER, _JOIN_SESSION = 1, 8, 1
_RECEIVE, _SEND, _CONTINUE = 0xC0502100, 0xC0182101, 1


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def new_session_keyring() -> None:
    """Leave the session keyring, which every process of a login shares, for an empty one. Raises OSError."""
    direct(_numbers()[1], _JOIN_SESSION, None)


def install_filter(program: bytes, *, watched: bool) -> int:
    """Have each system call of this thread, and of all that it starts, go through a seccomp program for good.

    Returns the descriptor on which the calls that it asks about are read; -1 if it asks about none. Raises OSError.
    """
    code = ctypes.create_string_buffer(program, len(program))
    form = _Program(len(program) // 8, ctypes.cast(code, ctypes.c_char_p))
    got = direct(_numbers()[0], _INSTALL_FILTER, _NEW_LISTENER if watched else 0, ctypes.byref(form))
    return got if watched else -1


def next_call(listener: int) -> tuple[int, int, int] | None:
    """The call that waits for an answer: its ticket, its number and its first argument; None if the caller is gone."""
    asked = bytearray(80)
    try:
        fcntl.ioctl(listener, _RECEIVE, asked, True)
    except OSError:
        return None
    ticket, _, _, number, _, _, first = struct.unpack_from("=QIIiIQQ", asked)
    return ticket, number, first


def answer_call(listener: int, ticket: int, *, allow: bool) -> None:
    """Let a waiting call go on, or refuse it (EPERM)."""
    answer = struct.pack("=QqiI", ticket, 0, 0 if allow else -errno.EPERM, _CONTINUE if allow else 0)
    with contextlib.suppress(OSError):  # it was killed meanwhile
        fcntl.ioctl(listener, _SEND, answer)


def _numbers() -> tuple[int, int]:
    try:
        return _NUMBERS[platform.machine()]
    except KeyError:
        raise OSError(errno.ENOSYS, f"not known on {platform.machine()}") from None


def direct(number: int, *arguments: object) -> int:
    """A system call that the C library does not offer, by its number. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    whole = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    got = int(libc.syscall(ctypes.c_long(number), *whole))
    if got < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return got
