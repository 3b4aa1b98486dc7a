"""The report: one self-contained HTML page of what a run measured, how sure, what failed, how to repeat it.
It asks nothing of the network and runs no script; every text of a stranger is escaped as it enters."""

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tasks.errors import InputError, OutputError
from tasks.report.account import Account, Measured
from tasks.report.html import happened, made, measured
from tasks.report.html.markup import Markup, joined, tag
from tasks.report.rows import Source
from tasks.report.told import Told, tell
from tasks.report.wording import NONE, number, share, span
from tasks.report.write import replace_file, unwritable
from worker_agent.version import llmq_version

STYLE = Path(__file__).with_name("html") / "style.css"
SUFFIXES = (".html", ".htm")
WITHOUT_RANK = "Nothing can be ranked: "
METHODS = (
    "Entries are ranked by their median (rates by their rate). The interval holds the true median in 95 "
    "of 100 cases. A rank is 1 + the number of entries whose interval lies wholly on the better side; who "
    "cannot be told apart shares it, as in 1=. Under 10 answers there is no rank.",
    "Failed items, reused answers, warm-ups, papers read in parts and estimated token counts are counted, "
    "and in none of the figures. Answers cut at --max-tokens are in them, and counted beside.",
    "A prompt read anew and one from the engine's cache are never taken together.",
    "Time to first token: from the last byte of the request to the first token. Time between tokens: (last - "
    "first) / (tokens - 1). All times by the monotonic clock of the worker that asked; unknown is left out, "
    "never zero.",
)


