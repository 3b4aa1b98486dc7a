"""Which machines there are: `Host`, and the fleet files a person writes.

`fleet.toml` is llmq's own format; the seed's `workers.json` is read byte for byte. A file is wrong as a
whole: every fault is told at once, with its place. Knows nothing of what really answers at an address.
"""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from worker_agent.engines import ENGINES
from worker_agent.errors import ConfigError
from worker_agent.wording import near

SECRETS = ("api_key", "url")  # values that are never quoted in a message


@dataclass(frozen=True, slots=True)
class ModelName:
    """A model by its fleet-wide name and by its name on the host."""

    fleet: str
    local: str


@dataclass(frozen=True, slots=True)
class Host:
    """A machine of the fleet with an engine. `slots`, `context_length` and `models` are what the
    configuration says; None or empty means: ask the engine. `slots` "auto": find out what it is worth."""

    id: str
    engine: str  # a key of ENGINES, or "auto"
    url: str
    models: tuple[ModelName, ...] = ()
    slots: int | Literal["auto"] | None = None
    context_length: int | None = None
    timeout_s: float | None = None
    api_key: str | None = field(default=None, repr=False)
    tags: tuple[str, ...] = ()


def read_fleet(path: Path, environ: Mapping[str, str] = os.environ) -> tuple[Host, ...]:
    """The hosts of a fleet file, in its order; at least one. API keys come from `environ` where the file
    names a variable. Raises ConfigError with every fault."""
    key, row_type = ("workers", SeedRow) if path.suffix == ".json" else ("host", HostRow)
    rows = _rows(_parse(path), key, path)
    faults: list[str] = []
    hosts = [
        _host(row_type, row, f"{key} {n}{_called(row)}", environ, faults) for n, row in enumerate(rows, 1)
    ]
    faults += _doubles([host for host in hosts if host])
    if faults:
        raise ConfigError("\n  ".join([f"{path} cannot be used:", *faults]))
    return tuple(host for host in hosts if host)


Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Name = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
_COUNT: TypeAdapter[int] = TypeAdapter(Count, config=ConfigDict(strict=True))
# One fault for what is neither: a union tells one for each of its kinds.
Slots = Annotated[
    int | Literal["auto"],
    PlainValidator(lambda said: said if said == "auto" else _COUNT.validate_python(said)),
]


class _Row(BaseModel):
    """Strict: no key is ignored, and a number is not a text that looks like one."""

    model_config = ConfigDict(extra="forbid", strict=True)


class HostRow(_Row):
    """One `[[host]]` of a fleet.toml."""

    id: Id
    engine: str
    url: str | None = None
    host: Name | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    models: list[ModelName] = []
    slots: Slots | None = None
    context_length: Count | None = None
    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    api_key: Name | None = None
    api_key_env: Name | None = None
    tags: list[Name] = []

    @field_validator("engine")
    @classmethod
    def known(cls, engine: str) -> str:
        names = [*_ports(), "auto"]
        if engine not in names:
            raise ValueError(f"unknown engine {engine!r}{near(engine, names)}")
        return engine

    @field_validator("models", mode="before")
    @classmethod
    def names(cls, models: object) -> list[ModelName]:
        """`"name"` or `{"fleet name" = "name on this host"}`, mixed at will."""
        pairs = [pair for model in _listed(models) for pair in _pairs(model)]
        if len({fleet for fleet, _ in pairs}) < len(pairs):
            raise ValueError("a model is named twice")
        return [ModelName(fleet, local) for fleet, local in pairs]

    @field_validator("url")
    @classmethod
    def address(cls, url: str | None) -> str | None:
        return None if url is None else _clean_url(url)

    @model_validator(mode="after")
    def one_address(self) -> "HostRow":
        if (self.url is None) == (self.host is None):
            raise ValueError("expected either url or host")
        if self.url and self.port:
            raise ValueError("the port belongs into the url")
        if self.host and self.engine == "auto" and not self.port:
            raise ValueError("expected a port: auto has no usual one")
        if self.api_key and self.api_key_env:
            raise ValueError("expected either api_key or api_key_env")
        return self

    def to_host(self, environ: Mapping[str, str]) -> Host:
        """Raises ValueError where the variable of the API key is not set."""
        return Host(
            id=self.id,
            engine=self.engine,
            url=self.url or _address(self.host or "", self.port or _ports()[self.engine]),
            models=tuple(self.models),
            slots=self.slots,
            context_length=self.context_length,
            timeout_s=self.timeout_s,
            api_key=_from_environ(self.api_key_env, environ) if self.api_key_env else self.api_key,
            tags=tuple(self.tags),
        )


