"""The history on a real SQLite file, written by real processes."""

import json
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from cli.history import _print as print_run
from tasks.errors import InputError, OutputError
from tasks.report.filing import file_source, rankings_of_runs, since
from tasks.report.history import FIGURE, RUN, Filter, History, history
from tasks.report.rows import Source, flat
from tasks.settings import read_settings
from worker_agent.errors import ConfigError

HEAD = {"name": "first", "ended_at": "2026-03-01T12:00:00+01:00", "total_tasks": 30, "successful": 29}
WRITER = """
import json, sys
from tasks.report.history import History
url, mine, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
figure = json.loads(sys.argv[4])
kept = History(url)
filed = [kept.file(f"{who}-{k}", {}, [figure]) for k in range(count) for who in (mine, "both")]
print(sum(filed))
"""


def figure(host: str = "mac-1", metric: str = "ttft_ms", value: float = 100.0, **more: Any) -> dict[str, Any]:
    """A row of summary.csv."""
    known = {"host": host, "model": "m", "metric": metric, "unit": "ms", "direction": "lower", "n": 30}
    row = {column.name: None for column in FIGURE.columns} | known
    return row | {"p50": value, "apart": "first", "simulated": False, "failed": 0, "cut": 0} | more


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'history.sqlite'}"


def test_what_is_filed_comes_back_and_never_changes(url: str) -> None:
    """Filed again it stays as it was, also for another process that opens the file later."""
    kept = History(url)
    assert kept.file("r1", HEAD, [figure(value=100), figure(value=50, apart="cached"), figure("mac-2")])
    assert not kept.file("r1", {"name": "other"}, [figure(value=1)])
    again = History(url)
    (run,) = again.runs()
    assert (run["name"], run["ended_at"], run["total"]) == ("first", "2026-03-01T11:00:00+00:00", 30)
    assert [(row["host"], row["apart"], row["p50"]) for row in again.figures()] == [
        ("mac-1", "cached", 50),
        ("mac-1", "first", 100),
        ("mac-2", "first", 100),
    ]


def test_a_run_without_a_single_figure_is_kept_too(url: str) -> None:
    """That all of it failed is part of the history."""
    kept = History(url)
    assert kept.file("r1", HEAD | {"successful": 0, "failed": 30}, [])
    assert (kept.runs()[0]["failed"], kept.figures()) == (30, [])


def test_filters(url: str) -> None:
    """By host, by model, and by when the run ended."""
    kept = History(url)
    kept.file("old", HEAD | {"ended_at": "2026-01-01T00:00:00+00:00"}, [figure("mac-1")])
    kept.file("new", HEAD | {"ended_at": "2026-02-01T00:00:00+00:00"}, [figure("mac-2", model="n")])
    assert [run["run_id"] for run in kept.runs()] == ["new", "old"]
    assert [run["run_id"] for run in kept.runs(Filter(host="mac-1"))] == ["old"]
    assert [run["run_id"] for run in kept.runs(Filter(model="n"))] == ["new"]
    assert [run["run_id"] for run in kept.runs(Filter(since=since("2026-01-15")))] == ["new"]
    assert [row["run_id"] for row in kept.figures(Filter(since=since("2026-01-15")))] == ["new"]


def test_names_of_strangers_are_kept_and_told_apart(url: str) -> None:
    """Long ones, hostile ones, and such as no UTF-8 can carry."""
    kept = History(url)
    names = ["x" * 1000 + "1", "x" * 1000 + "2", "'; DROP TABLE llmq_run; --", "\ud800", "a\x00b"]
    assert kept.file("r1", HEAD, [figure(host=name) for name in names])
    assert len(kept.figures()) == len(names)
    assert len(kept.figures(Filter(host=names[2]))) == 1


def test_what_is_filed_fits_its_columns(url: str) -> None:
    """SQLite takes any length and number, other databases do not: names are shortened and still told apart,
    NUL is spelled out, and no number is beyond an INTEGER."""
    kept = History(url)
    runs = ["x" * 300 + end for end in ("1", "2")]
    odd = figure(host="a\x00b", apart="a" * 90, direction="d" * 50)
    assert all(kept.file(run, HEAD | {"state": "s" * 90, "total_tasks": 2**40}, [odd]) for run in runs)
    assert [kept.knows(run) for run in (*runs, "x" * 300)] == [True, True, False]
    for table, found in ((RUN, kept.runs()), (FIGURE, kept.figures())):
        assert len(found) == 2
        for row in found:
            for column in table.columns:
                value, most = row[column.name], getattr(column.type, "length", None)
                assert not isinstance(value, str) or (
                    len(value) <= (most or len(value)) and "\0" not in value
                )
                assert not isinstance(value, int) or abs(value) < 2**31


