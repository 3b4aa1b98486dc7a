"""Which hosts answered a run, kept with the run: their records end with their workers, what a run has to say
of its own making (run.json) does not."""

import json
from dataclasses import asdict
from typing import Any

from tasks.connection import Client
from tasks.hosts import HostRecord
from tasks.ledger import keys
from tasks.settings import Settings

FIELD = "host:"  # of the run's hash, one a host
FACTS = (
    "id", "engine", "version", "simulated", "slots", "slots_are", "models",
    "about", "machine", "beside_engine", "engine_machine", "time_scale",
)  # fmt: skip
SETTINGS = ("max_retries", "request_timeout", "health_check_interval", "lease_s")


def sign(client: Client, run_id: str, record: HostRecord, settings: Settings) -> None:
    """Say in the run that this host answers it, and what it is; a run that is gone stays gone."""
    facts = {name: value for name, value in asdict(record).items() if name in FACTS}
    facts["settings"] = {name: getattr(settings, name) for name in SETTINGS}

    def write(pipe: Client) -> None:
        there = pipe.exists(keys.run(run_id))
        pipe.multi()
        if there:
            pipe.hset(keys.run(run_id), FIELD + record.id, json.dumps(facts))

    client.transaction(write, keys.run(run_id))


def signed(client: Client, run_id: str) -> list[dict[str, Any]]:
    """What each host that answered said of itself, by id."""
    fields = client.hgetall(keys.run(run_id))
    return [json.loads(fields[name]) for name in sorted(fields) if name.startswith(FIELD)]
