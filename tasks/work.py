"""The work, as values: Params, Manifest (what a Run asked), Bundle, Entry, WorkItem ids.

`Paper` stands in `intake/extract.py`, `Prompt` in `intake/prompts.py`, `Result` in `result.py`. All of them
are JSON at the edges (`to_json`, `from_json`) and frozen in between.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from tasks.bench.cell import Bench, Load
from tasks.intake import stages as stages_
from tasks.intake.prompts import Prompt
from tasks.intake.stages import Stage
from tasks.queues import queue_of
from tasks.result import UPSTREAM_FAILED, Failure, Result

PROTOCOL = 2  # of messages, records and results in Redis; workers refuse any other
PRIORITIES = {"low": -1, "normal": 0, "high": 1}  # of runs: a free slot asks the highest first

# Made once: `json.dumps` with options makes an encoder each time, at twice the cost of its work here.
_canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode
_compact = json.JSONEncoder(separators=(",", ":")).encode


def item_id(run_id: str, bundle: int, item: int) -> str:
    """A WorkItem's id, and the id of its Celery result."""
    return f"{run_id}-{bundle}-{item}"


def digest(*parts: Any) -> str:
    """sha256 of the parts as canonical JSON."""
    return hashlib.sha256(_canonical(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Params:
    """What decides an answer besides the words: sampling, length, and what to do with a paper that
    fits no window (`split` or `error`)."""

    max_tokens: int = 1024
    temperature: float = 0.0
    seed: int | None = None
    overflow: str = "split"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What one submit asked. `models` is empty where any model will do; `paperless`: each prompt is
    an item of its own. `layout`: how a request was put together (intake/plan.py), `llmq`: the version
    that submitted it, `git` its commit in a checkout, `python` its interpreter, `command` what was typed;
    runs from before they were kept had the first layout, and the others are unknown. `stages` are empty
    where nobody reads another's answers; then `models` say who is asked. `repeats`: how often each item
    is asked. `bench`: it is a benchmark, its bundles are cells, and a stage stands for each host x model."""

    run_id: str
    prompts: tuple[Prompt, ...]
    models: tuple[str, ...]
    params: Params
    name: str | None = None
    paperless: bool = False
    files: int = 0
    skipped: tuple[str, ...] = ()
    max_concurrent: int | None = None
    priority: str = "normal"
    stages: tuple[Stage, ...] = ()
    repeats: int = 1
    bench: Bench | None = None
    protocol: int = PROTOCOL
    layout: int = 1
    llmq: str | None = None
    git: str | None = None
    python: str | None = None
    command: tuple[str, ...] = ()

    @property
    def all_stages(self) -> tuple[Stage, ...]:
        """As they were given; without any, a first one for each model."""
        return self.stages or tuple(Stage(model=model) for model in self.models or (None,))

    @property
    def models_asked(self) -> tuple[str, ...]:
        """Every model that a stage names, once."""
        return tuple(dict.fromkeys(stage.model for stage in self.all_stages if stage.model))

    @property
    def first_models(self) -> tuple[str, ...]:
        """Which models the first stages name."""
        return tuple(stage.model for stage in self.all_stages if stage.model and stage.after is None)

    @property
    def queues(self) -> tuple[str, ...]:
        """Where the run's invitations go; for each there is a retry queue beside it."""
        return tuple(dict.fromkeys(queue_of(stage.model, stage.host) for stage in self.all_stages))

    def stage_of(self, bundle: "Bundle") -> Stage:
        return self.stages[bundle.stage] if self.stages else Stage(model=bundle.model)

    def prompt_of(self, bundle: "Bundle", item: int) -> Prompt:
        """What an item is asked: the run's prompt, or in a later stage its template under that name."""
        prompt, stage = self.prompts[bundle.prompts[item]], self.stage_of(bundle)
        return prompt if stage.after is None else Prompt(prompt.name, stage.template or "")

    def params_of(self, bundle: "Bundle") -> Params:
        most = self.stage_of(bundle).max_tokens
        return replace(self.params, max_tokens=most) if most else self.params

    def to_fields(self) -> list[str]:
        """As Redis hash fields; what scripts read stands in fields of its own."""
        own = {k: v for k, v in asdict(self).items() if k != "run_id"}
        fields = ["manifest", json.dumps(own), "name", self.name or "", "protocol", str(self.protocol)]
        if self.max_concurrent:
            fields += ["max_concurrent", str(self.max_concurrent)]
        if rank := PRIORITIES[self.priority]:
            fields += ["priority", str(rank)]
        if self.bench:
            fields += ["bench", "shared" if self.bench.shared else "alone"]
        if depth := stages_.depth(self.stages):
            names = [stage.name for stage in self.stages]
            fields += ["depth", str(depth), "stages", json.dumps(names), "upstream", _blank_failure()]
        return fields

    @classmethod
    def from_fields(cls, run_id: str, fields: dict[str, str]) -> Self:
        own = json.loads(fields["manifest"])
        own["prompts"] = tuple(Prompt(**prompt) for prompt in own["prompts"])
        own["params"] = Params(**own["params"])
        for listed in ("models", "skipped", "command"):
            own[listed] = tuple(own.get(listed, ()))
        own["stages"] = tuple(Stage(**stage) for stage in own.get("stages", ()))
        own["bench"] = Bench.from_fields(own["bench"]) if own.get("bench") else None
        known = cls.__dataclass_fields__  # a newer llmq may say more
        return cls(run_id=run_id, **{name: value for name, value in own.items() if name in known})


@dataclass(frozen=True, slots=True)
class Bundle:
    """The WorkItems of one Paper for one Model. `prompts` are indices into the manifest's; item k
    answers the k-th of them. `error` (type, message): the paper cannot be read, its items end with
    that. `copies`: (bundle, item) of equal answer key, answered once for all. `tokens`: about how many
    there are to read, for comparing bundles (of a later stage: beside the answers it reads, until they are
    there). `stage` is an index into the manifest's, with `depth` others before it; in a later one item k
    reads the answer of item k of the bundle `parent`. `host`: only this one may take it. `repeat`: from 0.
    `load`: it is a cell of a benchmark, its items are requests that come so; `behind`: the bundle before it
    on its host, whose end it waits for."""

    file: str | None
    paper: str | None
    model: str | None
    prompts: tuple[int, ...]
    error: tuple[str, str] | None = None
    copies: tuple[tuple[int, int], ...] = ()
    tokens: int = 0
    stage: int = 0
    depth: int = 0
    parent: int | None = None
    host: str | None = None
    repeat: int = 0
    load: Load | None = None
    behind: int | None = None

    @property
    def after(self) -> int:
        """The bundle this one waits for, -1 if none: the original of its copies, else its parent, else the
        cell before it."""
        if self.copies:
            return self.copies[0][0]
        before = self.parent if self.parent is not None else self.behind
        return -1 if before is None else before

    @property
    def queue(self) -> str:
        """Where it waits."""
        return queue_of(self.model, self.host)

    def to_json(self) -> str:
        # `asdict` copies deeply
        record = {name: value for name in self.__slots__ if (value := getattr(self, name)) or value == ""}
        if self.load:
            record["load"] = asdict(self.load)
        for name in ("parent", "behind"):  # 0 is a number here
            if (number := getattr(self, name)) is not None:
                record[name] = number
        return _compact(record)

    @classmethod
    def from_json(cls, text: str) -> Self:
        record = json.loads(text)
        error = record.get("error")
        return cls(
            file=record.get("file"),
            paper=record.get("paper"),
            model=record.get("model"),
            prompts=tuple(record["prompts"]),
            error=(error[0], error[1]) if error else None,
            copies=tuple((b, i) for b, i in record.get("copies", ())),
            tokens=record.get("tokens", 0),
            stage=record.get("stage", 0),
            depth=record.get("depth", 0),
            parent=record.get("parent"),
            host=record.get("host"),
            repeat=record.get("repeat", 0),
            load=Load.from_fields(record["load"]) if record.get("load") else None,
            behind=record.get("behind"),
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """A bundle on its way into a run's plan: the queue it waits in, and (item, result) of what is known
    already, because the paper cannot be read or an earlier run has the answer."""

    bundle: Bundle
    queue: str
    known: tuple[tuple[int, Result], ...] = ()

    @property
    def open(self) -> bool:
        """Something of it is still to be asked."""
        return len(self.known) < len(self.bundle.prompts)


def _blank_failure() -> str:
    """The result of an item whose parent failed, as a form that a script fills in (lua/common.lua)."""
    error = Failure("<host>", UPSTREAM_FAILED, "<message>")
    return Result("<item>", "", 0, model="<model>", error=error).to_json("<date>")


def unreadable(run_id: str, number: int, item: int, bundle: Bundle, host: str) -> Result:
    """The result of an item whose paper cannot be read."""
    kind, message = bundle.error or ("error", "unknown")
    return Result(
        item_id(run_id, number, item), "", 0, model=bundle.model, error=Failure(host, kind, message)
    )
