"""Live host records: who serves what now. A record lives as long as its worker renews it."""

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from tasks.connection import Client
from tasks.ledger import keys
from tasks.policy import Speed
from worker_agent.errors import ConfigError
from worker_agent.machine import machine_id, process_alive

TTL_S = 15


class HostTaken(ConfigError):
    """Another live worker serves the host of this id."""


class NameTaken(HostTaken):
    """So it is, on another machine, which may be called the same by chance."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model as the fleet and as the host calls it; `window` in tokens, None if unknown."""

    name: str
    local: str
    window: int | None = None
    digest: str | None = None
    quantization: str | None = None

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """A newer llmq may say more."""
        return cls(**{name: value for name, value in fields.items() if name in cls.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class ModelSpeed:
    """How fast a host is with a model (its fleet-wide name)."""

    model: str
    speed: Speed


@dataclass(frozen=True, slots=True)
class HostRecord:
    """What a worker says of its host. `incarnation` is the worker's start; `beat` counts renewals;
    `busy` bundles sit in a slot (of a drained host: those it has not let go of yet); `trouble` says what is
    wrong if it takes no work, `drained` that somebody paused it; `slots_are` tells where their number is
    found out; `current`: the model it works for (its fleet-wide name); `about` is the machine of the worker
    (worker_agent/machine.py) with its llmq, `beside_engine` whether the engine is on it;
    `engine_machine`: the engine's (worker_agent/locate.py), nothing where it is simulated;
    `first_token_rates` as in tasks/patience.py."""

    id: str
    incarnation: str
    machine: str
    pid: int
    engine: str
    slots: int
    queues: tuple[str, ...]
    models: tuple[ServedModel, ...] = ()
    version: str | None = None
    simulated: bool = False
    busy: int = 0
    trouble: str = ""
    drained: bool = False
    slots_are: str = ""
    current: str = ""
    beat: int = 0
    first_token_rates: tuple[tuple[str, float], ...] = ()
    speeds: tuple[ModelSpeed, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)
    beside_engine: bool = False
    engine_machine: str = ""
    time_scale: float | None = None  # of a simulated engine
    unloaded: tuple[str, ...] = ()  # what its engine has beside `models`, where the fleet file names none

    @property
    def able(self) -> bool:
        """Takes work now."""
        return not self.trouble and not self.drained

    @property
    def why_not(self) -> str:
        """Why it takes no work now, if it does not, for a person."""
        paused = f"paused; `llmq worker --resume --host {self.id}` takes work again"
        return self.trouble or (paused if self.drained else "")

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        fields = json.loads(text)
        fields["models"] = tuple(ServedModel.from_fields(model) for model in fields["models"])
        fields["queues"] = tuple(fields["queues"])
        fields["unloaded"] = tuple(fields.get("unloaded", ()))
        fields["speeds"] = tuple(
            ModelSpeed(one["model"], Speed(**one["speed"])) for one in fields.get("speeds", ())
        )
        fields["first_token_rates"] = tuple((m, r) for m, r in fields.get("first_token_rates", ()))
        known = cls.__dataclass_fields__  # a newer llmq may say more
        return cls(**{name: value for name, value in fields.items() if name in known})


def live_hosts(client: Client) -> list[HostRecord]:
    """The records of all live hosts, by id."""
    ids = sorted(client.smembers(keys.HOSTS))
    rows = client.mget([keys.host(host_id) for host_id in ids]) if ids else []
    dead = [host_id for host_id, row in zip(ids, rows, strict=True) if row is None]
    if dead:
        client.srem(keys.HOSTS, *dead)
    return [HostRecord.from_json(row) for row in rows if row]


def serving(hosts: Iterable[HostRecord], queue: str) -> list[HostRecord]:
    """Those that take work from `queue` now."""
    return [host for host in hosts if queue in host.queues and host.able]


def enter(client: Client, record: HostRecord) -> None:
    """Become the worker of a host. At once if nobody is or the one who was is dead on this machine;
    else after a record that is not renewed has ended. Raises HostTaken, NameTaken."""
    deadline = time.monotonic() + TTL_S + 1
    seen: HostRecord | None = None
    while not client.set(keys.host(record.id), record.to_json(), nx=True, ex=TTL_S):
        row = client.get(keys.host(record.id))
        other = HostRecord.from_json(row) if row else None
        if other and _dead(other):
            client.delete(keys.host(record.id))
        elif other and ((seen and other.beat != seen.beat) or time.monotonic() > deadline):
            raise (HostTaken if other.machine == machine_id() else NameTaken)(
                f"host {record.id!r} already has a live worker (process {other.pid} on machine "
                f"{other.machine}); stop that one, or give this host another id"
            )
        else:
            seen = seen or other
            time.sleep(0.2)
    client.sadd(keys.HOSTS, record.id)


def renew(client: Client, record: HostRecord) -> HostRecord:
    """Say again that this host is served, with its newest facts; a record that has ended is written again.
    Raises HostTaken if another worker entered while this one said nothing: that one's record stays."""
    record = replace(record, beat=record.beat + 1)

    def write(pipe: Client) -> None:
        other = _other(pipe, record)
        if other and not _dead(other):
            raise HostTaken(
                f"host {record.id!r} has another worker now (process {other.pid} on machine {other.machine})"
            )
        pipe.multi()
        pipe.set(keys.host(record.id), record.to_json(), ex=TTL_S)
        pipe.sadd(keys.HOSTS, record.id)

    client.transaction(write, keys.host(record.id))
    return record


def leave(client: Client, record: HostRecord) -> None:
    """A clean stop: the host is free at once, if the record is still ours."""

    def forget(pipe: Client) -> None:
        theirs = _other(pipe, record)
        pipe.multi()
        if not theirs:
            pipe.delete(keys.host(record.id))
            pipe.srem(keys.HOSTS, record.id)

    client.transaction(forget, keys.host(record.id))


def _other(client: Client, record: HostRecord) -> HostRecord | None:
    """Who serves the host, if it is not the worker of `record`."""
    row = client.get(keys.host(record.id))
    found = HostRecord.from_json(row) if row else None
    return found if found and found.incarnation != record.incarnation else None


def _dead(one: HostRecord) -> bool:
    """Certainly: a process of this machine that is gone."""
    return one.machine == machine_id() and not process_alive(one.pid)
