"""The report: its figures are those of `llmq rank`, and no text of a stranger is markup in it."""

import html.parser
import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.errors import InputError, OutputError
from tasks.report import charts
from tasks.report.account import Account
from tasks.report.boxes import box
from tasks.report.gather import gather
from tasks.report.html.axis import fit
from tasks.report.html.markup import tag
from tasks.report.lanes import DRAWN, timeline
from tasks.report.metric import METRICS
from tasks.report.page import check_page, page, write_report
from tasks.report.rank import rankings
from tasks.report.ranking_files import beside
from tasks.report.read import read_file
from tasks.report.rows import Source
from tasks.report.told import tell
from tasks.report.wording import number

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "</style></title><svg onload=alert(1)>",
    "{{7*7}}${7*7}",
    "javascript:alert(1)",
    "]]><!--",
    "\x1b[31m\x00\u202egpj.exe",
    "\udcff",
    "a" * 3000,
]
VOID = {"meta", "link"}


class Strict(html.parser.HTMLParser):
    """Every element is closed where it ought to be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((name, dict(attrs)))
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((name, dict(attrs)))

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name


def answers(host: str, n: int = 30, ms: float = 100.0, **more: Any) -> list[dict[str, Any]]:
    rng = random.Random(ascii(host))
    return [
        {
            "success": True, "item_id": f"r-{host}{k}-0", "host": host, "model": "m", "engine": "ollama",
            "file": f"p{k}.txt", "paper_id": f"p{k}", "prompt_name": "one", "prompt_sha256": "x",
            "ttft_ms": rng.gauss(ms, ms / 10), "itl_ms": 2.0, "output_tps": 500.0, "e2e_latency_s": 0.5,
            "stream_end_s": 0.5, "started_at": f"2026-01-01T00:00:{k:02}.000+00:00", "completion_tokens": 50,
            "token_count_source": "server", "cached_tokens": 0, "prompt_tokens": 100, **more,
        }
        for k in range(n)
    ]  # fmt: skip


def failed(kind: str, message: str = "why", **more: Any) -> dict[str, Any]:
    error = {"type": kind, "message": message}
    return {
        "success": False,
        "item_id": f"f-{kind}-{more}",
        "host": "a",
        "file": "bad.pdf",
        "error": error,
        **more,
    }


def source(*parts: list[dict[str, Any]], **head: Any) -> Source:
    return Source("run1", head, [row for part in parts for row in part])


def text_of(made: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", made.split("</style>")[1]))


def test_its_figures_are_those_of_rank() -> None:
    """Median and interval of every entry of every ranking stand in the page as `llmq rank` says them."""
    rows = source(answers("a"), answers("b", ms=150), answers("c", n=5))
    shown = text_of(page(tell(rows)))
    for name in ("ttft_ms", "itl_ms", "output_tps", "e2e_latency_s", "rps"):
        for ranking in rankings(gather(rows).samples, METRICS[name]):
            for entry in ranking.entries:
                assert entry.value is not None
                assert number(entry.value) in shown
                if entry.interval:
                    assert f"{number(entry.interval.low)} to {number(entry.interval.high)}" in shown
    assert "c · m has no rank: 5 of the 10 answers that a rank needs" in shown


@pytest.mark.parametrize("n", [1, 2, 3, 10, 101, 5000])
def test_boxes_are_those_of_numpy(n: int) -> None:
    """Quartiles as numpy's default, whiskers at the last value within 1.5 box lengths."""
    values = np.random.default_rng(n).lognormal(0, 0.7, n)
    one = box([*values, float("nan")])
    assert one is not None
    q1, median, q3 = np.percentile(values, [25, 50, 75])
    assert (one.n, one.q1, one.median, one.q3) == pytest.approx((n, q1, median, q3))
    inside = values[(values >= q1 - 1.5 * (q3 - q1)) & (values <= q3 + 1.5 * (q3 - q1))]
    assert (one.low, one.high) == pytest.approx((min(inside.min(), q1), max(inside.max(), q3)))
    assert one.beyond == n - len(inside)
    assert len(one.outliers) <= 40


