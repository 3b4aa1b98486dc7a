"""`llmq report` as its reader has it: in a real browser, of real runs."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.room import Room

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import Browser, Page, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTHS = (380, 1280)
CHARTS = ("latency_by_model.png", "memory_by_model.png", "tps_by_model.png", "pairs.png")
CROSSING = """() => [...document.querySelectorAll('body *')]
    .filter(one => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .filter(one => getComputedStyle(one).clipPath === 'none' && !one.closest('thead'))
    .map(one => one.outerHTML.slice(0, 90))"""
BEYOND = """() => { const box = document.querySelector('#pairs').getBoundingClientRect();
    const seen = getComputedStyle(document.querySelector('.heat thead')).position !== 'absolute';
    return [...document.querySelectorAll('#pairs *')]
        .filter(one => seen || !one.closest('thead'))
        .filter(one => one.getBoundingClientRect().right > box.right || one.scrollWidth > one.clientWidth + 1
            && getComputedStyle(one).display !== 'inline')
        .map(one => one.outerHTML.slice(0, 90)); }"""
COVERED = """() => [...document.querySelectorAll('svg.plane')].flatMap(svg => {
    const all = [...svg.querySelectorAll('.dot')].map(one => one.getBoundingClientRect());
    const dots = all.filter(one => one.width);
    const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2;
    return dots.flatMap((a, n) => dots.slice(n + 1).filter(b => over(a, b)).map(b => [a.x, b.x])); })"""
CONTRAST = """() => {
    const light = text => { const parts = text.match(/[\\d.]+/g).slice(0, 3).map(Number)
        .map(v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]; };
    const behind = one => { for (; one; one = one.parentElement) {
        const colour = getComputedStyle(one).backgroundColor;
        if (colour.startsWith('rgb(')) return colour; } return 'rgb(255, 255, 255)'; };
    const texts = 'p, h1, h2, h3, dt, dd, td, th, a, li, small, caption, summary, span';
    return [...document.querySelectorAll(texts)]
        .filter(one => !one.closest('.heat') && one.textContent.trim())
        .map(one => {
            const pair = [light(getComputedStyle(one).color), light(behind(one))].sort((a, b) => b - a);
            return [(pair[0] + 0.05) / (pair[1] + 0.05), one.outerHTML.slice(0, 90)]; })
        .filter(one => one[0] < 4.5); }"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium. Without one the test is skipped, and fails in CI as root, which installs it."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        needed = os.environ.get("CI") and os.geteuid() == 0
        (pytest.fail if needed else pytest.skip)("no Chromium on this machine")
    with sync_playwright() as started:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        made = started.chromium.launch(executable_path=found, args=flags)
        yield made
        made.close()


@pytest.fixture
def measured(room: Room) -> Room:
    """Two hosts, one of which fails at first; a paper that cannot be read and one with a hostile name."""
    sims = {
        "fast": room.simulator("fast", "ollama", service_s=0.03, slots=2, jitter=0.1),
        "slow": room.simulator("slow", "openai", service_s=0.08, jitter=0.1),
    }
    sims["slow"].fault("500", 2)
    room.fleet(dict(sims))
    papers = room.papers(24)
    (papers / "scan.pdf").write_bytes(b"%PDF-1.5\n")
    (papers / "<img src=x onerror=alert(1)>.txt").write_text("Angles. " * 90)
    done = room.llmq("run", "papers", "-p", "Why?", "-p", "How?", "-o", "out.json", "-o", "out.csv")
    assert done.returncode == 1, done.stderr
    return room


def report(room: Room, *args: str) -> tuple[Path, dict[str, Any]]:
    done = room.llmq("report", *args, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    return room.folder / said["report"], said


def opened(browser: Browser, path: Path, width: int, scheme: Any) -> tuple[Page, list[str]]:
    """The page, and everything that it should not do: requests, errors, words on the console."""
    page = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
    ).new_page()
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(f"console: {said.text}"))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("dialog", lambda dialog: wrong.append("a dialog"))
    page.on("request", lambda one: one.url == path.as_uri() or wrong.append(f"request: {one.url}"))
    page.goto(path.as_uri())
    return page, wrong


