"""Marking past one machine gives the verdicts of marking on it: through Dask, through submitit, through the commands
of Slurm.

Where there is no Slurm, its four commands are stood in for by scripts that run a job at once on this machine, and
submitit, which calls them, is the real one. Where there is one, it is started and used.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import dask
import distributed
import pytest

from course_utils.errors import CourseError
from course_utils.grading import executors
from course_utils.grading.executors import executor
from course_utils.grading.lesson import load_lesson
from course_utils.grading.mark_folder import Plan, mark_folder
from course_utils.grading.results import Result
from course_utils.residual import residual_stream
from tests.grading import slurm_here
from tests.grading.cohort import LESSON, PUPILS, write
from tests.grading.test_grading_cohort import LIMITS, check_against_table

FEW = [pupil for pupil in PUPILS if pupil.name in {"Ada Right", "Quin Syntax", "Eli Other"}]

# As a real one, sbatch keeps a copy of the script and runs that: submitit renames its own as soon as it has an answer.
SLURM = {
    "srun": """
while [ "${1#-}" != "$1" ]; do case "$1" in --output|--error) shift 2;; *) shift;; esac; done
exec "$@"
""",
    "sbatch": """
number=$(( $(ls "$HERE" | grep -c '^job') + 1 ))
touch "$HERE/job$number"
cp "$1" "$HERE/script$number"
export SLURM_JOB_ID=$number SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_JOB_NODELIST=here
export SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0
setsid bash "$HERE/script$number" >/dev/null 2>"$HERE/error$number" </dev/null &
echo $! > "$HERE/group$number"
echo "Submitted batch job $number"
""",
    "sacct": """
echo "JobID|State|NodeList"
for job in $(ls "$HERE" | grep '^job'); do echo "${job#job}|RUNNING|here"; done
""",
    "scancel": 'echo "$1" >> "$HERE/cancelled"; kill -- -$(cat "$HERE/group$1")\n',
}


def mark(tmp_path: Path, name: str, workers: int = 2) -> list[Result]:
    plan = Plan(write(tmp_path / "in", FEW), tmp_path / "out", "rlimits", LIMITS, workers=workers, executor=name)
    return mark_folder(load_lesson(str(LESSON)), plan)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with Slurm's commands, first on the path, and with what they were given."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, script in SLURM.items():
        (folder / name).write_text(f"#!/bin/bash\nHERE={shlex.quote(str(folder))}\n{script}", encoding="utf-8")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture
def dask_cluster() -> Iterator[Any]:
    """A cluster that someone else has started and that lives on, with two workers."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster


@pytest.mark.parametrize("name", ["cloud", "local:2", ""])
def test_an_unknown_executor_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(CourseError, match=f"--executor {name}: there are local, dask:ADDRESS and slurm"):
        with executor(name, 1, tmp_path):
            pass


@pytest.mark.parametrize(("name", "package"), [("dask", "distributed"), ("slurm", "submitit")])
def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(CourseError, match=rf"pip install 'course-utils\[{name}\]'"):
        with executor(name, 1, tmp_path):
            pass


def test_without_slurm_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """submitit alone would start every job at once on this machine."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CourseError, match="not one of a Slurm cluster"):
        with executor("slurm", 1, tmp_path):
            pass


def test_a_wrong_address_of_dask_is_named(tmp_path: Path) -> None:
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        with pytest.raises(CourseError, match="no scheduler of Dask answers there"):
            with executor("dask:tcp://127.0.0.1:9", 1, tmp_path):
                pass


def test_a_scheduler_without_workers_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with distributed.LocalCluster(n_workers=0, dashboard_address=None) as cluster:
        with executor(f"dask:{cluster.scheduler_address}", 1, tmp_path):
            assert "no worker yet" in capsys.readouterr().err


@pytest.mark.slow
def test_a_cluster_of_dask(tmp_path: Path, dask_cluster: Any) -> None:
    check_against_table(mark(tmp_path, f"dask:{dask_cluster.scheduler_address}"), FEW)
    from distributed import Client

    with Client(dask_cluster) as client:
        idle = client.run(lambda: sum(queue.qsize() for queue in executors._idle.values()))
        marked_there = client.run(lambda: len(executors._idle))
    assert any(marked_there.values()), "no worker of the cluster marked anything"
    assert not any(idle.values()), "a sandbox was left behind on the cluster"


@pytest.mark.slow
def test_dask_on_this_machine(tmp_path: Path) -> None:
    check_against_table(mark(tmp_path, "dask", workers=1), FEW)


@pytest.mark.slow
def test_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    with contextlib.ExitStack() as services:
        if slurm_here.can_start():
            settings = services.enter_context(slurm_here.cluster(tmp_path / "cluster"))
            monkeypatch.setenv("SLURM_CONF", str(settings))
        else:
            request.getfixturevalue("slurm")
        check_against_table(mark(tmp_path, "slurm:teaching"), FEW)
    scripts = [path.read_text(encoding="utf-8") for path in (tmp_path / "out" / "jobs").glob("*_submission.sh")]
    # The solved lesson and the untouched one, twice, and those that can be marked.
    assert len(scripts) == 4 + sum(pupil.status == "marked" for pupil in FEW)
    assert all("--partition=teaching" in script for script in scripts)


def test_jobs_that_run_are_cancelled_when_marking_stops(tmp_path: Path, slurm: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        with executor("slurm", 1, tmp_path / "jobs") as pool:
            first, second = pool.submit(time.sleep, 300), pool.submit(time.sleep, 300)
            while not list(slurm.glob("group*")):
                time.sleep(0.05)
            raise KeyboardInterrupt
    assert (slurm / "cancelled").read_text(encoding="utf-8").split() == ["1"]
    assert second.cancelled() and len(list(slurm.glob("script*"))) == 1
    assert "marking was stopped" in str(first.exception(timeout=0))


def test_a_task_travels_by_name_where_a_model_was_loaded(tiny: Any) -> None:
    """A loaded model has nnsight send the course's functions by value. Marking's must go by name: they hold locks."""
    tiny("tiny-llama")
    assert cloudpickle.loads(cloudpickle.dumps(executors.do)) is executors.do
    assert cloudpickle.loads(cloudpickle.dumps(residual_stream)) is not residual_stream
