"""The filter of system calls and the session keyring, without a sandbox around them.

What they are worth inside one, at both levels and flagged, is in the cohort (Kay Keyring and those after her).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from course_utils.grading import syscall_filter
from course_utils.grading.inside import linux
from course_utils.grading.inside.settings import FilterUse
from course_utils.grading.syscall_filter import compile_filter
from tests.grading.hostile.__main__ import SOMEBODY

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="keyrings and seccomp are Linux's")
needs_filter = pytest.mark.skipif(compile_filter() is None, reason="no libseccomp: apt install libseccomp2")
_ADD_KEY, _SEARCH, _SESSION = {"x86_64": (248, 10, -3), "aarch64": (217, 10, -3)}.get(platform.machine(), (0, 0, 0))


def in_a_child(what: Callable[[], bool]) -> bool:
    """Whether ``what`` is true in a process of its own: a filter cannot be taken away again."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if what() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def add_key(name: bytes) -> None:
    linux.direct(_ADD_KEY, b"user", name, b"secret", 6, _SESSION)


def finds(name: bytes) -> bool:
    try:
        linux.direct(linux._numbers()[1], _SEARCH, _SESSION, b"user", name, 0)
    except OSError:
        return False
    return True


def test_a_key_of_the_parent_is_not_found_in_a_keyring_of_its_own() -> None:
    def behind() -> bool:
        linux.new_session_keyring()  # the test's own login is left alone
        add_key(b"of-the-teacher")

        def shut_in() -> bool:
            linux.new_session_keyring()
            add_key(b"of-the-learner")
            return not finds(b"of-the-teacher")

        # As namespaces alone leave it, it is found; that is the hole.
        return in_a_child(lambda: finds(b"of-the-teacher")) and in_a_child(shut_in) and not finds(b"of-the-learner")

    assert in_a_child(behind)


@pytest.mark.slow
@needs_filter
@pytest.mark.parametrize("name", sorted({one for names in syscall_filter.REFUSED.values() for one in names}))
def test_each_call_of_the_list_is_refused(name: str) -> None:
    """Refused with EPERM by the plain program, whatever the arguments: with these none of them would be EPERM for
    root.
    """
    import pyseccomp

    number = syscall_filter.number_of(pyseccomp, name)
    if number < 0:
        pytest.skip(f"this processor has no {name}")
    compiled = compile_filter()
    assert compiled is not None and number in compiled.refused

    def refused() -> bool:
        linux.no_new_privileges()
        linux.install_filter(compiled.program(FilterUse.PLAIN), watched=False)
        libc = ctypes.CDLL(None, use_errno=True)
        return libc.syscall(number, -1, -1, -1, -1, -1, -1) == -1 and ctypes.get_errno() == 1

    assert in_a_child(refused)


@needs_filter
@pytest.mark.parametrize("name", [name for name in syscall_filter.MODES if name != "fchmodat2"])
@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o755])
def test_no_file_is_made_to_run_with_its_owner_s_rights(name: str, mode: int) -> None:
    """Of a file that is not there; an honest mode comes as far as that."""
    place = syscall_filter.MODES[name]
    missing = errno.EBADF if name == "fchmod" else errno.EFAULT
    first = (-1,) if name == "fchmod" else (-100, 0)[2 - place :]
    assert error_of(name, *first, mode) == (errno.EPERM if mode & 0o6000 else missing)


@needs_filter
@pytest.mark.parametrize("kind", [1, 2, 1 | os.O_CLOEXEC, 2 | os.O_CLOEXEC])
def test_no_pair_of_sockets_sends_to_other_names(kind: int) -> None:
    """One of a pair that sends datagrams could name any socket; a pair of streams is what asyncio makes."""
    refused = kind & syscall_filter._KINDS == syscall_filter._DATAGRAMS
    assert error_of("socketpair", 1, kind, 0, 0) == (errno.EPERM if refused else errno.EFAULT)


