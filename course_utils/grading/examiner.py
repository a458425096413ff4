"""One submission through nbval, in one pytest, and a record of what each cell came to.

nbval runs the cells; this plugin decides what that means, since nbval passes where it should not (a time-out that was
swallowed, a reply that said error, a kernel that died between two cells). The rule is to fail closed: an exercise is
judged only if its probe was run by nbval to the end, the kernel answered ok, lives, and sent values for this very
question exactly once.

Each run is a forked process, not a call of ``pytest.main`` in the worker: pytest and Jupyter keep state in their
modules, a hostile kernel can make nbval wait or collect for ever, and only a process can be ended from outside at a
wall-clock time. The record is a file that grows line by line, since whoever is killed returns nothing: what was seen
before the end must be there already.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import nbformat
import pytest
from nbformat import NotebookNode

from course_utils.exercises import Exercise, Verdict, judge
from course_utils.exercises.differences import first_difference
from course_utils.exercises.running import Outcome
from course_utils.exercises.values import to_json
from course_utils.grading.exam_notebook import ExamCell, supply
from course_utils.grading.inside import linux
from course_utils.grading.inside.probe import MIME
from course_utils.grading.inside.reports import Attempt, KernelEnd, read_report
from course_utils.grading.kernel_channel import KernelChannel, KernelDied, TooMuchOutput
from course_utils.grading.lesson import Lesson
from course_utils.grading.results import (
    Alarm,
    Answer,
    CellError,
    CellKind,
    CellRecord,
    Failure,
    Message,
    RecordLine,
    Run,
    SentOutcome,
    Stop,
    Trouble,
)
from course_utils.grading.sandbox import KERNEL_NAME, Limits
from course_utils.notebooks.normalise import ANSI

KEPT = 20_000  # characters of a cell's output or traceback in the record
KEPT_VALUES = 200_000  # characters of the values of one outcome
MORE_MEMORY = 4 << 30  # bytes of address space that a run may take beyond what the worker has at its start


@dataclass(frozen=True)
class Question:
    """What one run asks.

    Attributes:
        seed: of the hidden inputs.
        nonce: the word that must come back with the values.
        right: the exercises whose answers are known to be right.
        left_out: the names that the lesson's cells bind, where some of these cells are left out.
    """

    seed: int
    nonce: str
    right: frozenset[str] = frozenset()
    left_out: frozenset[str] = frozenset()


class Plugin:
    """The pytest plugin: watches nbval's cells and appends one JSON line for each to the record."""

    def __init__(self, lesson: Lesson, question: Question, limits: Limits, record: Path) -> None:
        self.lesson, self.question, self.limits = lesson, question, limits
        self.record = record
        self.right = set(question.right)
        self.channel: KernelChannel | None = None
        self.doubtful: Verdict | None = None  # the verdict that a second run of the same question should confirm
        self.first: list[Outcome] = []
        self.cells: list[CellRecord] = []
        self.stopped: Stop | None = None
        self.started = 0.0

    @pytest.hookimpl(trylast=True)  # the kernel is started by the set-up of the notebook, before
    def pytest_runtest_setup(self, item: Any) -> None:
        exam = ExamCell.of(item.cell)
        kernel = item.parent.kernel
        if self.channel is None:
            # nbval asks its kernel for messages through this one method. Only in its place can the reply's status and
            # the kernel's death be seen, and a flood of output be stopped before nbval has collected all of it in
            # memory.
            self.channel = KernelChannel(kernel, self.limits.output)
            kernel.get_message = self.channel.get_message
        self.channel.next_cell()
        self.started = time.monotonic()
        if exam.kind is CellKind.AGAIN and (self.doubtful is None or self.doubtful.exercise != exam.exercise):
            pytest.skip("the first answer needs no confirmation")
        if exam.kind is CellKind.SUPPLY and exam.exercise in self.right:
            # Only now is it known that the answer is right: the learner's own goes on under its name, as in the lesson.
            item.cell.source = supply(self.lesson.exercise(exam.exercise), keep=True)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Any:
        report = yield
        if call.when == "setup" and call.excinfo is not None and not report.skipped:
            self._write(RecordLine(trouble=Trouble(Failure.NO_KERNEL, str(call.excinfo.value)[:KEPT])))
            self._stop(item, Stop.NO_KERNEL)
        elif call.when == "call":
            self._note(item, call.excinfo.value if call.excinfo else None)
        return report

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._write(RecordLine(stopped=self.stopped, ended=True))

    def _stop(self, item: Any, why: Stop) -> None:
        self.stopped = why
        item.session.shouldstop = str(why)

    def _note(self, item: Any, error: BaseException | None) -> None:
        assert self.channel is not None
        exam = ExamCell.of(item.cell)
        outputs = [output for output in item.test_outputs or [] if isinstance(output, dict)]
        alarm = self._alarm(item, error)
        sent = [output["data"][MIME] for output in outputs if MIME in (output.get("data") or {})]
        answer = None
        # After an alarm nothing that was sent is looked at: what sent it may be running beside the answer.
        if exam.kind.asks and alarm is None:
            answer = self._judge(exam, sent, ok=error is None and self.channel.reply == "ok")
        cell = CellRecord(
            exam.kind,
            exam.exercise,
            seconds=round(time.monotonic() - self.started, 3),
            passed=error is None,
            reply=self.channel.reply,
            alarm=alarm,
            source=item.cell.source[:KEPT] if exam.kind.learners or exam.kind is CellKind.LESSON else "",
            text=_whole(_text(outputs)[:KEPT]),
            error=_error(outputs, error),
            answer=answer,
            forged=0 if answer is not None else len(sent),
        )
        self._write(RecordLine(cell=cell))
        self.cells.append(cell)
        if alarm is not None:
            self._stop(item, Stop.ALARM)
        elif cell.kind is CellKind.PROBE and missing_names(self.cells, cell.exercise) & self.question.left_out:
            # Here and not when the run is over: the next cell shows the reference, and what was shown is not asked for
            # again.
            self._stop(item, Stop.LACKS_A_CELL)

    def _alarm(self, item: Any, error: BaseException | None) -> Alarm | None:
        """What makes everything after this cell worthless, if anything."""
        if isinstance(error, TooMuchOutput):
            return Alarm.OUTPUT_LIMIT
        if isinstance(error, KernelDied):
            return Alarm.CRASHED
        # Looked at however the cell came out: nbval passes one that swallowed its interrupt, and one whose kernel died
        # after the reply.
        if item.parent.timed_out:
            return Alarm.TIME_OUT
        if not item.parent.kernel.is_alive():
            return Alarm.CRASHED
        return None

    def _judge(self, exam: ExamCell, sent: list[Any], *, ok: bool) -> Answer:
        """Open what the kernel sent and compare it. Whatever is wrong with it is an answer too: never an exception,
        never a pass.
        """
        again = exam.kind is CellKind.AGAIN
        exercise = self.lesson.exercise(exam.exercise)
        try:
            if not ok:
                raise ValueError("the question did not run to its end")
            # The second question has a word of its own, or the first one's values could be kept and sent once more.
            outcomes = open_message(sent, exercise.id, self.question.nonce + ("-again" if again else ""))
        except (ValueError, RecursionError, MemoryError) as error:
            return Answer(refused=_whole(str(error)[:500]) or type(error).__name__)
        if outcomes is None:
            return Answer(undefined=True)
        try:
            verdict = judge(exercise, outcomes, self.question.seed)
        except Exception as error:  # of the reference or of the judge: not the learner's fault
            return Answer(failure=_whole(f"{type(error).__name__}: {error}"[:500]))
        shown = replace(verdict, message=_whole(verdict.message[:KEPT]))
        if again:
            assert self.doubtful is not None
            agrees = _same(self.doubtful, verdict) and same_values(exercise, self.first, outcomes)
            self.doubtful = None
            return Answer(shown, agrees=agrees)
        if verdict.status == "right":
            self.right.add(exercise.id)
        elif verdict.status == "wrong" and not any(outcome.out_of_time for outcome in outcomes):
            self.doubtful, self.first = verdict, outcomes
        used = msgspec.json.decode(sent[0], type=Message).used
        return Answer(shown, tuple(_kept(outcome) for outcome in outcomes), used=tuple(used))

    def _write(self, line: RecordLine) -> None:
        with self.record.open("ab") as file:  # at once: this process may be killed at any time
            file.write(msgspec.json.encode(line) + b"\n")