def test_no_value_is_no_box() -> None:
    """Nothing is drawn for nobody."""
    assert box([float("nan")]) is None


@pytest.mark.parametrize("values", [[0.0], [3.0], [0.1, 0.2], [1, 1e6], [0.0, 1e-9], [-1, 1], []])
def test_an_axis_holds_its_values(values: list[float]) -> None:
    """From 0 to 100 percent, with ticks at round numbers within."""
    axis = fit(values, "s")
    assert all(0 <= axis.at(value) <= 100 for value in values)
    assert 2 <= len(axis.ticks) <= 12
    assert axis.low <= min([*values, *axis.ticks])
    assert max([*values, *axis.ticks]) <= axis.high


def test_texts_are_never_markup() -> None:
    """As a child and as an attribute."""
    for text in HOSTILE:
        made = Strict()
        made.feed(tag("p", text, title=text))
        made.close()
        assert [name for name, _ in made.elements] == ["p"]
        assert set(made.elements[0][1]) == {"title"}


def hostile_source() -> Source:
    rows = []
    for k, text in enumerate(HOSTILE):
        names = {"model": text, "engine": text, "engine_version": text, "model_digest": text, "file": text}
        rows += answers(text, n=12, **names, prompt_name=text, pair_id=f"{text}->{text}")
        rows += [failed(text, text, host=text, file=text, k=k, failures=[[text, text, text]])]
    head = {"name": HOSTILE[0], "prompts_used": HOSTILE, "files_skipped": HOSTILE, "timestamp": HOSTILE[1]}
    return source(rows, **head)


ABOUT = {
    "run_id": "run1",
    "command_line": HOSTILE[0],
    "hosts": [
        {"id": text, "engine": text, "slots": 2, "models": [{"name": text, "digest": text}]}
        for text in HOSTILE
    ],
    "config": {"models": HOSTILE, "prompts": [{"name": text, "template": text} for text in HOSTILE]},
}


def test_hostile_names_break_no_markup_and_run_nothing(tmp_path: Path) -> None:
    """In file names, models, hosts, errors, prompts, digests: no element but ours, no attribute that runs,
    nothing that is fetched, and the file is UTF-8."""
    path = tmp_path / "report.html"
    write_report(hostile_source(), path, ABOUT)
    made = Strict()
    made.feed(path.read_text(encoding="utf-8"))
    made.close()
    assert made.open == []
    names = {name for name, _ in made.elements}
    assert names & {"script", "img", "iframe", "object", "embed", "form", "base", "use", "image"} == set()
    every = [(key, value) for _, attributes in made.elements for key, value in attributes.items()]
    assert [key for key, _ in every if key.startswith("on") or key in ("src", "style", "srcset")] == []
    assert {value for key, value in every if key == "href" and not str(value).startswith("#")} == {"data:,"}
    assert "\x1b" not in path.read_text(encoding="utf-8")
    assert "\u202e" not in path.read_text(encoding="utf-8")


def test_charts_take_hostile_names(tmp_path: Path) -> None:
    """A dollar begins no formula, and an escape is no error."""
    drawn = charts.draw(hostile_source(), tmp_path)
    assert {one.name for one in drawn.paths} == {"latency_by_model.png", "tps_by_model.png", "pairs.png"}
    assert "mem_model_mib" in drawn.left_out["memory_by_model.png"]


def test_all_four_charts_where_all_is_known(tmp_path: Path) -> None:
    """Memory, too, where it was measured; each file is a PNG."""
    rows = source(answers("a", mem_model_mib=900.0, mem_source="engine", pair_id="x:m->y:n"))
    drawn = charts.draw(rows, tmp_path / "new")
    assert len(drawn.paths) == 4
    assert drawn.left_out == {}
    assert all(one.read_bytes().startswith(b"\x89PNG") for one in drawn.paths)


