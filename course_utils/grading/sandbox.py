"""Where the learner's code runs: how well it can be shut in on this machine, and the fork server that starts kernels
there.

Levels, best first:

- ``bubblewrap``: its own processes, no network, no files but the libraries and the stripped package (read-only), empty
  home and temporary folder in memory, no environment. Each submission has namespaces of its own inside it.
- ``docker`` and ``podman``: through a container, where a teacher asks for it (``containers/Containerfile``). Written
  and never run: what it keeps is not known, and the record of every submission says so.
- ``rlimits``: limits on memory, processes, files and time, and a clean-up of everything that was started. Where the
  system has Landlock (Linux 5.13) no files can be opened but the libraries and the stripped package. Elsewhere it does
  not keep hostile code from reading the teacher's files (the solutions among them) or, without libseccomp, from using
  the network. The record of every submission says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import site
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.grading.inside.settings import Files, Protections, Settings
from course_utils.grading.lesson import Lesson
from course_utils.grading.removing import remove
from course_utils.grading.stripped_package import copy_stripped_package
from course_utils.grading.syscall_filter import compile_filter

KERNEL_NAME = "course-exam"
COPY, SOCKETS = (
    "/course",
    "/run/sockets",
)  # where bubblewrap's sandbox has the stripped package, and the kernels' sockets
_SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/sbin")
_SETTINGS = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/alternatives")
SERVER, LOG = "fork_server", "fork_server.log"
IMAGE = "course-exam"  # what containers/Containerfile is built as


@dataclass(frozen=True)
class Limits:
    """What one submission may use. Sizes in bytes, times in seconds."""

    case: float = 20.0  # one answer on one hidden input
    cell: float = 120.0  # one cell, all hidden inputs of an exercise
    wall: float = 600.0  # everything
    memory: int = 2 << 30  # above what libraries and model already take
    output: int = 16 << 20  # one cell
    disk: int = 256 << 20
    processes: int = 64
    files: int = 1024  # open at once


@dataclass
class Sandbox:
    """A fork server for the kernels of one lesson, shut in. Use it as a context manager."""

    lesson: Lesson
    level: str
    limits: Limits = field(default_factory=Limits)
    folder: Path = field(init=False)
    protections: Protections = field(init=False, default_factory=Protections)
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)
    _seal: str = field(init=False, default="")
    _count: int = field(init=False, default=0)

    def __enter__(self) -> Sandbox:
        # Short: the path of a Unix socket has at most about 100 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="exam-", dir=_short_folder()))
        try:
            self._write_copy()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        remove(self.folder)

    def was_changed(self) -> bool:
        """Whether anything of what kernels are started from is not as it was written: the copy of the package, the
        settings, the kernel's specification, or the course's own package.

        Only at the level ``rlimits`` is this possible, and looked at.
        """
        return self.level == "rlimits" and self._seal != self._digest()

    def _digest(self) -> str:
        """Of all files from which a kernel is started, and of the package that judges."""
        seen = hashlib.sha256()
        written = [file for name in ("copy", "spec") for file in (self.folder / name).rglob("*")]
        for file in sorted([*written, *Path(__file__).parents[1].rglob("*.py")]):
            data = file.read_bytes() if file.is_file() else b""
            seen.update(os.fsencode(file) + b"\0" + hashlib.sha256(data).digest())
        return seen.hexdigest()

    def _write_copy(self) -> None:
        """Write the stripped package and the kernel's specification, in place of what is there."""
        for name in ("spec", "copy"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir()
        self._path = copy_stripped_package(self.lesson, self.folder / "copy")
        self._write_kernelspec()

    @property
    def spec_folder(self) -> Path:
        """The folder in which Jupyter finds the kernel ``course-exam``."""
        return self.folder / "spec"

    @property
    def scratch(self) -> Path:
        """Where the examiner keeps what it writes of each kernel, in a folder named as that of the kernel's sockets.
        No kernel can look into it, but at the level ``rlimits`` without Landlock.
        """
        return self.folder / "scratch"

    def new_socket_folder(self) -> Path:
        """An empty folder for one kernel's sockets.

        Where namespaces cannot be nested, each kernel has a fork server, and so a sandbox, of its own: in a shared one
        a submission could leave something behind for the next. At the level ``rlimits`` it could write where the next
        one is started from: that is looked at, and written anew.
        """
        if self.was_changed():
            self.stop()
            self._write_copy()
        if (
            (self._count and not self.protections.nested and self.level != "rlimits")
            or self._process is None
            or self._process.poll() is not None
        ):
            self.stop()
            self.start()
        self._count += 1
        sockets = self.folder / "sockets" / str(self._count)
        sockets.mkdir()
        return sockets

    def start(self) -> None:
        """Start the fork server and wait until it is warm. Raises CourseError with what it said if it is not in two
        minutes.
        """
        sockets = self.folder / "sockets"
        # Where kernels see each other's, one may have put something in the way of this start or of the next kernel.
        remove(sockets)
        sockets.mkdir()
        seen_inside = SOCKETS if self.level == "bubblewrap" else str(sockets)
        settings = Settings(
            path=_seen_inside(self.level, self.folder, self._path),
            modules=list(self.lesson.modules),
            model=self.lesson.model,
            socket=f"{seen_inside}/{SERVER}",
            sockets=seen_inside,
            namespaces=self.level == "bubblewrap",
            filter=compile_filter(),
            may_open=_files(self.folder / "copy") if self.level == "rlimits" else None,
            below_tmp=_below_tmp(),
            cpu=int(self.limits.wall) + 10,
            memory=self.limits.memory,
            disk=self.limits.disk,
            processes=self.limits.processes,
            files=self.limits.files,
        )
        (self.folder / "copy" / "settings.json").write_text(settings.to_json(), encoding="utf-8")
        log = (self.folder / LOG).open("wb")
        with log:
            self._process = subprocess.Popen(
                command(self.level, self.folder, self._path),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=_environment(self.level, self.folder, self._path),
                cwd="/",
                start_new_session=True,
            )
        self._seal = self._digest() if self.level == "rlimits" else ""
        self.protections = self._state()

    def stop(self) -> None:
        """End the fork server and every kernel that it still has."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def _state(self) -> Protections:
        assert self._process is not None
        deadline = time.monotonic() + 120
        place = str(self.folder / "sockets" / SERVER)
        while time.monotonic() < deadline and self._process.poll() is None:
            line = socket.socket(socket.AF_UNIX)
            with line, contextlib.suppress(OSError):
                line.connect(place)
                line.sendall(b'"state"\n')
                return Protections.from_json(line.recv(4096))
            time.sleep(0.05)
        said = (self.folder / LOG).read_text(encoding="utf-8", errors="replace")[-2000:]
        raise CourseError(f"the sandbox ({self.level}) did not start; it said:\n{said}")

    def _write_kernelspec(self) -> None:
        spec = self.spec_folder / "kernels" / KERNEL_NAME
        spec.mkdir(parents=True)
        launcher = Path(__file__).parent / "inside" / "launch_kernel.py"
        server = str(self.folder / "sockets" / SERVER)
        argv = [sys.executable, "-S", "-E", str(launcher), server, str(self.scratch), "{connection_file}"]
        contents = {"argv": argv, "display_name": "exam", "language": "python", "interrupt_mode": "message"}
        (spec / "kernel.json").write_text(json.dumps(contents), encoding="utf-8")


def choose_level(wanted: str | None = None) -> tuple[str, str]:
    """The level to use, and why it is not a better one ("" if it is the best).

    Raises:
        CourseError: the wanted level does not work here; it says why.
    """
    if os.name != "posix":
        raise CourseError(
            "marking needs Linux or macOS (it forks); on Windows use WSL: https://learn.microsoft.com/windows/wsl"
        )
    if wanted in ("docker", "podman"):
        found = probe_container(wanted)
        if found:
            raise CourseError(f"--sandbox {wanted}: {found}")
        return wanted, ""
    trouble = probe_bubblewrap() if wanted != "rlimits" else "asked for"
    if not trouble:
        return "bubblewrap", ""
    if wanted == "bubblewrap":
        raise CourseError(f"--sandbox bubblewrap: {trouble}")
    return "rlimits", trouble


@cache
def probe_bubblewrap() -> str:
    """Why bubblewrap cannot be used, or ""."""
    if not sys.platform.startswith("linux"):
        return "bubblewrap exists for Linux only"
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed (apt install bubblewrap)"
    argv = [
        "bwrap",
        "--unshare-all",
        "--die-with-parent",
        "--ro-bind",
        "/",
        "/",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "true",
    ]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not run: {error}"
    if done.returncode:
        return f"this system does not allow what bubblewrap does: {done.stderr.strip()[:300]}"
    return ""


def probe_container(engine: str) -> str:
    """Why ``engine`` ("docker" or "podman") cannot be used, or ""."""
    if shutil.which(engine) is None:
        return f"{engine} is not installed"
    done = subprocess.run([engine, "image", "inspect", IMAGE], capture_output=True, text=True)
    if done.returncode:
        return f"there is no image {IMAGE!r}; build it: {engine} build -t {IMAGE} -f containers/Containerfile ."
    return ""


def command(level: str, folder: Path, path: list[Path]) -> list[str]:
    """The command line that starts a fork server at a level."""
    copy = folder / "copy"
    settings = f"{COPY if level == 'bubblewrap' else copy}/settings.json"
    server = ["-m", "course_utils.grading.inside.fork_server", settings]
    environment = _environment(level, folder, path)
    if level == "rlimits":
        return [sys.executable, *server]
    if level in ("docker", "podman"):
        return [*_container(level, folder, environment), "python", *server]
    return [*_bubblewrap(folder, environment), "--", sys.executable, *server]


def _container(engine: str, folder: Path, environment: dict[str, str]) -> list[str]:
    copy, sockets = folder / "copy", folder / "sockets"
    shared = ["-v", f"{copy}:{copy}:ro", "-v", f"{sockets}:{sockets}"]
    shared += [part for place in _model_folders() for part in ("-v", f"{place}:{place}:ro")]
    limits = ["--rm", "-i", "--network", "none", "--read-only", "--cap-drop", "ALL"]
    limits += ["--security-opt", "no-new-privileges", "--tmpfs", "/tmp:size=256m", "--pids-limit", "256"]
    limits += ["--memory", "8g", "--user", f"{os.getuid()}:{os.getgid()}"]
    given = [part for name, value in environment.items() if name != "PATH" for part in ("-e", f"{name}={value}")]
    return [engine_path(engine), "run", *limits, *shared, *given, IMAGE]


def _bubblewrap(folder: Path, environment: dict[str, str]) -> list[str]:
    # Nothing of this machine is there unless it is named here. --new-session: without it, a sandboxed process could
    # push keys into the teacher's terminal (TIOCSTI).
    options = ["--unshare-all", "--die-with-parent", "--new-session", "--hostname", "exam", "--clearenv"]
    for name, value in environment.items():
        options += ["--setenv", name, value]
    options += ["--tmpfs", "/tmp"]
    for place in _SYSTEM:
        if os.path.islink(place):
            options += ["--symlink", os.readlink(place), place]
        elif os.path.isdir(place):
            options += ["--ro-bind", place, place]
    for place in _SETTINGS:
        options += ["--ro-bind-try", place, place]
    for place in (*_python_folders(), *_model_folders()):
        options += ["--ro-bind", place, place]
    import course_utils

    copy = folder / "copy"
    installed = Path(course_utils.__file__).resolve().parent
    # Not an editable checkout: the package lies among the libraries, and would be seen there with its solutions.
    if any(installed.is_relative_to(Path(place).resolve()) for place in (*_SYSTEM, *_python_folders())):
        options += ["--ro-bind", str(copy / "package" / "course_utils"), str(installed)]
    options += ["--ro-bind", str(copy), COPY, "--bind", str(folder / "sockets"), SOCKETS]
    for number in range(len(_below_tmp())):
        options += ["--dir", f"/run/kept/{number}"]
    options += ["--dir", "/run/kernel", "--dir", "/scratch", "--proc", "/proc", "--dev", "/dev"]
    for place in ("sys", "sysrq-trigger", "irq", "bus", "fs"):  # where the marker is root, these would be the host's
        options += ["--ro-bind-try", f"/proc/{place}", f"/proc/{place}"]
    options += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"]
    return [engine_path("bwrap"), *options]


def engine_path(name: str) -> str:
    """Where a program is; its bare name if it is nowhere, so that the error names it."""
    return shutil.which(name) or name


def _seen_inside(level: str, folder: Path, path: list[Path]) -> list[str]:
    """The import path as the sandbox sees it."""
    if level != "bubblewrap":
        return [str(place) for place in path]
    return [f"{COPY}/{place.relative_to(folder / 'copy')}" for place in path]


def _environment(level: str, folder: Path, path: list[Path]) -> dict[str, str]:
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join([*_seen_inside(level, folder, path), *_user_packages()]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "MPLCONFIGDIR": "/tmp",
        "COURSE_CACHE": str(_cache_folder()),
        "COURSE_PROGRESS": "off",  # what is marked is no learner's progress
    }
    if "COURSE_MODEL" in os.environ:
        environment["COURSE_MODEL"] = os.environ["COURSE_MODEL"]
    return environment


def _cache_folder() -> Path:
    from course_utils.model.weights import cache_folder

    return cache_folder().resolve()


def _model_folders() -> list[str]:
    return [str(_cache_folder())] if _cache_folder().is_dir() else []


def _python_folders() -> list[str]:
    """What of this machine Python itself needs, besides /usr."""
    places = {Path(place).resolve() for place in (sys.prefix, sys.base_prefix, sys.exec_prefix, *_user_packages())}
    return sorted(str(place) for place in places if not place.is_relative_to("/usr"))


def _files(copy: Path) -> Files:
    """What a kernel may read where Landlock shuts it in, and of which folders it may see the names alone.

    The package, where it lies among the libraries, is left out: the solutions are in it. Rights to a folder hold for
    all that is in it, so around the package each neighbour is named.
    """
    import course_utils

    installed = Path(course_utils.__file__).resolve().parent
    readable, listed = [str(copy), *_SETTINGS], []
    for place in map(Path, (*_SYSTEM, *_python_folders(), *_model_folders())):
        while installed.is_relative_to(place.resolve()):
            listed.append(str(place))
            below = place.resolve() / installed.relative_to(place.resolve()).parts[0]
            readable += [str(one) for one in place.iterdir() if one.resolve() != below]
            place = below
            if place == installed:
                break
        else:
            readable.append(str(place))
    return Files(readable, listed)


def _below_tmp() -> list[str]:
    """Those of the folders that are needed inside which a temporary folder of a kernel's own would hide."""
    return [place for place in (*_python_folders(), *_model_folders()) if place.startswith("/tmp/")]


def _user_packages() -> list[str]:
    """Where `pip install --user` puts packages, if this Python looks there. Inside, it would not: the home there is
    another.
    """
    place = site.getusersitepackages()
    return [str(Path(place).resolve())] if site.ENABLE_USER_SITE and Path(place).is_dir() else []


def _short_folder() -> str | None:
    usual = tempfile.gettempdir()
    return usual if len(usual) < 60 else "/tmp"
