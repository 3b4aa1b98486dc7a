"""What a run would be, without doing it: papers, items, tokens, what fits where."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tasks.hosts import HostRecord
from tasks.intake.extract import extract_all
from tasks.intake.prompts import render
from tasks.intake.windows import estimate_tokens, overhead_tokens
from tasks.request import Asked
from worker_agent.config import Host


@dataclass(frozen=True, slots=True)
class PaperForecast:
    """`tokens`: the paper's, estimated; `needs`: the window its longest prompt takes, answer included.
    `fits`: hosts that can read it whole."""

    name: str
    error: str | None
    tokens: int
    needs: int
    fits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Able:
    """A host that could do the work; `window` None: not known."""

    id: str
    window: int | None


def papers(asked: Asked, hosts: Iterable[Able]) -> Iterator[PaperForecast]:
    """A forecast for each paper, in order."""
    able = tuple(hosts)
    manifest = asked.manifest
    firsts = [stage for stage in manifest.all_stages if stage.after is None]
    most = max(stage.max_tokens or manifest.params.max_tokens for stage in firsts)
    for paper in extract_all(asked.files):
        if paper.error:
            yield PaperForecast(paper.name, f"{paper.kind}: {paper.error}", 0, 0, ())
            continue
        tokens = estimate_tokens(paper.text or "")
        overhead = max(overhead_tokens(render(prompt, paper.name)) for prompt in manifest.prompts)
        needs = tokens + overhead + most
        fits = tuple(host.id for host in able if host.window is None or host.window >= needs)
        yield PaperForecast(paper.name, None, tokens, needs, fits)


def able_of_records(records: Iterable[HostRecord], models: Iterable[str]) -> list[Able]:
    """Live hosts that serve one of `models`, or any if none is named."""
    wanted = set(models)
    return [
        Able(record.id, max((m.window or 0 for m in served), default=0) or None)
        for record in records
        if (served := [m for m in record.models if not wanted or m.name in wanted]) and record.able
    ]


def able_of_fleet(hosts: Iterable[Host], models: Iterable[str]) -> list[Able]:
    """Hosts that answer now and serve one of `models`, asked all at once."""
    from tasks.livehost import LiveHost

    hosts = tuple(hosts)
    with ThreadPoolExecutor(max(len(hosts), 1)) as pool:
        live = list(pool.map(lambda host: LiveHost(host, "forecast", health_check_interval=30.0), hosts))
    return able_of_records([one.record() for one in live], models)