@pytest.fixture
def sleeper() -> Iterator[int]:
    """The number of another process of the same user."""
    with subprocess.Popen(["sleep", "100"]) as process:
        yield process.pid
        process.kill()


# How a process is named to each call of the second list, 0 for the caller; they ask, or set what is so already.
ON_A_PROCESS: dict[str, Callable[[int], tuple[int, ...]]] = {
    "prlimit64": lambda pid: (pid, 7, 0, 0),
    "migrate_pages": lambda pid: (pid, 0, 0, 0),
    "move_pages": lambda pid: (pid, 0, 0, 0, 0, 0),
    "setpriority": lambda pid: (0, pid, 19),
    "ioprio_set": lambda pid: (1, pid, 2 << 13 | 7),
}


def error_of(name: str, *arguments: int, filtered: bool = True, without_rights: bool = False) -> int:
    """What the call fails with in a process of its own, with the plain program or without; 0 if it does not fail."""
    import pyseccomp

    compiled, number = compile_filter(), syscall_filter.number_of(pyseccomp, name)
    assert compiled is not None
    libc = ctypes.CDLL(None, use_errno=True)
    reader, writer = os.pipe()

    def call() -> bool:
        if without_rights:
            os.setsid()
            if os.getuid() == 0:
                os.setuid(SOMEBODY)
        if filtered:
            linux.no_new_privileges()
            linux.install_filter(compiled.program(FilterUse.PLAIN), watched=False)
        failed = libc.syscall(number, *arguments) == -1
        os.write(writer, bytes([ctypes.get_errno() if failed else 0]))
        return True

    assert in_a_child(call)
    error = os.read(reader, 1)[0]
    os.close(reader)
    os.close(writer)
    return error


def test_each_call_on_others_is_tried() -> None:
    assert ON_A_PROCESS.keys() == syscall_filter.OF_OTHERS.keys()


@needs_filter
@pytest.mark.parametrize("name", syscall_filter.OF_OTHERS)
def test_a_call_on_another_process_is_refused_and_on_itself_is_not(name: str, sleeper: int) -> None:
    """Without a sandbox this alone keeps the processes of one user apart."""
    asked = ON_A_PROCESS[name]
    assert error_of(name, *asked(sleeper), filtered=False) != errno.EPERM, "the system would refuse it by itself"
    assert error_of(name, *asked(sleeper)) == errno.EPERM
    assert error_of(name, *asked(0)) != errno.EPERM


@needs_filter
@pytest.mark.parametrize("whose", [1, 2], ids=["group", "user"])
@pytest.mark.parametrize("name", ["setpriority", "ioprio_set"])
def test_a_call_on_all_processes_of_a_group_or_user_is_refused(name: str, whose: int) -> None:
    """Of the caller's own, which 0 names too. What is asked for is not to be had, so that a filter with a hole in it
    makes no process of the tester's slower: EACCES or EINVAL, by the system itself.
    """
    asked = (whose, 0, -20) if name == "setpriority" else (whose + 1, 0, 7 << 13)
    assert error_of(name, *asked, filtered=False, without_rights=True) in (errno.EACCES, errno.EINVAL)
    assert error_of(name, *asked, without_rights=True) == errno.EPERM


@pytest.mark.slow
@needs_filter
def test_what_lessons_use_still_works() -> None:
    compiled = compile_filter()
    assert compiled is not None

    def works() -> bool:
        import socket
        import subprocess
        import threading

        import numpy as np
        import torch

        linux.no_new_privileges()
        linux.install_filter(compiled.program(FilterUse.PLAIN), watched=False)
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
        socket.socket(socket.AF_UNIX).close()
        subprocess.run(["true"], check=True)
        return float(torch.ones(3) @ torch.ones(3)) == 3.0 and float(np.linalg.norm(np.ones(4))) == 2.0

    assert in_a_child(works)
