"""Author's command: all hostile answers at one level, once, and a table of what came of each."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.grading.hostile import attacks
from tests.grading.hostile.run import ROOT, mark

SOMEBODY = 4242  # a user who owns nothing


def main() -> int:
    """Run them; 1 if one of them had its way."""
    import resource  # here: Windows has none, and what the tests take from this module must be had there

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was made is removed
    parser = argparse.ArgumentParser(prog="python -m tests.grading.hostile", description=__doc__)
    parser.add_argument("--level", default="bubblewrap", choices=["bubblewrap", "rlimits"])
    parser.add_argument("--user", action="store_true", help="where this is root: as a user without rights")
    parser.add_argument("--only", action="append", default=[], help="those in whose description this stands")
    parser.add_argument("--boxed", default="", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if not chosen.boxed and can_box():
        return _boxed(sys.argv[1:], user=chosen.user)
    mine = [one for one in attacks() if not chosen.only or any(some in one.what for some in chosen.only)]
    with tempfile.TemporaryDirectory(prefix="h-", dir=chosen.boxed or None) as place:
        came = mark(Path(place), mine, chosen.level)
    for one in mine:
        seen = ", ".join(came.seen.get(one.key, []))
        flags = ", ".join(sorted(set(came.flags.get(one.key, []))))
        print(f"{one.key} {came.points.get(one.key, 0)} {came.verdicts.get(one.key, '-'):14} {one.what}"
              f"{f' | SAW {seen}' if seen else ''}{f' | {flags}' if flags else ''}")  # fmt: skip
    for what in (*came.left, *came.lost):
        print("!", what)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    counted = Counter(one.kind for one in mine)
    print(json.dumps({
        "level": chosen.level, "uid": os.getuid(), "attacks": len(mine), "kinds": counted,
        "points": sum(came.points.values()), "saw": len(came.seen), "left": len(came.left), "lost": len(came.lost),
        "processor seconds": round(used.ru_utime + used.ru_stime),
    }))  # fmt: skip
    return int(bool(came.points or came.seen or came.left or came.lost))


_UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--ipc", "--net", "--uts", "--mount-proc")
_BOX = """\
set -e
mount --make-rprivate /
mount --bind "$PLACE" "$PLACE"
for name in python course; do
    case "$name" in python) from=$PYTHON;; course) from=$COURSE;; esac
    mkdir "$PLACE/$name" && mount --bind "$from" "$PLACE/$name"
done
if [ -n "$USER_ID" ]; then mount -t tmpfs -o mode=755 none ~root; fi
mount -o remount,bind,ro /
for place in /tmp /run /dev/shm; do mount -t tmpfs -o mode=1777 none $place; done
for name in python course; do  # what lay below one of these folders
    case "$name" in python) at=$PYTHON;; course) at=$COURSE;; esac
    [ -d "$at" ] || { mkdir -p "$at" && mount --bind "$PLACE/$name" "$at"; }
done
ip link set lo up 2>/dev/null || true
if [ -n "$USER_ID" ]; then exec setpriv --reuid=$USER_ID --regid=$USER_ID --clear-groups "$@"; fi
exec "$@"
"""


def can_box() -> bool:
    """Whether this is root, and may leave the machine's namespaces."""
    root = hasattr(os, "getuid") and os.getuid() == 0 and shutil.which("unshare")
    return bool(root) and subprocess.run([*_UNSHARE, "true"], capture_output=True).returncode == 0


def is_everyones() -> bool:
    """Whether another user could come into the course's folder at all."""
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in (ROOT, *ROOT.parents))


def _boxed(arguments: list[str], *, user: bool) -> int:
    """The same where this machine is as it is and nothing of it can be written; its processes are not to be seen.

    A mount namespace of root's and not bubblewrap, in which no second bubblewrap could mount its ``/proc``.
    """
    place = tempfile.mkdtemp(prefix="hostile-", dir="/var/tmp")
    # Where Python lies in root's home nobody else would find it.
    environment = {
        **os.environ, "PLACE": place, "PYTHON": sys.base_prefix, "COURSE": str(ROOT),
        "USER_ID": str(SOMEBODY) if user else "",
    }  # fmt: skip
    if user:
        os.chown(place, SOMEBODY, SOMEBODY)
    again = [sys.executable, "-m", "tests.grading.hostile", *arguments, "--boxed", place]
    try:
        return subprocess.run([*_UNSHARE, "sh", "-c", _BOX, "box", *again], env=environment, cwd=ROOT).returncode
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
