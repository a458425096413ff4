"""The isolation of one kernel: its own processes, files, network (none) and limits, gone without a trace when it ends.

Three processes, so that nothing the learner's code can reach holds any right over what shuts it in::

    watch      sees memory and processes from outside; kills on a limit or when the examiner lets go
    init       first process of the kernel's own process namespace: when it dies, all in there die
    kernel     no rights, limits set, runs the learner's code

Where namespaces are not to be had, watch and kernel remain, with limits and a clean-up of every descendant.

Why three: who enters a new process namespace stays outside of it himself, only his children are in. So the watch can
enter the namespaces and still see and kill from outside, where the kernel cannot reach it; and the namespace needs a
first process that reaps orphans, since the system kills all in it when that one ends. If the kernel were this process,
a daemon that it left would take signals in its place.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from course_utils.grading.inside import landlock, linux
from course_utils.grading.inside.reports import Attempt, KernelEnd, Limit, tell_attempt, tell_end
from course_utils.grading.inside.settings import Filter, FilterUse, Settings

SCRATCH = "/scratch"
KEPT = "/run/kept"  # where folders wait that must be seen below /tmp again
SOCKETS = "/run/kernel"  # the kernel's side of the talk with the examiner, where namespaces hide the rest


def watch(line: socket.socket, connection: dict[str, Any], folder: str, settings: Settings) -> NoReturn:
    """Start a kernel for ``connection``, guard it, and leave with it.

    ``line`` stays open as long as the kernel lives. Down it goes what the kernel tried that the filter of system calls
    refuses, and why it was ended, if a limit was the reason (see ``reports``).
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # the fork server ignores it; here children must be waited for
    # What libraries and model take is shared with the fork server, page by page: only what the kernel adds is its own.
    baseline = _resident("self")
    if settings.protections.nested:
        linux.enter_namespaces()
    if linux.AVAILABLE:
        linux.adopt_orphans()
        linux.keep_out()
    ours, kernels = socket.socketpair()
    first = os.fork()
    if first == 0:
        line.close()
        ours.close()
        if settings.protections.nested:
            _init(connection, folder, settings, kernels)
        _kernel(connection, folder, settings, kernels, lambda: None)
    kernels.close()
    calls = _Calls(ours, line, settings)
    end = _guard(line, calls, first, baseline, settings)
    _end(first)
    calls.forget()
    with contextlib.suppress(OSError):
        if end is not None:
            line.sendall(tell_end(end))
        line.close()
    os._exit(0)


class _Calls:
    """The system calls that the filter asks about: refuses or allows each, and tells what was tried, once of each kind.

    The answer is the watch's and not the filter's because only so an attempt is known, and because what a signal may
    reach depends on whose process it is. Numbers are looked at, never memory: that could be changed after the look.
    """

    def __init__(self, socket_: socket.socket, line: socket.socket, settings: Settings) -> None:
        self.socket, self.line, self.filter = socket_, line, settings.filter or Filter()
        self.nested = settings.protections.nested
        self.listener, self.kernel = -1, 0
        self.told: set[Attempt] = set()

    @property
    def waits_on(self) -> list[Any]:
        """What can be read when there is something to do."""
        return [one for one in (self.socket.fileno(), self.listener) if one >= 0]

    def serve(self, ready: list[Any]) -> None:
        """Do what is waiting. The socket first: until it is closed, what is tried is Jupyter's, on its way up."""
        if self.socket.fileno() in ready:
            said, descriptors, _, _ = socket.recv_fds(self.socket, 100, 1)
            if descriptors:
                self.listener, self.kernel = descriptors[0], int(said)
            else:
                self.socket.close()
        elif (asked := linux.next_call(self.listener)) is not None:
            ticket, number, first = asked
            allow, what = self._decide(number, first)
            if what is not None and what not in self.told and self.socket.fileno() < 0:
                self.told.add(what)
                with contextlib.suppress(OSError):
                    self.line.sendall(tell_attempt(what))
            linux.answer_call(self.listener, ticket, allow=allow)

    def forget(self) -> None:
        """Wait for no more calls."""
        if self.listener >= 0:
            os.close(self.listener)

    def _decide(self, number: int, first: int) -> tuple[bool, Attempt | None]:
        if number in self.filter.starts:
            if number == self.filter.clone and first & self.filter.new_namespaces:
                return False, Attempt.NAMESPACES
            return True, Attempt.PROGRAM
        if number in self.filter.signals:
            target = ctypes.c_int(first & 0xFFFFFFFF).value
            if target in (0, self.kernel, -self.kernel):
                return True, None
            if self.nested:  # its process namespace ends there; what is in it are the kernel, its children and init
                return True, Attempt.PROCESS if target in (-1, 1) else None
            own = target > 1 and target in _descendants(os.getpid())
            return own, None if own else Attempt.PROCESS
        if number == self.filter.socket and first == socket.AF_UNIX:
            # Where files are not hidden, the sockets of other programs lie among them, and with a name nothing else
            # keeps a kernel from them. Its own are there before any code of the learner's runs.
            mine = self.nested or self.socket.fileno() >= 0
            return mine, None if mine else Attempt.SOCKET
        return False, self.filter.refused.get(number, Attempt.OTHER)