def test_without_matplotlib_one_line_before_anything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It names the extra, and nothing is drawn."""
    monkeypatch.setattr(charts, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"llmq-fleet\[bench\]"):
        charts.check(tmp_path)
    with pytest.raises(InputError, match=r"llmq-fleet\[bench\]"):
        charts.draw(source(answers("a")), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_all_failed_says_why() -> None:
    """No figure, but every reason with its number, and no average of nothing."""
    rows = [failed("timeout", "silent for 600 s", k=k) for k in range(3)] + [failed("upstream_failed", k=9)]
    shown = text_of(page(tell(source(rows))))
    assert "0 of 4 items answered" in shown
    assert "silent for 600 s" in shown
    assert "1 upstream" in shown
    assert "every item failed, see below" in shown


def test_simulated_answers_are_said_loudly() -> None:
    """All, some, or none; the warning is the first thing in the page."""
    assert "Simulated." not in text_of(page(tell(source(answers("a")))))
    every = text_of(page(tell(source(answers("a", simulated=True)))))
    assert every.split("llmq report")[0].strip().startswith("Simulated.")
    mixed = text_of(page(tell(source(answers("a", simulated=True), answers("b")))))
    assert "30 of 60 answers are simulated" in mixed


def test_cut_reused_and_open_items_are_counted() -> None:
    """Beside the figures; reused ones have no place in time."""
    rows = source(
        answers("a", n=3, cut=True), answers("b", n=2, reused_from="r"), [{"success": None, "file": "x"}]
    )
    told = tell(rows)
    assert (told.account.cut, told.account.reused, told.account.open) == (3, 2, 1)
    assert told.timeline is not None
    assert told.timeline.requests == 3
    assert "1 items have no result yet" in text_of(page(told))


def test_a_file_without_metrics_has_a_page() -> None:
    """As another program wrote it: counts, reasons and files are there, and what is not is said."""
    shown = text_of(page(tell(source([{"success": True, "file": "a", "response": {"model": "m"}}]))))
    assert "1 of 1 items answered" in shown
    assert "No answer has a time." in shown
    assert "there is no timeline" in shown


def test_requests_that_overlap_have_lanes_of_their_own() -> None:
    """Two at a time are two lanes, and the share of slots at work is what they fill."""
    account = Account()
    for k in range(4):  # each half a second, two in every second at the same time
        row = answers("a", n=1, started_at=f"2026-01-01T00:00:0{k // 2}.000+00:00")[0]
        list(account.through([("r", row)]))
    line = timeline(account, {"a": 2})
    assert line is not None
    (track,) = line.tracks
    assert track.lanes == 2
    assert track.utilisation == pytest.approx(2 / 3, abs=0.03)  # of 1.5 s, the half second in the middle idle


def test_a_benchmark_counts_what_was_measured() -> None:
    """Warm-ups, cut or failed, are told apart, in place of a rate that is the load's; a host that had four at
    a time was at work in four slots, whatever llmq counts there."""
    bench = {"load_mode": "closed", "concurrency": 4, "cut": True}
    warm = answers("a", n=3, phase="warmup", **bench)
    rows = answers("a", n=20, phase="measure", **bench) + answers("b", n=4, phase="measure", **bench)
    bad = [
        failed("timeout", k=k, model="m", **bench, phase=phase)
        for k, phase in enumerate(("warmup", "measure"))
    ]
    told = tell(source(warm, rows, bad), {"hosts": [{"id": "a", "slots": 1}, {"id": "b", "slots": 8}]})
    shown = text_of(page(told))
    assert "24 of 25 measured requests answered" in shown
    assert "cells 2 a host" in shown
    assert "answered 24 of 25 measured" in shown
    assert "failed 1 4 %" in shown
    assert "cut 24 at --max-tokens" in shown
    assert "warm-ups 4 set aside" in shown
    assert "answers a second" not in shown
    assert told.timeline is not None
    assert {track.host: track.slots for track in told.timeline.tracks} == {"a": 4, "b": 8}
    plain = text_of(page(tell(source(answers("a", cut=True, phase="measure")))))
    assert "cut 30 at --max-tokens" in plain
    assert "answers a second" in plain


def test_of_many_requests_some_are_drawn_and_the_page_says_so() -> None:
    """More than 2,000: every so many-th, and the page stays small."""
    rows = [row | {"item_id": f"r-{k}-0"} for k in range(70) for row in answers("a", n=60)]
    made = page(tell(source(rows)))
    assert f"One of every 3 of 4,200 requests is drawn: {DRAWN:,} at most." in text_of(made)
    assert made.count('class="ok"') <= DRAWN
    assert len(made) < 600_000


def test_a_page_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """Another suffix or a folder before any work; a full disk says how to go on."""
    for name in ("report.pdf", "report"):
        with pytest.raises(InputError, match=r"ends in \.html"):
            check_page(tmp_path / name)
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        check_page(tmp_path / "folder.html")
    with pytest.raises(OutputError, match="cannot write"):
        write_report(source(answers("a")), Path("/dev/null/report.html"))


def test_results_files_are_read_without_their_texts(tmp_path: Path) -> None:
    """Answers and prompts are not kept in memory; everything that is counted is."""
    said = {"success": True, "item_id": "r-0-0", "host": "h", "response": {"model": "m", "response": "long"}}
    more = {
        "error": None,
        "prompt_template": "t",
        "reasoning": "r",
        "metrics": {"ttft_ms": 5.0, "itl_ms": None},
    }
    entry = said | more
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"run_id": "r", "results": [entry, {"success": None}]}))
    rows = read_file(path).rows or []
    assert rows[0] == {
        "success": True,
        "item_id": "r-0-0",
        "host": "h",
        "response": {"model": "m"},
        "ttft_ms": 5.0,
    }
    assert rows[1] == {"success": None}


def test_results_of_another_program_have_a_page(tmp_path: Path) -> None:
    """distributed-llm-mac's: an error is a text there, and figures may be anything."""
    odd = {"ttft_ms": "soon", "concurrency": "many", "started_at": 5, "params": [], "ended_ms": "x"}
    rows = [
        {"file": "a.pdf", "success": False, "error": "boom"} | odd,
        {"file": "b.pdf", "success": True} | odd,
    ]
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"results": rows}))
    shown = text_of(page(tell(read_file(path))))
    assert "1 of 2 items answered" in shown
    assert "boom" in shown