def pages_of(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


def test_a_browser_shows_it_whole(measured: Room, browser: Browser) -> None:
    """Nothing on the console, nothing fetched, nothing wider than a phone or a desk, readable in light and
    dark, every chart named, and on paper nothing is cut off."""
    path, _ = report(measured)
    assert path == measured.folder / "results" / f"{path.stem}.html"
    for width in WIDTHS:
        for scheme in ("light", "dark"):
            page, wrong = opened(browser, path, width, scheme)
            assert wrong == []
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert page.evaluate(CROSSING) == []
            assert page.evaluate(CONTRAST) == []
            page.context.close()
    page, _ = opened(browser, path, 1280, "light")
    unnamed = "[...document.querySelectorAll('svg[role=img]')].filter(one => !one.querySelector('title'))"
    assert page.evaluate(f"{unnamed}.length") == 0
    assert page.evaluate("[...document.querySelectorAll('table')].filter(one => !one.caption).length") == 0
    assert page.locator("svg[role=img]").count() > 8
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 688, "height": 1000})  # A4 within its margins, in CSS pixels
    assert page.evaluate(CROSSING) == []
    assert 2 <= pages_of(page.pdf(format="A4")) <= 20


def chains_of(first: int, last: int) -> list[dict[str, Any]]:
    """Rows of every pair of so many writers and readers, all of long names."""
    rows: list[dict[str, Any]] = []
    for i in range(first):
        names = {"model": f"qwen2.5:{i}b-instruct-q4_K_M", "host": f"mac-studio-of-the-laboratory-{i}"}
        written = {"success": True, "item_id": f"w{i}", "e2e_latency_s": 1.0, **names}
        rows.append(written)
        for k in range(last):
            names = {"model": f"granite3.1-moe:{k}b-instruct", "host": f"raspberry-pi-on-the-shelf-{k}"}
            read = {"success": True, "item_id": f"r{i}-{k}", "e2e_latency_s": 10.0 * i + k, **names}
            rows.append(read | {"parent": f"w{i}"})
    return rows


@pytest.mark.parametrize(("first", "last"), [(6, 8), (2, 19)])
def test_all_pairs_of_long_names_are_seen(room: Room, browser: Browser, first: int, last: int) -> None:
    """Every figure, head and name stands within its section on a desk, on a phone and on paper; nothing has
    to be scrolled to. Of more pairs than go side by side, each is there once."""
    (room.folder / "pairs.json").write_text(json.dumps({"run_id": "p", "results": chains_of(first, last)}))
    path, _ = report(room, "pairs.json")
    for width, media in ((380, "screen"), (800, "screen"), (1280, "screen"), (688, "print")):
        page, wrong = opened(browser, path, width, "light")
        page.emulate_media(media=media)
        assert wrong == []
        assert page.evaluate(BEYOND) == [], (width, media)
        cells = page.locator(".heat td").all_inner_texts()
        assert len(cells) == first * last
        assert all(f"{i * 10 + k + 1} s" in " ".join(cells) for i in range(first) for k in range(last))
        page.context.close()
    page, _ = opened(browser, path, 380, "light")
    named = "[...document.querySelectorAll('.heat td')].map(one => getComputedStyle(one, '::before').content)"
    assert "granite3.1-moe:7b-instruct@raspberry-pi-on-the-shelf-7" in " ".join(page.evaluate(named))