def check_page(path: Path) -> None:
    """Before any work: the page can be written there. Raises InputError."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: a report is one page of HTML; its name ends in .html")
    if fault := unwritable(path):
        raise InputError(fault)


def write_report(source: Source, path: Path, about: Mapping[str, Any] | None = None) -> None:
    """The page of a run or of a results file becomes `path`, whole or not at all. `about`: the document of
    run.json, where the caller has one; that of a run in Redis is found. Raises OutputError."""
    text = page(tell(source, about))
    try:
        replace_file(path, lambda out: print(text, end="", file=out))
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; elsewhere: llmq report RUN -o OTHER.html"
        ) from error


def page(told: Told) -> str:
    """The whole document."""
    style = STYLE.read_text(encoding="utf-8")
    return "<!DOCTYPE html>\n" + tag("html", _head(told, style), _body(told), lang="en") + "\n"


def _head(told: Told, style: str) -> Markup:
    allowed = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{allowed}'; img-src data:"
    policy += "; base-uri 'none'; form-action 'none'"
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"llmq report: {_name(told)}"),
        tag("style", Markup(style)),
    )


def _body(told: Told) -> Markup:
    sections = [
        ("ranking", "Who is better at what", _rankings(told)),
        ("distributions", "How times are spread", _or(measured.distributions(told), "No answer has a time.")),
        (
            "throughput",
            "Latency and throughput",
            _or(measured.throughput(told), "No answer says when it came."),
        ),
        ("pairs", "Pairs", _maybe(measured.pair_map(told))),
        ("time", "Over time", list(happened.over_time(told))),
        ("failures", "What failed, and why", list(happened.failures(told))),
        ("hosts", "Who answered", list(made.hosts(told))),
        ("repeat", "How to repeat it", list(made.repeat(told))),
        ("methods", "How this was computed", [_methods()]),
    ]
    there = [(key, title, content) for key, title, content in sections if content]
    nav = tag("nav", [tag("a", title, href=f"#{key}") for key, title, _ in there], aria_label="Sections")
    main = [
        tag("section", tag("h2", title, id=f"{key}-title"), content, id=key, aria_labelledby=f"{key}-title")
        for key, title, content in there
    ]
    return tag(
        "body", _warning(told), tag("div", _top(told), nav, tag("main", *main), _end(), class_="sheet")
    )


def _top(told: Told) -> Markup:
    found = measured.findings(told)
    return tag(
        "header",
        tag("p", "llmq report", class_="brand"),
        tag("h1", _name(told)),
        tag("p", _sentence(told), class_="lead"),
        _going_on(told),
        tag("dl", *_tiles(told), class_="tiles"),
        tag("ul", *found, class_="findings") if found else None,
        tag("ul", [tag("li", note) for note in told.notes], class_="note") if told.notes else None,
    )  # fmt: skip


def _warning(told: Told) -> Markup | None:
    if told.simulated is None:
        return None
    simulated, answered = told.account.simulated, told.account.answered
    said = (
        "Every answer here is a simulation; no model was run."
        if told.simulated == "all"
        else f"{simulated:,} of {answered:,} answers are simulated. They have no rank beside real ones."
    )
    paces = "; ".join(told.paces)
    return tag("p", tag("b", "Simulated. "), f"{said} {paces}.", class_="warning", role="note")


def _going_on(told: Told) -> Markup | None:
    if told.ended and not told.account.open:
        return None
    when = told.head.get("timestamp")
    said = "This run goes on" if not told.ended else "Not every item of this has ended"
    text = f"{said}: {told.account.open:,} items have no result yet" + (f", as of {when}." if when else ".")
    return tag("p", text, class_="goes-on", role="note")


def _name(told: Told) -> str:
    name = told.head.get("name")
    return f"{name} ({told.run})" if name and name != told.run else told.run


def _sentence(told: Told) -> str:
    account = told.account
    hosts = sum(bool(seen.answered) for seen in account.hosts.values())
    models = len({name for seen in account.hosts.values() for name, _ in seen.models})
    asked = (
        f"{len(account.papers):,} papers, {len(account.prompts):,} prompts"
        if account.papers
        else f"{len(account.prompts):,} prompts"
    )
    took = f" in {span(told.length_s)}" if told.length_s else ""
    made, of = (account.measured, "measured requests") if account.measured else (account, "items")
    return (
        f"{made.answered:,} of {made.total:,} {of} answered{took}: {asked}, "
        f"{models} model{'s' * (models != 1)} on {hosts} host{'s' * (hosts != 1)}."
    )


def _tiles(told: Told) -> list[Markup]:
    return [
        tag("div", tag("dt", name), tag("dd", said, tag("small", note) if note else None))
        for name, said, note in _counts(told)
    ]


def _counts(told: Told) -> list[tuple[str, str, str | None]]:
    account = told.account
    if account.measured:
        return _counts_of_cells(account.measured, account)
    per_s = account.answered / told.length_s if told.length_s else None
    upstream = account.kinds["upstream_failed"]
    tries = account.tries
    made = [
        ("answered", f"{account.answered:,}", share(account.answered, account.total)),
        (
            "failed",
            f"{account.failed:,}",
            f"{upstream:,} upstream" if upstream else share(account.failed, account.total),
        ),
        ("failed attempts", f"{tries:,}", "on a host, retried ones too" if tries else None),
        ("cut", f"{account.cut:,}", "at --max-tokens" if account.cut else None),
        ("reused", f"{account.reused:,}", "from earlier runs, not timed" if account.reused else None),
        ("answers a second", number(per_s) or NONE, "all hosts together"),
    ]
    if account.in_parts:
        made.append(("read in parts", f"{account.in_parts:,}", "longer than any window"))
    return made


def _counts_of_cells(made: Measured, account: Account) -> list[tuple[str, str, str | None]]:
    """Of a benchmark, whose warm-ups are no measurements: how much it asked at a time is its choice."""
    aside = account.total - account.open - made.total
    return [
        ("cells", f"{len(made.cells):,}", "a host, a model, a load"),
        ("answered", f"{made.answered:,}", f"of {made.total:,} measured"),
        ("failed", f"{made.failed:,}", share(made.failed, made.total)),
        ("cut", f"{made.cut:,}", "at --max-tokens" if made.cut else None),
        ("warm-ups", f"{aside:,}", "set aside, in no figure" if aside else None),
    ]


def _rankings(told: Told) -> list[Markup]:
    found = list(measured.ranking_tables(told))
    if found:
        return found
    failed = (
        "every item failed, see below"
        if told.account.failed and not told.account.open
        else "no answer has figures"
    )
    return [tag("p", f"{WITHOUT_RANK}{failed}.", class_="empty")]


def _or(found: Iterable[Markup], empty: str) -> list[Markup]:
    return list(found) or [tag("p", empty, class_="empty")]


def _maybe(found: Markup | None) -> list[Markup]:
    return [found] if found else []


def _methods() -> Markup:
    return tag("ul", [tag("li", one) for one in METHODS], class_="texts")


def _end() -> Markup:
    return tag(
        "footer",
        joined("Written by llmq ", llmq_version(), ". The same figures: ", tag("code", "llmq rank"), "."),
    )