def _guard(line: socket.socket, calls: _Calls, first: int, baseline: int, settings: Settings) -> KernelEnd | None:
    """Wait for the end; the reason if it was a limit, else None."""
    looked = 0.0
    while True:
        ready = select.select([line, *calls.waits_on], [], [], 0.1)[0]
        if line in ready:
            return None  # the examiner let go (or said something, which it never does)
        if ready:
            calls.serve(ready)
        if os.waitpid(first, os.WNOHANG)[0] == first:
            return None
        if not linux.AVAILABLE or time.monotonic() - looked < 0.1:
            continue
        looked = time.monotonic()
        family = _descendants(os.getpid())
        if len(family) > settings.processes:
            return KernelEnd(Limit.PROCESSES, len(family), settings.processes)
        used = sum(max(0, _resident(str(pid)) - baseline) for pid in family)
        if used > settings.memory:
            return KernelEnd(Limit.MEMORY, used, settings.memory)


def _shut_calls(settings: Settings, report_to: socket.socket) -> None:
    """Give this process a session keyring of its own and the filter of system calls, and the watch its end of it."""
    if linux.AVAILABLE:
        # The session keyring comes from the teacher's login, and every namespace leaves it as it is.
        with contextlib.suppress(OSError):
            linux.new_session_keyring()
    use = settings.protections.filter
    if use is not FilterUse.NONE:
        assert settings.filter is not None
        watched = use is FilterUse.WATCHED
        # Before anything of Jupyter's: a filter holds for the thread that installs it and for those that it starts.
        listener = linux.install_filter(settings.filter.program(use), watched=watched)
        if watched:
            socket.send_fds(report_to, [str(os.getpid()).encode()], [listener])
            os.close(listener)  # whoever has it could allow itself everything


def _init(connection: dict[str, Any], folder: str, settings: Settings, report_to: socket.socket) -> NoReturn:
    linux.die_with_parent(signal.SIGKILL)
    linux.mount_nothing_shared()
    # The kernel's own folder first, then nothing over the place of all of them: a kernel that saw its neighbours'
    # sockets, or the fork server's, could talk to them.
    linux.mount_bind(os.path.join(settings.sockets, folder), SOCKETS)
    linux.mount_empty(settings.sockets, 4096)
    linux.mount_empty(SCRATCH, settings.disk)
    _empty_tmp(settings.below_tmp, settings.disk)
    linux.mount_empty("/dev/shm", settings.disk)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        # Last of all, since mounting needs them: inside its own user namespace this process was root and could undo
        # every mount.
        linux.drop_privileges()
        _kernel(connection, SOCKETS, settings, report_to, lambda: os.close(writer))
    report_to.close()
    os.close(writer)
    os.read(reader, 1)  # the kernel's sockets are bound: nothing more is to be written there
    with contextlib.suppress(OSError):
        linux.mount_read_only(SOCKETS)
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _empty_tmp(needed: list[str], size: int) -> None:
    """A temporary folder of the kernel's own, also where the libraries or the model lie below it: they are put back."""
    for number, place in enumerate(needed):
        linux.mount_bind(place, f"{KEPT}/{number}")
    linux.mount_empty("/tmp", size)
    for number, place in enumerate(needed):
        os.makedirs(place, exist_ok=True)
        linux.mount_bind(f"{KEPT}/{number}", place)