def test_pairs_and_levels_are_drawn() -> None:
    """A heat map of who wrote and who summarized, failed ones counted; lines over levels of concurrency."""
    first = answers("a", n=2, stage="generate")
    second = [
        row | {"item_id": f"s{k}", "parent": first[k]["item_id"]} for k, row in enumerate(answers("b", n=2))
    ]
    upstream = failed("upstream_failed", parent=first[0]["item_id"], host=None)
    told = tell(source(first, second, [upstream]))
    assert told.pairs[("m@a", "m@b")].median_s == pytest.approx(1.0)
    assert sum(pair.failed for pair in told.pairs.values()) == 1
    assert "1 s" in text_of(page(told))
    levels = page(tell(source(answers("a", concurrency=1), answers("a", concurrency=4))))
    assert "Throughput against concurrency" in levels
    assert 'class="link"' in levels


@pytest.mark.parametrize("hosts", [["x"], [{}], None, 5, [{"id": "a"}]])
def test_a_run_json_that_is_none_is_left_alone(tmp_path: Path, hosts: Any) -> None:
    """Only one of that run, in its form, is believed."""
    (tmp_path / "run.json").write_text(json.dumps({"run_id": "r", "hosts": hosts, "config": {"models": []}}))
    assert bool(beside(tmp_path / "results.json", "r")) is (hosts == [{"id": "a"}])
    assert beside(tmp_path / "results.json", "another") == {}
