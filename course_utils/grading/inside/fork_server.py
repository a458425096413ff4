"""Load the libraries and the model once, then fork a kernel for each notebook: a kernel costs a tenth of a second.

    python -m course_utils.grading.inside.fork_server SETTINGS.json

It runs inside the sandbox, never executes anything of a learner's, and ends when its standard input does.

It stays a single thread: a fork copies only the thread that forks, and a lock that another one held would stay locked
in every kernel for ever. So the libraries are loaded, but no tensor is multiplied here by more than one thread, and no
loop with threads is started.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from course_utils.grading.inside import isolation, landlock, linux
from course_utils.grading.inside.settings import Files, Filter, FilterUse, Protections, Settings


def main() -> None:
    """Warm up, listen, fork."""
    with open(sys.argv[1], encoding="utf-8") as file:
        settings = Settings.from_json(file.read())
    sys.path[:0] = settings.path
    settings = replace(settings, protections=_protections(settings))
    warm(settings.modules, settings.model)
    gc.collect()
    # What is loaded is never garbage: a forked kernel need not look through it, nor copy its pages by doing so.
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(settings.socket + ".new")
    listener.listen(16)
    os.rename(settings.socket + ".new", settings.socket)  # whoever sees it can connect
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the watches are reaped by the system
    if linux.AVAILABLE:
        # At the level rlimits a kernel has the same user, and could reach the next one's memory through this process.
        linux.keep_out()
    while True:
        ready = select.select([listener, sys.stdin], [], [])[0]
        if sys.stdin in ready and not os.read(0, 1):
            return
        if listener in ready:
            connection, _ = listener.accept()
            with contextlib.suppress(OSError, ValueError):  # whatever was said: the others must be answered
                _answer(connection, listener, settings)
            connection.close()


def _answer(asker: socket.socket, listener: socket.socket, settings: Settings) -> None:
    asker.settimeout(1)  # whoever connects and says nothing must not keep the others waiting
    said = b""
    while not said.endswith(b"\n"):
        piece = asker.recv(65536)
        if not piece:
            return
        said += piece
    asker.settimeout(None)
    request = json.loads(said)
    if request == "state":
        asker.sendall(settings.protections.to_json().encode())
        return
    connection, folder = _read_request(request)
    if os.fork() == 0:
        # A kernel that could accept here could answer in the place of the next one, and see its questions.
        listener.close()
        try:
            isolation.watch(asker, connection, folder, settings)
        except BaseException:
            traceback.print_exc()  # into the fork server's log
        finally:
            os._exit(1)  # never back into the loop above: there would be two servers


def _read_request(request: Any) -> tuple[dict[str, Any], str]:
    """The connection of a kernel that is asked for, and the name of its folder.

    Raises ValueError for another request. At the level rlimits a kernel may find its way to this socket: with a folder
    of its choice the next one could write there.
    """
    match request:
        case {"connection": dict(connection), "folder": str(folder)} if folder.isascii() and folder.isdigit():
            return connection, folder
    raise ValueError("a kernel is asked for by its connection and the number of its folder")


def _protections(settings: Settings) -> Protections:
    """What of the protections that are asked for can be had here."""
    ways, filter, files = (FilterUse.WATCHED, FilterUse.PLAIN), settings.filter, settings.may_open
    return Protections(
        nested=settings.namespaces and _nesting_works(),
        filter=next((way for way in ways if filter is not None and _filter_works(filter, way)), FilterUse.NONE),
        landlock=files is not None and _landlock_works(files),
    )


def _nesting_works() -> bool:
    """Try a kernel's namespaces on a process that does nothing."""
    return _works(linux.enter_namespaces)


def _filter_works(filter: Filter, use: FilterUse) -> bool:
    """Try a filter of system calls on a process that does nothing."""

    def install() -> None:
        linux.no_new_privileges()
        linux.install_filter(filter.program(use), watched=use is FilterUse.WATCHED)

    return _works(install)


def _landlock_works(files: Files) -> bool:
    """Try to give the right to files away in a process that does nothing."""

    def shut() -> None:
        linux.no_new_privileges()
        landlock.shut_files(files.readable, files.listed, own=[])

    return _works(shut)


def _works(protection: Callable[[], object]) -> bool:
    """Whether it can be had here: tried in a process that ends at once."""
    if not linux.AVAILABLE:
        return False
    pid = os.fork()
    if pid == 0:
        try:
            protection()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def warm(modules: list[str], model: str | None) -> None:
    """Import what lessons import and load the model that they load, so that a forked kernel has both."""
    for name in (
        "ipykernel.kernelapp",
        "ipykernel.ipkernel",
        "ipykernel.zmqshell",
        "matplotlib.pyplot",
        "matplotlib_inline.backend_inline",
    ):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    from course_utils import exercises

    def check(id: str, answer: Any, seed: int | None = None) -> Any:
        """While a notebook is marked its own checks have nothing to say."""
        return answer

    exercises.check = check
    if model is not None:
        _share_model(model)
    for name in modules:
        importlib.import_module(name)


def _share_model(shared_name: str) -> None:
    """Let ``load_model()`` give the one model that all notebooks share. A notebook that changes it changes its own
    copy of the page.
    """
    import torch

    import course_utils
    from course_utils.model import loading

    torch.set_num_threads(1)  # a pool of threads would not survive the fork
    load: Any = loading.load_model
    shared = load(shared_name)

    def load_model(name: Any = None, **options: Any) -> Any:
        """As outside; the lesson's model is there already."""
        wanted = str(name or os.environ.get("COURSE_MODEL") or loading.DEFAULT_MODEL)
        return shared if wanted == shared_name and not any(options.values()) else load(name, **options)

    for module in (loading, course_utils):
        setattr(module, "load_model", load_model)  # noqa: B010


if __name__ == "__main__":
    main()