def _kernel(
    connection: dict[str, Any], folder: str, settings: Settings, report_to: socket.socket, bound: Callable[[], None]
) -> NoReturn:
    import json

    os.setsid()
    if linux.AVAILABLE and not settings.protections.nested:
        linux.die_with_parent(signal.SIGKILL)
        linux.drop_privileges()  # where root marks; for anyone else it is no new ones
    if settings.protections.nested:
        home, work = f"{SCRATCH}/home", f"{SCRATCH}/work"
    else:
        folder = os.path.join(settings.sockets, folder)
        home = work = os.path.join(folder, "work")
    connection["ip"] = os.path.join(folder, os.path.basename(connection["ip"]))
    for place in {home, work}:
        os.makedirs(place, exist_ok=True)
    os.chdir(work)
    # Each of these would else lie in a folder that can be read only, or that the next kernel sees too.
    os.environ.update(
        HOME=home, TMPDIR=home, JUPYTER_RUNTIME_DIR=home, IPYTHONDIR=home, MPLCONFIGDIR=home, XDG_CACHE_HOME=home
    )
    tempfile_reset()
    _limit(settings)
    if settings.protections.landlock:
        assert settings.may_open is not None
        landlock.shut_files(settings.may_open.readable, settings.may_open.listed, own=[folder])
    _shut_calls(settings, report_to)
    # The log and the standard input of the fork server are not the kernel's: with the latter it could end the server.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    file = os.path.join(home, "connection.json")
    with open(file, "w", encoding="utf-8") as out:
        json.dump(connection, out)

    from ipykernel.kernelapp import IPKernelApp

    sys.argv = ["kernel"]
    sys.path.insert(0, "")
    application = IPKernelApp.instance()
    application.initialize(["-f", file, "--HistoryManager.enabled=False", "--log-level=ERROR"])
    report_to.close()  # says that what is tried from here on is the learner's
    bound()  # before any code of the learner's: from now on nothing can be written where the sockets are
    application.start()
    os._exit(0)


def tempfile_reset() -> None:
    """Let ``tempfile`` look for its folder again: the fork server may have asked for it outside of the kernel's
    namespaces.
    """
    import tempfile

    tempfile.tempdir = None


def _limit(settings: Settings) -> None:
    def at_most(what: int, amount: int) -> None:
        hard = resource.getrlimit(what)[1]
        amount = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (amount, amount))

    at_most(resource.RLIMIT_CORE, 0)
    at_most(resource.RLIMIT_FSIZE, settings.disk)
    at_most(resource.RLIMIT_NOFILE, settings.files)
    at_most(resource.RLIMIT_CPU, settings.cpu)
    if linux.AVAILABLE:
        # Threads take address space that they never use.
        at_most(resource.RLIMIT_AS, _pages("self", 0) + 4 * settings.memory)
    if settings.protections.nested:  # elsewhere all processes of the user would count
        at_most(resource.RLIMIT_NPROC, settings.processes + 200)  # threads count too


def _end(first: int) -> None:
    """Kill the kernel and everything that it started, until nothing is left.

    Again and again, since what is being killed may fork meanwhile; this process adopts the orphans, so nothing is left
    when it has no child.
    """
    for _ in range(200):
        with contextlib.suppress(OSError):
            os.kill(first, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.killpg(first, signal.SIGKILL)
        for pid in _descendants(os.getpid()):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.02)


def _descendants(root: int) -> set[int]:
    """The processes below ``root``, as far as /proc tells."""
    parents: dict[int, int] = {}
    try:
        numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return set()
    for pid in numbers:
        with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/stat", "rb") as file:
            parents[pid] = int(file.read().rpartition(b")")[2].split()[1])
    found: set[int] = set()
    frontier = {root}
    while frontier:
        frontier = {pid for pid, parent in parents.items() if parent in frontier} - found
        found |= frontier
    return found


def _resident(pid: str) -> int:
    return _pages(pid, 1)


def _pages(pid: str, field: int) -> int:
    """Bytes of address space (0) or of memory in use (1) of a process; 0 where it cannot be told."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[field]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0
