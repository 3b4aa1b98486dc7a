"""`--dry-run`: what would be done, and what does not fit."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cli.columns import table
from cli.screen import echo

if TYPE_CHECKING:
    from tasks.forecast import Able, PaperForecast
    from tasks.request import Asked

HEAD = ("stage", "name", "model", "host", "after", "items")


def say_forecast(asked: "Asked", hosts: "Sequence[Able]", *, as_json: bool) -> int:
    """Print the forecast. Returns 0, or 1 where some paper cannot be read or is refused."""
    from tasks.forecast import papers

    rows = list(papers(asked, hosts))
    split = asked.manifest.params.overflow == "split"
    bad = [row for row in rows if row.error or (hosts and not row.fits and not split)]
    items = _items_each(asked) * len(asked.manifest.all_stages)
    if as_json:
        head = {
            "papers": len(rows),
            "prompts": [asdict(prompt) for prompt in asked.manifest.prompts],
            "items": items,
            "stages": _stages(asked),
            "hosts": [asdict(host) for host in hosts],
            "files_skipped": list(asked.manifest.skipped),
        }
        echo(json.dumps(head | {"rows": [asdict(row) for row in rows]}))
        return 1 if bad else 0
    for row in rows:
        echo(f"{row.name}: {_verdict(row, split, bool(hosts))}")
    for prompt in asked.manifest.prompts:
        echo(f"prompt {prompt.name}: {prompt.template.splitlines()[0][:100]}")
    for line in _stage_lines(_stages(asked)):
        echo(line)
    for skipped in asked.manifest.skipped:
        echo(f"skipped {skipped}")
    tokens = sum(row.tokens for row in rows)
    who = ", ".join(f"{host.id} (window {host.window or 'unknown'})" for host in hosts) or "no live host yet"
    echo(f"{len(rows)} papers, {items} items, about {tokens} tokens of paper; by {who}")
    return 1 if bad else 0


def _items_each(asked: "Asked") -> int:
    """Of one stage."""
    return max(len(asked.files), 1) * len(asked.manifest.prompts) * asked.manifest.repeats


def _stages(asked: "Asked") -> list[dict[str, Any]]:
    """Those of a chain or a matrix, numbered from 1; `after`: the number of the stage whose answers it reads,
    `model` and `host` None: any."""
    return [
        {
            "stage": number,
            "name": stage.name,
            "model": stage.model,
            "host": stage.host,
            "after": None if stage.after is None else stage.after + 1,
            "items": _items_each(asked),
        }
        for number, stage in enumerate(asked.manifest.stages, 1)
    ]


def _stage_lines(stages: Sequence[dict[str, Any]]) -> list[str]:
    def after(number: int | None) -> str:
        return f"{number} {stages[number - 1]['name']}" if number else "-"

    rows = [
        (
            str(one["stage"]),
            one["name"],
            one["model"] or "any",
            one["host"] or "any",
            after(one["after"]),
            str(one["items"]),
        )
        for one in stages
    ]
    return table([HEAD, *rows], left=5) if rows else []


def _verdict(row: "PaperForecast", split: bool, hosts_known: bool) -> str:
    if row.error:
        return f"cannot be read, {row.error}"
    need = f"about {row.tokens} tokens, needs a window of {row.needs}"
    if not hosts_known:
        return need
    if row.fits:
        return f"{need}: fits {', '.join(row.fits)}"
    follows = "read in parts" if split else "refused (--overflow split reads it in parts)"
    return f"{need}: fits no host, {follows}"