class SeedRow(_Row):
    """One of the `workers` of the seed's workers.json."""

    id: Id
    host: Name
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    type: Literal["ollama", "lm_studio", "exo"]
    model: Name
    max_concurrent_requests: Count = 5

    def to_host(self, environ: Mapping[str, str]) -> Host:
        return Host(
            id=self.id,
            engine=self.type,
            url=_address(self.host, self.port or _ports()[self.type]),
            models=(ModelName(self.model, self.model),),
            slots=self.max_concurrent_requests,
        )


def _parse(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8-sig")
        parsed = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError as error:  # not TOML, not JSON, not UTF-8; the text names the line
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(parsed, dict):
        raise ConfigError(f'{path}: expected {{"workers": [...]}}')
    return parsed


def _rows(parsed: dict[str, Any], key: str, path: Path) -> list[Any]:
    strange = [f"{path}: unknown key {name!r}{near(name, [key])}" for name in parsed if name != key]
    if strange:
        raise ConfigError("\n".join(strange))
    rows = parsed.get(key)
    if isinstance(rows, list) and rows:
        return rows
    raise ConfigError(
        f"{path}: expected at least one " + ("[[host]]" if key == "host" else 'entry in "workers"')
    )


def _host(
    row_type: type[HostRow] | type[SeedRow],
    row: object,
    place: str,
    environ: Mapping[str, str],
    faults: list[str],
) -> Host | None:
    try:
        return row_type.model_validate(row).to_host(environ)
    except ValidationError as error:
        known = list(row_type.model_fields)
        faults += [f"{place}: {_told(fault, known)}" for fault in error.errors()]
    except ValueError as error:
        faults.append(f"{place}: {error}")
    return None


def _told(fault: ErrorDetails, known: list[str]) -> str:
    """A fault as `key: what was expected, got what`; without the value where it may be a secret."""
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"unknown key {key!r}{near(key, known)}"
    if fault["type"] == "missing":
        return f"{key}: missing"
    said = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "string_pattern_mismatch":
        said = "expected letters, digits, '.', '_' or '-', 63 at most"
    if not key or key.startswith(SECRETS) or fault["type"] == "value_error":
        return f"{key}: {said}" if key else said
    return f"{key}: {said[0].lower()}{said[1:]}, got {fault['input']!r}"


def _called(row: object) -> str:
    return f" ({row['id']})" if isinstance(row, dict) and isinstance(row.get("id"), str) else ""


def _listed(models: object) -> list[object]:
    if not isinstance(models, list):
        raise ValueError(f"expected a list, got {models!r}")
    return models


def _pairs(model: object) -> list[tuple[str, str]]:
    pairs = (
        [(model, model)] if isinstance(model, str) else list(model.items()) if isinstance(model, dict) else []
    )
    if not pairs or not all(isinstance(name, str) and name for pair in pairs for name in pair):
        raise ValueError(f'expected "name" or {{"fleet name" = "name on this host"}}, got {model!r}')
    return pairs


def _clean_url(url: str) -> str:
    """`url` without a last slash and without the `/v1` that engines add themselves."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected http://host:port or https://host:port")
    if parts.username or parts.password:
        raise ValueError("a user or password in the url would be shown in messages; use api_key_env")
    if parts.query or parts.fragment:
        raise ValueError("expected no ? or # in the url")
    _ = parts.port  # raises ValueError where it is no port
    return re.sub(r"/+(v1/*)?$", "", url)


def _ports() -> dict[str, int]:
    """Engine -> the port it listens on out of the box."""
    return {name: engine.default_port for name, engine in ENGINES.items()}


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _from_environ(name: str, environ: Mapping[str, str]) -> str:
    if not environ.get(name):
        raise ValueError(f"api_key_env: the environment variable {name} is not set")
    return environ[name]


def _doubles(hosts: list[Host]) -> list[str]:
    faults = []
    for what, of in (("id", lambda host: host.id), ("url", lambda host: _same_machine(host.url))):
        first: dict[str, Host] = {}
        for host in hosts:
            other = first.setdefault(of(host), host)
            if other is not host:
                faults.append(_double(what, other, host))
    return faults


def _double(what: str, other: Host, host: Host) -> str:
    if what == "id":
        return f"two hosts have one id: {host.id}, at {other.url} and {host.url}"
    return f"two hosts have one {what}: {other.id} and {host.id} ({host.url})"


def _same_machine(url: str) -> str:
    """`url` so that two spellings of one address are equal."""
    parts = urlsplit(url.lower())
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    host = "localhost" if parts.hostname in ("127.0.0.1", "::1") else parts.hostname
    return f"{host}:{port}{parts.path}"
