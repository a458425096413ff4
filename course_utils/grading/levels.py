"""The levels at which learners' code can be shut in (see :mod:`course_utils.grading.sandbox`), and what each lacks."""

from __future__ import annotations

LEVELS = ("bubblewrap", "docker", "podman", "rlimits")
_NOT_PROTECTED = {
    "bubblewrap": "",
    "docker": "never tried with a real engine: nothing is known of what it keeps",
    "podman": "never tried with a real engine: nothing is known of what it keeps",
    "rlimits": "not protected from hostile code: the files (the course's solutions among them), the environment, the "
    "memory of other programs and, but for Linux with libseccomp, the network of the account that marks",
}
_LANDLOCK = (
    "shut in by Landlock and not by namespaces: which other files there are can be seen, though not what is in them, "
    "and their modes and times be changed; without libseccomp other programs' sockets and the network are open too"
)


def not_protected(level: str, *, landlock: bool) -> str:
    """What a level does not keep from hostile code, "" if nothing; ``landlock``: whether files were shut by it."""
    return _LANDLOCK if level == "rlimits" and landlock else _NOT_PROTECTED[level]
