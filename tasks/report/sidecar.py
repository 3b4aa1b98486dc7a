"""run.json: what it takes to make a run again, and to know what made its figures."""

import shlex
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from tasks.report.collect import Report
from tasks.report.columns import SCHEMA_VERSION
from tasks.served import signed
from worker_agent.version import git_sha, llmq_version, python_version

_RENAMED = {"version": "engine_version", "about": "worker"}


def sidecar(report: Report) -> dict[str, Any]:
    """The document. `hosts`: who answered, as they were when they first did; `worker` is the machine of the
    worker, which is the engine's only where `beside_engine` says so."""
    asked, status = report.manifest, report.status
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": asked.run_id,
        "name": asked.name,
        "created_at": _utc(status.created_ms),
        "ended_at": _utc(status.ended_ms),
        "command": list(asked.command),
        "command_line": shlex.join(asked.command) or None,
        "llmq_version": asked.llmq,
        "git_sha": asked.git,
        "python": asked.python,
        "written_by": {"llmq_version": llmq_version(), "git_sha": git_sha(), "python": python_version()},
        "config": _config(report),
        "hosts": [_host(facts) for facts in signed(report.runs.ledger.redis, asked.run_id)],
        "papers": _papers(report),
        "summary": report.summary(),
    }


def _config(report: Report) -> dict[str, Any]:
    """All that decides the requests of the run."""
    asked, params = report.manifest, report.manifest.params
    return {
        "models": list(asked.models),
        "prompts": [{"name": one.name, "template": one.template} for one in asked.prompts],
        "seed": params.seed,
        "max_tokens": params.max_tokens,
        "temperature": params.temperature,
        "overflow": params.overflow,
        "max_concurrent": asked.max_concurrent,
        "paperless": asked.paperless,
        "bench": asdict(asked.bench) if asked.bench else None,
        "layout": asked.layout,
        "protocol": asked.protocol,
    }


def _host(facts: dict[str, Any]) -> dict[str, Any]:
    return {_RENAMED.get(name, name): value for name, value in facts.items()}


def _papers(report: Report) -> list[dict[str, str | None]]:
    """Each file once, in the order of the plan, with the hash of its text."""
    bundles = report.runs.bundles(report.manifest.run_id)
    found = {bundle.file: bundle.paper for _, bundle in bundles if bundle.file is not None}
    return [{"file": file, "paper_id": paper} for file, paper in found.items()]


def _utc(moment_ms: int | None) -> str | None:
    if moment_ms is None:
        return None
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="milliseconds")
