"""A real Slurm on this machine alone: its controller, one node and the service that signs, each stopped again.

Debian and Ubuntu have all of it: ``apt-get install slurm-wlm munge``.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SERVICES = ("munged", "slurmctld", "slurmd")
_SETTINGS = """\
ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={processors} RealMemory=9000 State=UNKNOWN
PartitionName=teaching Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def can_start() -> bool:
    """Whether a cluster can be started here: where it is installed, and by root alone."""
    return all(map(shutil.which, _SERVICES)) and os.getuid() == 0


@contextmanager
def cluster(folder: Path) -> Iterator[Path]:
    """A running cluster with the partition ``teaching``; gives its settings file, for ``SLURM_CONF``.

    Raises RuntimeError, with what the services said, if the node is not idle within 30 seconds.
    """
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    settings, key = folder / "slurm.conf", folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    controller, node = _free_port(), _free_port()
    host = socket.gethostname().split(".")[0]
    settings.write_text(
        _SETTINGS.format(host=host, controller=controller, node=node, folder=folder, processors=os.cpu_count()),
        encoding="utf-8",
    )
    own = [
        f"--{name}={folder}/munge.{end}"
        for name, end in (
            ("socket", "socket"),
            ("key-file", "key"),
            ("pid-file", "pid"),
            ("log-file", "log"),
            ("seed-file", "seed"),
        )
    ]
    commands = (
        ["munged", "--foreground", "--force", *own],
        ["slurmctld", "-D", "-f", str(settings)],
        ["slurmd", "-D", "-f", str(settings)],
    )  # fmt: skip
    running: list[subprocess.Popen[bytes]] = []
    log = folder / "log"
    try:
        with log.open("wb") as out:
            for one in commands:
                running.append(subprocess.Popen(one, stdout=out, stderr=out))
                time.sleep(1)
        _wait_for_the_node(settings, log)
        yield settings
        _wait_for_the_jobs(settings)
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_the_jobs(settings: Path) -> None:
    """What a job has left to do when its answer is there: an ``srun`` whose controller is gone would wait for ever."""
    command, environment = ["squeue", "--noheader"], {**os.environ, "SLURM_CONF": str(settings)}
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and subprocess.run(command, env=environment, capture_output=True).stdout.strip():
        time.sleep(0.2)


def _wait_for_the_node(settings: Path, log: Path) -> None:
    environment = {**os.environ, "SLURM_CONF": str(settings)}
    for _ in range(60):
        asked = subprocess.run(["sinfo", "-h", "-o", "%t"], env=environment, capture_output=True, text=True)
        if asked.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    raise RuntimeError(f"Slurm did not start; it said: {log.read_text(errors='replace')[-3000:]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
