"""How it was made: hosts, models, and what it takes to do it again."""

from collections.abc import Iterator, Mapping
from typing import Any

from tasks.report.html.markup import Child, Markup, joined, tag
from tasks.report.html.tables import folded, pairs_of, table
from tasks.report.told import Told
from tasks.report.wording import NONE, number, share, simulated, some

LISTED = 300  # papers


def hosts(told: Told) -> Iterator[Markup]:
    """Who answered: as they said of themselves, and as the answers show them."""
    said = {str(host.get("id")): host for host in told.about.get("hosts") or ()}
    names = sorted(set(said) | set(told.account.hosts))
    if not names:
        yield tag("p", "No host answered.", class_="empty")
        return
    head = ("host", "engine", "models and digests", "#answers", "#share", "#slots", "machine of its worker")
    yield folded("Hosts", head, [_host(name, said.get(name, {}), told) for name in names], "hosts")
    if not said:
        text = "Machines and slots are not in a results file; run.json (llmq results RUN -o DIR/) has them."
        yield tag("p", text, class_="note")


def repeat(told: Told) -> Iterator[Markup]:
    """Command, versions, parameters, prompts, papers."""
    about, account = told.about, told.account
    if command := about.get("command_line"):
        yield tag("pre", tag("code", str(command)))
    else:
        yield tag("p", "The command is not known: run.json (llmq results RUN -o DIR/) has it.", class_="note")
    config = dict(about.get("config") or {}) or account.params
    yield pairs_of(
        [
            ("llmq", _version(about.get("llmq_version") or account.llmq, about.get("git_sha"))),
            ("Python", str(about.get("python") or "") or None),
            ("models asked", some([str(one) for one in config.get("models") or account.models], 12)),
            *((name.replace("_", " "), str(config[name])) for name in ("max_tokens", "temperature", "seed",
              "overflow", "max_concurrent", "layout") if config.get(name) is not None),
            ("papers", f"{len(account.papers):,}" if account.papers else "none"),
            ("skipped files", some([str(one) for one in told.head.get("files_skipped") or ()], 8)),
        ]
    )  # fmt: skip
    yield from _questions(told, config)
    if account.papers:
        yield _papers(account.papers)


def _host(name: str, said: Mapping[str, Any], told: Told) -> tuple[Child, ...]:
    seen = told.account.hosts.get(name)
    engine = " ".join(str(said[key]) for key in ("engine", "engine_version") if said.get(key))
    engine = engine or (seen and some([*seen.engines], 2)) or "unknown"
    real = not (said.get("simulated") or (seen and seen.simulated))
    badge = None if real else simulated(said.get("time_scale") or (seen.time_scale if seen else None))
    answered = seen.answered if seen else 0
    busy = {track.host: track for track in told.timeline.tracks} if told.timeline else {}
    slots = said.get("slots") or (busy[name].slots if name in busy else None)
    return (
        name,
        joined(engine, tag("small", badge, class_="badge") if badge else None),
        _models(said, dict(seen.models) if seen else {}),
        f"{answered:,}",
        share(answered, told.account.answered - told.account.reused) or NONE,
        str(slots) if said.get("slots") else f"{slots} seen" if slots else NONE,
        _machine(said.get("worker") or {}, beside=bool(said.get("beside_engine"))),
    )


def _models(said: Mapping[str, Any], seen: dict[tuple[str, str | None], int]) -> Markup:
    names: dict[str, str] = {}
    for model in said.get("models") or ():
        facts = (str(model.get("quantization") or ""), _short(model.get("digest")))
        names[str(model.get("name"))] = " ".join(fact for fact in facts if fact)
    for (name, digest), _ in sorted(seen.items(), key=lambda one: -one[1]):
        names.setdefault(name, _short(digest))
    listed = list(names.items())
    shown = [tag("div", name, tag("small", fact)) for name, fact in listed[:8]]
    return joined(shown, f"and {len(listed) - 8} more" if len(listed) > 8 else None)


def _short(digest: Any) -> str:
    return str(digest).removeprefix("sha256:")[:12] if digest else "no digest"


def _machine(worker: Mapping[str, Any], *, beside: bool) -> Child:
    ram = worker.get("ram_bytes")
    parts = [str(worker[key]) for key in ("cpu", "os", "arch") if worker.get(key)]
    parts += [f"{worker['cores']} cores"] if worker.get("cores") else []
    parts += [f"{number(ram / 2**30)} GiB"] if isinstance(ram, int) else []
    if not parts:
        return "unknown"
    return joined(
        " · ".join(parts), None if beside else tag("small", "the engine's machine is another, unknown")
    )


def _version(version: Any, git: Any) -> str | None:
    return (
        " ".join(part for part in (str(version or ""), f"({str(git)[:12]})" if git else "") if part) or None
    )


def _questions(told: Told, config: Mapping[str, Any]) -> Iterator[Markup]:
    prompts = [(one.get("name"), one.get("template")) for one in config.get("prompts") or ()]
    if not prompts and len(told.head.get("prompts_used") or ()) >= len(told.account.prompts):
        prompts = [(None, one) for one in told.head["prompts_used"]]
    if not prompts:
        prompts = [
            (name, f"sha256 {sha256}" if sha256 else None) for name, sha256 in told.account.prompts.items()
        ]
    listed = [
        tag("li", tag("b", str(name), " ") if name else None, str(text or "")) for name, text in prompts
    ]
    if listed:
        texts = tag("ul", *listed, class_="texts")
        yield tag("details", tag("summary", f"{len(listed)} prompts"), texts, class_="printed")


def _papers(papers: Mapping[str, str | None]) -> Markup:
    rows = [(file, tag("code", sha256 or "no text")) for file, sha256 in list(papers.items())[:LISTED]]
    left = len(papers) - len(rows)
    caption = "Papers and the sha256 of their text" + (f"; {left:,} more are in run.json" if left else "")
    return tag(
        "details",
        tag("summary", f"{len(papers):,} papers"),
        table(caption, ("file", "text"), rows, "papers"),
        class_="aside",
    )