def test_no_dot_of_a_chart_covers_another(room: Room, browser: Browser) -> None:
    """Nine hosts at four levels, some nearly alike: on a desk, on a phone and on paper each is
    seen."""
    rows = [
        {
            "success": True, "item_id": f"r-{host}{level}{k}-0", "host": f"host{host}", "model": "m",
            "concurrency": level, "e2e_latency_s": level**0.3 / speed, "stream_end_s": level**0.3 / speed,
            "started_at": f"2026-01-01T00:{level:02}:{k * level**-0.7 / speed:06.3f}+00:00",
        }
        for host, speed in enumerate((1, 1.02, 1.01, 2, 2.03, 2.2, 2.15, 0.9, 3))
        for level in (1, 2, 4, 8)
        for k in range(4)
    ]  # fmt: skip
    (room.folder / "levels.json").write_text(json.dumps({"run_id": "l", "results": rows}))
    path, _ = report(room, "levels.json")
    for width, media in ((360, "screen"), (780, "screen"), (1280, "screen"), (688, "print")):
        page, wrong = opened(browser, path, width, "light")
        page.emulate_media(media=media)
        assert wrong == []
        assert page.evaluate("document.querySelectorAll('svg.plane').length") == 3
        assert page.locator(".plane .dot:visible").count() > 15
        assert page.evaluate(COVERED) == [], (width, media)
        page.context.close()


def test_a_long_ranking_is_folded_and_printed_whole(room: Room, browser: Browser) -> None:
    """Five entries stand open, a click shows the others, and on paper all of them are there."""
    rows = [
        {
            "success": True,
            "item_id": f"r-{n}{k}-0",
            "host": f"host{n:02}",
            "model": "m",
            "ttft_ms": 10.0 * n + k,
        }
        for n in range(1, 21)
        for k in range(12)
    ]
    (room.folder / "many.json").write_text(json.dumps({"run_id": "many", "results": rows}))
    path, _ = report(room, "many.json")
    page, wrong = opened(browser, path, 380, "light")
    seen = page.locator("#ranking .rankingbox").first.locator("tbody tr").filter(visible=True)
    assert seen.count() == 5
    assert "host05" in seen.last.inner_text()
    more = page.locator("#ranking").get_by_text("15 more", exact=True)
    more.click()
    assert seen.count() == 20
    assert page.evaluate(CROSSING) == []
    more.click()
    page.emulate_media(media="print")
    assert seen.count() == 20
    assert "host20" in seen.last.inner_text()
    assert wrong == []


def fleet_of(hosts: int) -> list[dict[str, Any]]:
    """Twelve answers of each, and a failure; each host 5 % slower than the one before."""
    rows: list[dict[str, Any]] = []
    for n in range(1, hosts + 1):
        who = {"host": f"machine-{n:02}", "model": "sim-8b", "engine": "ollama"}
        for k in range(12):
            began = f"2026-01-01T00:{k:02}:{n:02}.000+00:00"
            ms = 100 * 1.05**n + k / 10
            times = {"ttft_ms": ms, "itl_ms": ms, "output_tps": 1000 / ms, "e2e_latency_s": ms / 1e3}
            about = {"item_id": f"r-{n}x{k}-0", "file": f"{n}-{k}.txt", "started_at": began}
            rows.append({"success": True, **about, **who, **times})
        error = {"type": "timeout", "message": "silent for 120 s"}
        rows.append({"success": False, "item_id": f"f-{n}-0", "error": error, **who})
    return rows


def test_a_fleet_is_short_on_a_phone_and_whole_on_paper(room: Room, browser: Browser) -> None:
    """Of 45 hosts tables begin and charts show their ends, in less than 12,000 pixels; what is folded away is
    there for the browser's own search, opens within the window, and is printed."""
    (room.folder / "fleet.json").write_text(json.dumps({"run_id": "f", "results": fleet_of(45)}))
    path, _ = report(room, "fleet.json")
    hidden = "[...document.querySelectorAll('.rest > :not(summary)')].filter(one => !one.checkVisibility())"
    hidden = f"{hidden}.length"
    page, wrong = opened(browser, path, 380, "light")
    assert page.evaluate("document.documentElement.scrollHeight") < 12_000
    assert page.evaluate(hidden) == page.locator(".rest").count() > 8
    folded = "[...document.querySelectorAll('.rest')].map(one => getComputedStyle(one, '::details-content'))"
    kinds = f"[...new Set({folded}.map(one => `${{one.display}} ${{one.contentVisibility}}`))]"
    assert page.evaluate(kinds) == ["block hidden"], "a browser searches these, and not what has no display"
    for section in ("ranking", "distributions", "throughput", "time", "failures", "hosts"):
        text = page.evaluate(f"document.getElementById('{section}').textContent")
        assert all(f"machine-{n:02}" in text for n in range(1, 46)), section
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate(CROSSING) == []
    assert wrong == []
    page, _ = opened(browser, path, 688, "light")
    page.emulate_media(media="print")
    assert page.evaluate(hidden) == 0
    assert page.locator(".sketch").filter(visible=True).count() == 0
    assert page.evaluate(CROSSING) == []