def test_processes_that_write_at_once_lose_nothing(url: str, tmp_path: Path) -> None:
    """Four that all make the file, write runs of their own and fight for the same ones: each run once."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", WRITER, url]
    children = [
        subprocess.Popen(
            [*command, f"own{n}", "25", json.dumps(figure())], cwd=root, stdout=subprocess.PIPE, text=True
        )
        for n in range(4)
    ]
    counts = [int(child.communicate(timeout=60)[0]) for child in children]
    assert [child.returncode for child in children] == [0] * 4
    assert sum(counts) == 4 * 25 + 25
    kept = History(url)
    assert len(kept.runs()) == len(kept.figures()) == 125


def test_all_who_open_a_new_history_at_once_may_write(tmp_path: Path) -> None:
    """Each reads that there are no tables and makes them: only one does, and the others wait for it."""
    for attempt in range(5):
        url = f"sqlite:///{tmp_path / f'{attempt}.sqlite'}"
        start = Barrier(8)

        def write(who: int, url: str = url, start: Barrier = start) -> bool:
            start.wait(10)
            return History(url).file(f"r{who}", HEAD, [figure()])

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(write, range(8))) == [True] * 8
        assert len(History(url).runs()) == 8


def test_a_file_of_a_newer_llmq_is_left_alone(url: str, tmp_path: Path) -> None:
    """One line that says so, and nothing is written."""
    History(url).close()
    with sqlite3.connect(tmp_path / "history.sqlite") as file:
        file.execute("UPDATE llmq_version SET version = 99")
    before = (tmp_path / "history.sqlite").read_bytes()
    with pytest.raises(InputError, match=r"written by a newer llmq \(schema 99, this one knows 4\)"):
        History(url)
    assert (tmp_path / "history.sqlite").read_bytes() == before


def test_a_history_from_before_lengths_gets_their_column(url: str, tmp_path: Path) -> None:
    """What it holds stays; lengths of one host and model stand side by side, and are ranked apart."""
    assert History(url).file("r0", HEAD, [figure(value=1)])
    with sqlite3.connect(tmp_path / "history.sqlite") as file:
        file.execute("ALTER TABLE llmq_figure DROP COLUMN target_prompt_tokens")
        file.execute("UPDATE llmq_version SET version = 1")
    for run in ("r1", "r2"):
        assert History(url).file(run, HEAD, [figure(value=n, target_prompt_tokens=n) for n in (100, 1000)])
    kept = History(url)
    found = {(row["run_id"], row["target_prompt_tokens"], row["p50"]) for row in kept.figures()}
    assert found == {("r0", None, 1), *((run, n, n) for run in ("r1", "r2") for n in (100, 1000))}
    rankings = rankings_of_runs(kept, "ttft_ms", Filter())
    assert [(one.terms, one.entries[0].value) for one in rankings] == [
        ("", 1),
        ("100 tokens", 100),
        ("1000 tokens", 1000),
    ]


def test_two_paces_of_a_simulated_host_are_two_entries(url: str, tmp_path: Path) -> None:
    """A history from before paces keeps what it holds; a host at two of them is ranked as two."""
    assert History(url).file("r0", HEAD, [figure(value=1, simulated=True)])
    with sqlite3.connect(tmp_path / "history.sqlite") as file:
        file.execute("ALTER TABLE llmq_figure DROP COLUMN time_scale")
        file.execute("UPDATE llmq_version SET version = 3")
    for run in ("r1", "r2"):
        both = [figure(value=n, simulated=True, time_scale=scale) for n, scale in ((10, 1.0), (2, 0.05))]
        assert History(url).file(run, HEAD, both)
    (ranking,) = rankings_of_runs(History(url), "ttft_ms", Filter())
    assert [(one.cell.kind, one.value, one.rank) for one in ranking.entries] == [
        ("simulated 20x as fast", 2, 1),
        ("simulated", 10, 2),
        ("simulated", 1, None),
    ]


def test_a_file_that_is_no_history_is_named(tmp_path: Path) -> None:
    """Not a database, a folder, an address that is none; a password is not shown."""
    (tmp_path / "notes.txt").write_text("not a database, " * 100)
    with pytest.raises(InputError, match=r"notes\.txt cannot be read"):
        History(f"sqlite:///{tmp_path / 'notes.txt'}")
    with pytest.raises(InputError, match="cannot be read"):
        History(f"sqlite:///{tmp_path}")
    for wrong in ("nonsense", "nosuch://me:secret@host/x", "postgresql+nosuch://me:secret@host/x"):
        with pytest.raises(ConfigError, match="LLMQ_HISTORY_URL") as refused:
            History(wrong)
        assert "secret" not in str(refused.value)


def test_it_lies_in_the_data_folder_or_where_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LLMQ_HOME, else LLMQ_HISTORY_URL as SQLAlchemy takes it; where no file can be, one line says so."""
    monkeypatch.setenv("LLMQ_HOME", str(tmp_path / "home"))
    with history(read_settings()) as kept:
        assert kept.name == str(tmp_path / "home" / "history.sqlite")
    monkeypatch.setenv("LLMQ_HISTORY_URL", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    with history(read_settings()) as kept:
        kept.file("r1", HEAD, [])
    assert (tmp_path / "elsewhere.db").exists()
    monkeypatch.delenv("LLMQ_HISTORY_URL")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LLMQ_HOME", str(tmp_path / "file" / "below"))
    with pytest.raises(OutputError, match="cannot be kept in"), history(read_settings()):
        pass


def test_ranking_the_history_takes_each_run_as_one_value(url: str) -> None:
    """Student's t between runs; one run alone has no rank, few answers do not count."""
    kept = History(url)
    for k, (fast, slow) in enumerate(((100, 150), (102, 149), (98, 152))):
        kept.file(f"r{k}", HEAD, [figure("fast", value=fast), figure("slow", value=slow)])
    kept.file("once", HEAD, [figure("once", value=1)])
    kept.file("few", HEAD, [figure("slow", value=9999, n=9)])
    (ranking,) = rankings_of_runs(kept, "ttft_ms", Filter())
    made = {entry.cell.host: entry for entry in ranking.entries}
    assert {host: entry.rank for host, entry in made.items()} == {"fast": 1, "slow": 2, "once": None}
    assert "1 of the 2 runs" in (made["once"].reason or "")
    interval = made["fast"].interval
    assert interval
    assert (interval.low, interval.high) == pytest.approx((100 - 4.968, 100 + 4.968), abs=0.01)


@pytest.mark.parametrize("text", ["yesterday", "7x", "d", "2026-13-01"])
def test_a_wrong_moment_is_refused(text: str) -> None:
    """With what would be right."""
    with pytest.raises(InputError, match="--since"):
        since(text)


def test_an_entry_and_its_metrics_are_one_row() -> None:
    """What a results file nests is flat for statistics."""
    assert flat({"host": "a", "metrics": {"ttft_ms": 1.0}})["ttft_ms"] == 1.0
    assert flat({"host": "a", "metrics": None})["host"] == "a"


def test_a_file_ended_with_its_last_answer(url: str) -> None:
    """Not when it was written or filed: with --since 7d an old run would be a new one."""
    answers = [
        {"success": True, "host": "a", "model": "m", "ttft_ms": 5.0, "stream_end_s": 30.0}
        | {"started_at": f"2026-01-01T00:00:{second:02}+00:00"}
        for second in (5, 10)
    ]
    kept = History(url)
    assert file_source(kept, Source("old", {"timestamp": "2026-06-01T00:00:00+00:00"}, answers), "old.json")
    assert kept.runs()[0]["ended_at"] == "2026-01-01T00:00:40+00:00"
    assert not kept.runs(Filter(since="2026-05-01T00:00:00+00:00"))


def test_of_many_runs_the_first_stage_the_failures_and_the_interval_are_as_of_one(url: str) -> None:
    """A chain's first stage is no second entry of the same name; failures are a share of all tries, not of
    the few prompts that were read anew; and no time is below zero."""
    kept = History(url)
    few = {"n": 10, "failed": 10, "error_rate": 0.1}  # ten failures, ten first prompts, eighty others
    kept.file("r1", HEAD, [figure(value=10, **few)])
    kept.file("r2", HEAD, [figure(value=100, stage="generate", **few)])
    (ranking,) = rankings_of_runs(kept, "ttft_ms", Filter())
    (entry,) = ranking.entries
    assert entry.error_rate == pytest.approx(0.1)
    assert entry.interval
    assert entry.interval.low == 0


def test_the_stages_of_a_chain_are_told_apart_in_the_list(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One host and model in two stages are two lines that say which."""
    kept = History(url)
    kept.file("r1", HEAD, [figure(value=10, stage="generate"), figure(value=20, stage="summarize")])
    print_run(kept.runs()[0], kept.figures())
    lines = capsys.readouterr().out.splitlines()
    assert [word for line in lines for word in ("generate", "summarize") if word in line] == [
        "generate",
        "summarize",
    ]