def missing_names(cells: Sequence[CellRecord], exercise: str) -> frozenset[str]:
    """The names for want of which an answer raised: in its cells, or when it was called."""
    return _missing(cells, exercise, "NameError")


def missing_packages(cells: Sequence[CellRecord], exercise: str) -> frozenset[str]:
    """The packages for want of which an answer raised: in its cells, or when it was called."""
    return _missing(cells, exercise, "ModuleNotFoundError")


def _missing(cells: Sequence[CellRecord], exercise: str, exception: str) -> frozenset[str]:
    own = [cell for cell in cells if cell.exercise == exercise]
    found = [cell.error.missing for cell in own if cell.error is not None and cell.error.name == exception]
    outcomes = [one for cell in own if cell.answer is not None for one in cell.answer.outcomes]
    found += [one.missing for one in outcomes if one.raised == exception]
    return frozenset(found) - {""}


def open_message(sent: Sequence[Any], exercise: str, nonce: str) -> list[Outcome] | None:
    """The outcomes in what a probe sent; None where nothing of the exercise's name was defined.

    Raises:
        ValueError: it was not sent exactly once, does not answer this question, or is not made of outcomes.
    """
    if len(sent) != 1:
        raise ValueError(f"values were sent {len(sent)} times; once was expected")
    if not isinstance(sent[0], str):
        raise ValueError("what was sent is not a text of JSON")
    try:
        # Types, names of fields, lengths and NaN are msgspec's to refuse; what a value is made of, and how large it
        # is, from_json's.
        message = msgspec.json.decode(sent[0], type=Message)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ValueError(f"what was sent is not a message of the probe ({error})") from None
    if message.exercise != exercise or message.nonce != nonce:
        raise ValueError("what was sent answers another question")
    return None if message.outcomes is None else [outcome.opened() for outcome in message.outcomes]


