"""The benchmarks run, compare what they time, and write what the README quotes. No time is asserted: that is what they
are for.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.measuring import Peak, Row, alternate
from benchmarks.report import by_processor, markdown, write
from benchmarks.sections import SECTIONS


@pytest.mark.slow
def test_a_quick_run_writes_tables_json_and_a_picture(tmp_path: Path) -> None:
    sections = ["head-sweep", "ladder", "paths", "length", "pairs", "lens", "steering", "perplexity", "decoding"]
    sections.append("attention")
    assert main(["--quick", "--output", str(tmp_path), *sections]) == 0
    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert {"processor", "cores", "threads", "packages"} <= set(found["machine"])
    rows = found["rows"]
    # Whatever is timed as exact has to agree with what it is compared with, to float32's rounding.
    compared = [row for row in rows if row["agreement"] is not None and row["note"] != "an approximation"]
    assert len(compared) >= 15
    for row in compared:
        assert row["agreement"] <= 1e-3, row
    assert [row["way"] for row in rows if row["table"] == "ladder"][-1] == "+ product"
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    for table in dict.fromkeys(row["table"] for row in rows):
        assert f"## {table.capitalize()}" in text
    assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG")


def test_what_was_measured_before_a_failure_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(setting: object) -> list[Row]:
        raise KeyboardInterrupt

    monkeypatch.setitem(SECTIONS, "tests", fails)
    with pytest.raises(KeyboardInterrupt):
        main(["--quick", "--output", str(tmp_path), "attention", "tests"])
    rows = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["rows"]
    assert {row["table"] for row in rows} == {"attention layer"}


def test_the_best_round_counts_and_the_first_way_is_the_measure() -> None:
    calls: list[str] = []
    ways = {"first": lambda: calls.append("first"), "second": lambda: calls.append("second")}
    rows = alternate("table", "what", ways, rounds=3)
    assert calls == ["first", "second"] * 3
    assert rows[0].times_faster == 1 and [row.way for row in rows] == ["first", "second"]


def test_a_table_has_the_columns_in_which_something_stands() -> None:
    rows = [
        Row("one", "a text", "slow", 2.0, 1.0),
        Row("one", "a text", "fast", 1.0, 2.0, agreement=0.0),
        Row("two", "all", "nbval", 36.8, note="alone"),
    ]
    machine = dict.fromkeys(("processor", "cores", "threads", "memory_gb", "system", "python", "load_before"), "x")
    text = markdown({**machine, "packages": {}}, rows, "bench")
    assert "| what | way | seconds | times | agreement |" in text and "| a text | fast | 1 | 2 | 0 |" in text
    assert "| what | way | seconds | note |\n| --- | --- | --: | --- |\n| all | nbval | 36.8 | alone |" in text


def test_what_another_processor_gave_stands_beside(tmp_path: Path) -> None:
    def result(processor: str, times: float) -> tuple[dict[str, object], list[Row]]:
        machine = dict.fromkeys(("cores", "threads", "memory_gb", "system", "python", "load_before"), "x")
        rows = [
            Row("head sweep", "all heads", "loop", 30.0, 1.0),
            Row("head sweep", "all heads", "patch_heads", 30.0 / times, times),
            Row("arithmetic limit", "all heads", "its growing batch", 0.7, note=f"{times} times its products"),
        ]
        return {**machine, "processor": processor, "packages": {}}, rows

    write(tmp_path / "there", *result("There", 28.0), "bench")
    (tmp_path / "here" / "processors").mkdir(parents=True)
    (tmp_path / "there" / "results.json").rename(tmp_path / "here" / "processors" / "there.json")
    write(tmp_path / "here", *result("Here", 36.0), "bench")
    text = (tmp_path / "here" / "results.md").read_text(encoding="utf-8")
    assert "| way | Here | There |" in text and "| head sweep: patch_heads | 36 | 28 |" in text
    assert "| its growing batch | 36.0 times its products | 28.0 times its products |" in text
    assert by_processor([{"machine": {"processor": "Here"}, "rows": [Row("lens", "all", "ours", 1.0).as_dict()]}]) == ""


def test_the_peak_of_memory_is_seen() -> None:
    with Peak() as peak:
        held = bytearray(64 * 2**20)
        held[::4096] = b"x" * len(held[::4096])
        time.sleep(0.5)  # the sampler is a thread, which a busy machine may keep waiting
        del held
    assert 50 <= peak.mb <= 120


def test_an_unknown_section_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["--quick", "--output", str(tmp_path), "nonsense"])
    assert "no section is called 'nonsense'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--quick"])