def test_it_says_what_rank_says(measured: Room, browser: Browser) -> None:
    """Rank, name, n and median of each entry, for each metric; what failed and why; that it is simulated."""
    path, _ = report(measured, "latest", "-o", "page.html")
    page, _ = opened(browser, path, 1280, "light")
    ranked = json.loads(measured.llmq("rank", "--json").stdout)["rankings"]
    tables = page.locator("table.ranking")
    assert tables.count() >= len(ranked)
    for place, ranking in enumerate(ranked):
        rows = tables.nth(place).locator("tbody tr").all_inner_texts()
        entries = [entry for entry in ranking["entries"] if entry["n"]]
        assert len(rows) == len(entries)
        for row, entry in zip(rows, entries, strict=True):
            cells = row.replace("\n", "\t").split("\t")
            words = [cell.strip() for cell in cells if cell.strip()]
            rank = f"{entry['rank']}{'=' if entry['tied'] else ''}" if entry["rank"] else "\u2013"
            assert words[0] == rank
            assert words[1] == f"{entry['host']} · {entry['model']}"
            assert words[2] == f"{entry['n']:,}"
            assert float(words[3].replace(",", "")) == pytest.approx(entry["value"], rel=1e-3)
    said = page.inner_text("body")
    assert said.startswith("Simulated.")
    assert "50 of 52 items answered" in said
    assert "corrupt" in page.inner_text("#failures")
    assert "bad_reply" in page.inner_text("#failures")
    assert "llmq run papers -p" in page.inner_text("#repeat")


def test_a_results_file_gives_the_same_figures(measured: Room) -> None:
    """From JSON and from CSV; charts are drawn, and what cannot be drawn is said."""
    tables = set()
    for source in ("latest", "out.json", "out.csv"):
        path, said = report(measured, source, "-o", f"{source}.html", "--png", "charts")
        found = re.findall(r"<table[^>]*ranking.*?</table>", path.read_text(), flags=re.DOTALL)
        assert len(found) > 5
        tables.add("".join(found))
        drawn = {Path(one).name for one in said["png"]}
        assert {"latency_by_model.png", "tps_by_model.png"} <= drawn
        assert drawn | set(said["left_out"]) == set(CHARTS), "memory is known where a meter could look"
        assert "pairs" in said["left_out"]["pairs.png"]
    assert len(tables) == 1


def test_bad_input_is_one_line(room: Room) -> None:
    """An unknown run is 3, what cannot be written or read is 2, and nothing is left behind."""
    (room.folder / "empty.json").write_text('{"results": []}')
    for code, args in (
        (3, ("report", "nosuchrun")),
        (2, ("report", "empty.json")),
        (2, ("report", "latest", "-o", "report.pdf")),
        (2, ("report", "latest", "-o", "/dev/null/report.html")),
    ):
        done = room.llmq(*args)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        assert "Traceback" not in done.stderr
    assert list(room.folder.glob("**/*.html")) == []


def test_a_run_that_goes_on_says_so(room: Room) -> None:
    """Before its first answer, too: the page has counts and a time, and no figure."""
    room.papers(3)
    room.fleet({"away": room.simulator("away", "openai")})
    started = room.llmq("submit", "papers", "-p", "Why?", "--name", "going")
    assert started.returncode == 0, started.stderr
    path, _ = report(room, "going")
    said = re.sub(r"<[^>]+>", " ", path.read_text())
    assert "This run goes on: 3 items have no result yet, as of 20" in said
    assert "Nothing can be ranked" in said