def same_values(exercise: Exercise, one: Sequence[Outcome], other: Sequence[Outcome]) -> bool:
    """Whether two runs of one question came to the same."""
    if len(one) != len(other):
        return False

    def same(a: Outcome, b: Outcome) -> bool:
        if a.kind != b.kind:
            return False
        close = a.kind != "value" or first_difference(a.value, b.value, exercise.axes, exercise.tolerance) is None
        return close or to_json(a.value) == to_json(
            b.value
        )  # what is no value at all has no distance, but may be the same

    return all(same(a, b) for a, b in zip(one, other, strict=True))


def run(
    lesson: Lesson,
    exam: NotebookNode,
    question: Question,
    limits: Limits,
    *,
    spec_folder: Path,
    sockets: Path,
    scratch: Path,
    wall: float,
) -> Run:
    """Run ``exam`` with nbval in a forked process and return the record of the cells that were run.

    ``sockets`` is where the kernel's sockets go, ``scratch`` where nothing of the kernel's can look. After ``wall``
    seconds the process is killed; the record then ends where it came to.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    notebook, record, log = scratch / "exam.ipynb", scratch / "record.jsonl", scratch / "pytest.log"
    record.unlink(missing_ok=True)
    nbformat.write(exam, notebook)
    pid = os.fork()
    if pid == 0:
        _become_pytest(Plugin(lesson, question, limits, record), notebook, log, spec_folder, sockets, limits)
    ended = _wait(pid, time.monotonic() + wall)
    lines = _read(record)
    trouble = next((line.trouble for line in lines if line.trouble), None)
    stopped = next((line.stopped for line in lines if line.stopped), None)
    if not ended:
        trouble = trouble or Trouble(Failure.WALL, f"the whole run took longer than {wall:.0f} s")
    elif not any(line.ended for line in lines):  # it ended by itself, and not in the way in which pytest ends
        trouble = trouble or Trouble(Failure.EXAMINER, _whole(_tail(log)))
    cells = tuple(line.cell for line in lines if line.cell)
    asked = tuple(one.exercise for one in map(ExamCell.of, exam.cells) if one.kind is CellKind.PROBE)
    return Run(asked, cells, trouble, stopped, *kernel_report(scratch))


def kernel_report(scratch: Path) -> tuple[KernelEnd | None, tuple[Attempt, ...]]:
    """What the watch of the kernel of ``scratch`` said: why it ended it, if it did, and what was tried."""
    lines: list[str] = []
    with contextlib.suppress(OSError):
        with (scratch / "report.txt").open("rb") as file:
            lines = file.read(5000).decode("utf-8", "replace").splitlines()
    return read_report(lines)


def _become_pytest(
    plugin: Plugin, notebook: Path, log: Path, spec_folder: Path, sockets: Path, limits: Limits
) -> NoReturn:
    try:
        os.setsid()  # an interrupt from the teacher's terminal must not come out as a learner's mark
        if linux.AVAILABLE:
            linux.die_with_parent(signal.SIGKILL)
            _limit_memory()
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (out, 1), (out, 2)):
            os.dup2(source, target)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        os.environ.update(
            JUPYTER_PATH=str(spec_folder),
            JUPYTER_RUNTIME_DIR=str(sockets),
            TMPDIR=str(sockets),
            PYTEST_ADDOPTS="",
            PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
            PYDEVD_DISABLE_FILE_VALIDATION="1",
        )
        os.environ.pop("PYTEST_XDIST_WORKER", None)
        os.chdir(sockets)  # Jupyter names the kernel's sockets relative to where it is, and puts their list into TMPDIR
        tempfile.tempdir = None
        settings = notebook.parent / "pytest.ini"
        settings.write_text("[pytest]\n", encoding="utf-8")
        from jupyter_client.manager import KernelManager

        KernelManager.transport.default_value = "ipc"  # no port: nothing else on this machine can talk to the kernel
        arguments = ["--nbval-lax", f"--nbval-kernel-name={KERNEL_NAME}", f"--nbval-cell-timeout={limits.cell}"]
        # No plugin and no conftest but these: what lies beside a submission, or is installed here, must not run in the
        # examiner.
        for name in ("nbval.plugin", "no:cacheprovider", "no:unraisableexception"):
            arguments += ["-p", name]
        arguments += ["--noconftest", "-c", str(settings)]
        arguments += [f"--rootdir={notebook.parent}", "-q", "--tb=no", "--capture=no", str(notebook)]
        code = int(pytest.main(arguments, plugins=[plugin]))
        sys.stdout.flush()
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        os._exit(70)
    os._exit(code)


def _limit_memory() -> None:
    """Let this process have :data:`MORE_MEMORY` beyond what it has, and no more.

    A message is counted (:class:`KernelChannel`) when it is here: ZeroMQ takes it in whole, of any size, and up to a
    thousand more behind it, also on channels that nobody reads. Whatever a kernel sends, this run then fails and not
    the machine. It is the address space, since that is what the system refuses at once; the worker has loaded the
    libraries and the model already, and has one thread, so that a run reserves little of it beside what it uses. The
    one process that is started from here is launch_kernel.py, which is small: the kernel comes from the fork server.
    """
    import resource  # not above: Windows has not got it

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + MORE_MEMORY
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _wait(pid: int, deadline: float) -> bool:
    """Whether the process ended by itself before the deadline; it has ended in any case.

    Raises SystemExit where the parent of this worker is gone.
    """
    pause, parent, ended = 0.005, os.getppid(), False
    try:
        while not ended and time.monotonic() <= deadline:
            if os.getppid() != parent:  # whoever asked was killed: nobody waits for the answer any more
                raise SystemExit(1)
            time.sleep(pause)
            pause = min(0.05, pause * 1.5)
            ended = os.waitpid(pid, os.WNOHANG)[0] == pid
    finally:
        if not ended:  # also where a signal ends this worker: what comes next is the removal of what a kernel writes in
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return ended


def _read(record: Path) -> list[RecordLine]:
    lines = []
    with contextlib.suppress(FileNotFoundError), record.open("rb") as file:
        for line in file:
            with contextlib.suppress(msgspec.MsgspecError):  # the last one, of a process that was killed
                lines.append(msgspec.json.decode(line, type=RecordLine))
    return lines


def _tail(log: Path) -> str:
    with contextlib.suppress(OSError):
        return log.read_text(encoding="utf-8", errors="replace")[-3000:]
    return ""


def _whole(text: str) -> str:
    """Without the halves of characters that a kernel may send and that no UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode()


