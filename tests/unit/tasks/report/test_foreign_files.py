"""Files that somebody else wrote, or that something damaged: one line that says where and what, or a ranking;
never a traceback."""

import copy
import io
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import InputError
from tasks.report.collect import Row
from tasks.report.compare import Side, compare
from tasks.report.filing import file_source
from tasks.report.gather import gather
from tasks.report.history import History
from tasks.report.metric import METRICS
from tasks.report.page import page
from tasks.report.rank import rankings
from tasks.report.ranking_files import beside
from tasks.report.read import is_file, read_file
from tasks.report.remarks import remarks
from tasks.report.rows import Source
from tasks.report.summary import ranking_object
from tasks.report.table import to_object
from tasks.report.told import tell
from tasks.report.write import write_csv, write_jsonl, write_requests_csv, write_requests_jsonl
from tasks.result import Failure, Result

CASES = 30  # of each kind of file
LIMITS = {"ttft_ms": 200.0}
NESTED = "[" * 3000 + "]" * 3000
ODD: list[Any] = [
    None, True, False, 0, -1, 5, 1e308, -1e308, 10**400, float("nan"), float("inf"), "", "x", "true", "5",
    "\ud800", "9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00", [], [[]], [5], [None], {}, {"a": {}},
    [["h"]], [["h", "timeout"]], [[5, "timeout", "m"]], [["h", ["timeout"], "m"]], ["hts"], {"model": 5},
]  # fmt: skip


def written_rows() -> list[Row]:
    """Two hosts with answers, tries that failed, failures, and an item without a result."""
    rng = random.Random(5)
    made = []
    for n in range(26):
        host = "ab"[n % 2]
        metrics = {
            "started_at": f"2026-01-01T00:00:{n:02}.000+00:00", "ttft_ms": rng.gauss(100, 5), "itl_ms": 2.5,
            "e2e_latency_s": 0.5, "stream_end_s": 0.5, "completion_tokens": 50, "prompt_tokens": 100,
            "token_count_source": "server", "mem_model_mib": 900.0, "mem_source": "proc",
            "concurrency": 4, "load_mode": "closed", "phase": "measure",
        }  # fmt: skip
        tries = (Failure(host, "timeout", "silent"),) if n % 5 == 0 else ()
        error = Failure(host, "timeout", "silent") if n % 10 == 0 else None
        answer = None if error else "yes"
        result = Result(
            f"r-{n}-0", host, 1 + len(tries), answer, error=error, engine="ollama", model="m",
            failures=tries, metrics=metrics,
        )  # fmt: skip
        made.append(Row(result.item_id, f"p{n}.txt", "one", "one?", "m", result, paper=f"{n:064}", index=n))
    return [*made, Row("r-99-0", "p99.txt", "one", "one?", "m", None, paper="9" * 64, index=99)]


def answered_ms(host: str | None) -> list[float]:
    """TTFT of the host's answers, the quickest first."""
    results = [row.result for row in written_rows() if row.result]
    return sorted(one.metrics["ttft_ms"] for one in results if one.success and one.host == host)


def text_of(write: Callable[..., None]) -> str:
    out = io.StringIO(newline="")
    write(None, written_rows(), out)
    return out.getvalue()


def document() -> dict[str, Any]:
    return {
        "timestamp": "2026-01-01T00:00:00+00:00", "run_id": "r", "name": "mine", "state": "done",
        "files_skipped": ["a.doc"], "prompts_used": ["one?"], "total_tasks": 27, "successful": 23,
        "failed": 3, "total_time_seconds": 30.0, "results": [to_object(row) for row in written_rows()],
    }  # fmt: skip


FILES: dict[str, Callable[[], str]] = {
    "results.json": lambda: json.dumps(document()),
    "results.jsonl": lambda: text_of(write_jsonl),
    "results.csv": lambda: text_of(write_csv),
    "requests.jsonl": lambda: text_of(write_requests_jsonl),
    "requests.csv": lambda: text_of(write_requests_csv),
}


def used(source: Source) -> None:
    """Everything that is computed of rows: rankings, a comparison, a page, a place in the history."""
    gathered = gather(source)
    made = [one for metric in METRICS.values() for one in rankings(gathered.samples, metric, LIMITS)]
    json.dumps([ranking_object(one) for one in made])
    remarks(gathered)
    for per in ("host", "model", "pair"):
        gather(source, per)
    if len(gathered.samples) > 1:
        a, b = (Side(one.cell.name, one) for one in gathered.samples[:2])
        [one.sentence() for metric in METRICS.values() for one in compare(a, b, metric, LIMITS)]
    page(tell(source, beside(source.path, source.run) if source.path else None))
    kept = History("sqlite://")
    try:
        assert file_source(kept, source, "file")
        kept.figures()
    finally:
        kept.close()