def _same(one: Verdict, other: Verdict) -> bool:
    return (one.status, one.points, one.passed, one.mistake) == (
        other.status,
        other.points,
        other.passed,
        other.mistake,
    )


def _kept(outcome: Outcome) -> SentOutcome:
    """What is kept of an outcome to judge it again: all, unless its value is very large."""
    sent = SentOutcome.of(outcome)
    if len(msgspec.json.encode(sent.value)) < KEPT_VALUES:
        return sent
    return SentOutcome.of(replace(outcome, value="(too large to keep)"))


def _text(outputs: list[Any]) -> str:
    shown = []
    for output in outputs:
        if output.get("output_type") == "stream":
            shown.append(str(output.get("text", "")))
        elif "text/plain" in (output.get("data") or {}):
            shown.append(str(output["data"]["text/plain"]) + "\n")
    return ANSI.sub("", "".join(shown))


# Jupyter sends the exception of a cell as text, so what Python knows as its name can only be read out of the sentence.
_MISSING = {
    "NameError": re.compile(r"name '(\w{1,200})' is not defined"),
    "ModuleNotFoundError": re.compile(r"No module named '(\w{1,200})['.]"),
}


def _missing_in(name: str, text: str) -> str:
    """For want of which name, or package, a cell raised this."""
    match = _MISSING[name].search(text) if name in _MISSING else None
    return match[1] if match and match[1].isidentifier() else ""


_FRAME = re.compile(r"(?=^(?:File |Cell In|Input In))", re.MULTILINE)


def _error(outputs: list[Any], error: BaseException | None) -> CellError | None:
    """The exception of a cell: its name, text and the traceback, the frames in the learner's own cells only."""
    for output in reversed(outputs):
        if output.get("output_type") == "error":
            trace = ANSI.sub("", "\n".join(map(str, output.get("traceback", []))))
            parts = _FRAME.split(trace)
            own = [part for part in parts[1:] if not part.startswith("File ")]
            shown = "".join(own) if own else trace
            last = f"{output.get('ename')}: {output.get('evalue')}"
            if last not in shown:
                shown += "\n" + last
            name, text = str(output.get("ename"))[:200], str(output.get("evalue"))[:2000]
            return CellError(_whole(name), _whole(text), _whole(shown[:KEPT]), _missing_in(name, text))
    if error is None:
        return None
    return CellError(type(error).__name__, _whole(ANSI.sub("", str(error))[:2000]))