def read_and_used(path: Path) -> str:
    """What was said where the file was refused, or nothing."""
    try:
        used(read_file(path))
    except InputError as error:
        said = str(error)
        assert said.startswith(str(path)), said
        assert "\n" not in said
        return said
    return ""


@pytest.mark.parametrize("name", FILES)
def test_what_llmq_writes_it_reads(tmp_path: Path, name: str) -> None:
    """Each kind of file gives the same ranking; a file of requests says which tries it does not name."""
    path = tmp_path / name
    path.write_text(FILES[name](), newline="")
    source = read_file(path)
    gathered = gather(source)
    assert [(one.cell.host, len(one.requests)) for one in gathered.samples] == [("a", 10), ("b", 13)]
    assert (gathered.answered, gathered.open, source.run) == (23, 1, "r")
    assert len({r.question for one in gathered.samples for r in one.requests}) == 23
    for sample in gathered.samples:
        read = sorted(one.value("ttft_ms") for one in sample.requests)
        assert read == pytest.approx(answered_ms(sample.cell.host), abs=0.001)
    assert [note for note in source.notes if "3 failed tries" in note] == list(source.notes)
    assert bool(source.notes) == name.startswith("requests")
    used(source)


def mutated(value: Any, dice: random.Random) -> Any:
    """One place in a tree of JSON set to something else, or gone."""
    tree = copy.deepcopy(value)
    places = list(_places(tree))
    parent, key = dice.choice(places)
    if dice.random() < 0.2:
        del parent[key]
    else:
        parent[key] = dice.choice(ODD)
    return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        yield tree, key
        yield from _places(value)


def damaged(text: str, dice: random.Random) -> bytes:
    """Bytes cut off, changed, left out or put in."""
    found = bytearray(text.encode("utf-8", "surrogatepass"))
    at = dice.randrange(len(found))
    ways: list[Callable[[], None]] = [
        lambda: found.__delitem__(slice(at, None)),
        lambda: found.__setitem__(at, dice.randrange(256)),
        lambda: found.__delitem__(slice(at, at + dice.randrange(1, 200))),
        lambda: found.__setitem__(slice(at, at), bytes(dice.choices(b'",\n\r[]{}\x00\xff:0e', k=5))),
        lambda: found.__setitem__(slice(at, at), NESTED.encode()),
    ]
    dice.choice(ways)()
    return bytes(found)


def seeds(count: int) -> Iterator[random.Random]:
    return (random.Random(seed) for seed in range(count))


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_refused_or_read(tmp_path: Path, name: str) -> None:
    """Whatever happens to its bytes."""
    text, path = FILES[name](), tmp_path / name
    refused = 0
    for dice in seeds(CASES):
        path.write_bytes(damaged(text, dice))
        refused += bool(read_and_used(path))
    assert refused > CASES / 10, "some damage was seen"


@pytest.mark.parametrize("name", ["results.json", "results.jsonl", "requests.jsonl", "run.json"])
def test_wrong_types_are_refused_or_read(tmp_path: Path, name: str) -> None:
    """Wherever something else stands than what belongs there: refused with place and key, or unknown. A
    run.json that is none is left alone."""
    path = tmp_path / name
    about = {
        "run_id": "r", "command_line": "llmq", "llmq_version": "1", "git_sha": "0", "python": "3",
        "config": {"models": ["m"], "prompts": [{"name": "one", "template": "t"}], "max_tokens": 5},
        "hosts": [{"id": "a", "slots": 2, "engine": "ollama", "models": [{"name": "m", "digest": "d"}],
                   "worker": {"os": "o", "cores": 4, "ram_bytes": 5}}],
    }  # fmt: skip
    said = []
    answers, whole = FILES["results.jsonl"](), document()
    rows = answers.splitlines() if name == "run.json" else FILES[name]().splitlines()
    (tmp_path / "answers.jsonl").write_text(answers)
    for dice in seeds(4 * CASES):
        if name == "results.json":
            path.write_text(json.dumps(mutated(whole, dice)))
        elif name == "run.json":
            path.write_text(json.dumps(mutated(about, dice)))
        else:
            lines = [*rows]
            at = dice.randrange(len(lines))
            lines[at] = json.dumps(mutated(json.loads(lines[at]), dice))
            path.write_text("\n".join(lines))
        if name == "run.json":
            assert read_and_used(tmp_path / "answers.jsonl") == ""
        else:
            said.append(read_and_used(path))
    assert name == "run.json" or len(set(said)) > CASES / 2


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"success": False, "failures": [["h"]]}, "line 1, failures, 1: expected [host, type, message]"),
        ({"success": False, "failures": 5}, "line 1, failures: expected a list of tries, found 5"),
        ({"success": False, "failures": [["h", 5, "m"]]}, "line 1, failures, 1, type: expected a text"),
        ({"success": "yes"}, 'line 1, success: expected true or false, found "yes"'),
        ({"success": True, "host": ["a"]}, 'line 1, host: expected a text, found ["a"]'),
        ({"success": False, "error": {"type": 5}}, "line 1, error, type: expected a text, found 5"),
        ({"success": True, "simulated": "no"}, "line 1, simulated: expected true or false"),
        ({"success": True, "metrics": [1]}, "line 1, metrics: expected an object, found [1]"),
        ([1], "line 1: expected an object, found [1]"),
        ({"a": 1}, "line 1: no key success"),
        ({"request_id": "r-0-0", "status": "ok", "host": "a"}, "line 1: no column model"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, entry: Any, words: str) -> None:
    """File, line and key, what was expected, and what stands there."""
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps(entry) + "\n")
    with pytest.raises(InputError) as refused:
        read_file(path)
    assert str(refused.value).startswith(f"{path}, {words}")


def test_a_csv_names_its_line_and_column(tmp_path: Path) -> None:
    """The line as an editor counts it; a column that is missing; a row that is torn."""
    path = tmp_path / "results.csv"
    path.write_text('success,host,response,failures\ntrue,a,"two\nlines",\ntrue,b,one,"[[1, 2]]"\n')
    with pytest.raises(
        InputError, match=r"results\.csv, line 4, failures, 1, host: expected a text, found 1"
    ):
        read_file(path)
    path.write_text("success,host\ntrue,a\ntrue\n")
    with pytest.raises(InputError, match="line 3: 1 cells under 2 columns"):
        read_file(path)
    path.write_text("request_id,status,host,model,prompt_id,prompt_sha256\nr-0-0,ok,a,m,one,x\n")
    with pytest.raises(InputError, match=r"results\.csv: no column paper_id"):
        read_file(path)


def test_figures_that_are_none_are_counted(tmp_path: Path) -> None:
    """They are unknown, and the reader hears of it."""
    path = tmp_path / "answers.jsonl"
    path.write_text(
        json.dumps({"success": True, "ttft_ms": "soon", "queue_wait_s": -1, "e2e_latency_s": True}) + "\n"
    )
    source = read_file(path)
    assert [row.get("ttft_ms") for row in source.rows or ()] == [None]
    assert source.notes == (
        f"{path}: e2e_latency_s: 1 values are none, and count as unknown",
        f"{path}: queue_wait_s: 1 values are none, and count as unknown",
        f"{path}: ttft_ms: 1 values are none, and count as unknown",
    )


def test_a_folder_is_read_by_its_rows(tmp_path: Path) -> None:
    """As `-o DIR/` writes it, requests first; without rows it says what it looked for."""
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds none of requests\.jsonl, requests\.csv"):
        read_file(tmp_path)
    (tmp_path / "requests.csv").write_text(FILES["requests.csv"](), newline="")
    assert read_file(tmp_path).path == tmp_path / "requests.csv"
    (tmp_path / "results.json").write_text(FILES["results.json"]())
    assert read_file(tmp_path).path == tmp_path / "requests.csv", "requests say more than results"
    with pytest.raises(InputError, match="no such folder"):
        read_file(tmp_path / "gone")


@pytest.mark.parametrize("folder", ["bench", "bench/x.1", "latest"])
def test_a_folder_with_results_is_one_without_a_slash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """Of an empty one nobody knows, it may be a run's name; `latest` is always the run."""
    monkeypatch.chdir(tmp_path)
    Path(folder).mkdir(parents=True)
    assert (is_file(folder), is_file(f"{folder}/")) == (False, True)
    Path(folder, "requests.jsonl").write_text(text_of(write_requests_jsonl))
    assert is_file(folder) == (folder != "latest")
    assert len(read_file(Path(folder)).rows or ()) == len(written_rows())
    assert not is_file("no\0such" + "x" * 5000)
