"""A whole fleet of simulated engines from one TOML file: its machines, each with a speed and a seed of its
own, drawn from the fleet's seed. Pure but for reading files."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from worker_agent.config import Id
from worker_agent.errors import ConfigError
from worker_agent.simulator.answer import dice_for
from worker_agent.simulator.profile import (
    Profile,
    Rate,
    Spread,
    check_profile,
    make_profile,
    read_profile,
    tell,
)

MOST = 64  # machines; each is a process
SEED = 1  # where nobody says


@dataclass(frozen=True, slots=True)
class Simulated:
    """One machine of a fleet."""

    id: str
    profile: Profile
    seed: int


class _Row(BaseModel):
    """What a `[[host]]` says beside the keys of a profile, which are `model_extra`."""

    model_config = ConfigDict(extra="allow", strict=True)

    id: Id
    count: Annotated[int, Field(ge=1, le=MOST)] = 1
    profile: str | None = None
    speed_spread: Spread = 0.0


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    host: Annotated[list[dict[str, Any]], Field(min_length=1)]
    seed: int | None = None
    time_scale: Rate = 1.0


def load_machines(
    name_or_path: str, seed: int | None = None, *, otherwise: int = SEED
) -> tuple[Simulated, ...]:
    """The machines of a fleet file, or the only one of a profile. They are drawn from `seed`; where that is
    None from the file's own, `otherwise` where it has none. Raises ConfigError with every fault, each with
    the file, the host and the key."""
    path, written = read_profile(name_or_path)
    own = written.pop("seed", None)  # of one machine, too
    if own is not None and type(own) is not int:
        raise ConfigError(f"simulator profile {path}: seed: {own!r} is not a whole number")
    seed = next(one for one in (seed, own, otherwise) if one is not None)
    if "host" in written:
        return _checked(path, written, seed)
    profile = make_profile({"name": path.stem} | written, source=str(path))
    return (Simulated(profile.name, profile, seed),)


def _checked(path: Path, written: dict[str, Any], seed: int) -> tuple[Simulated, ...]:
    faults: list[str] = []
    try:
        file = _File.model_validate(written)
    except ValidationError as error:
        raise ConfigError(f"simulator profile {path}: " + "; ".join(_told(error, _File))) from None
    machines = [
        machine
        for number, row in enumerate(file.host, 1)
        for machine in _machines(row, f"host {number}", file.time_scale, path, seed, faults)
    ]
    names = [machine.id for machine in machines]
    faults += [f"host: two machines are called {name}" for name in sorted({*names}) if names.count(name) > 1]
    if len(machines) > MOST:
        faults.append(f"host: {len(machines)} machines; {MOST} is the most")
    if faults:
        raise ConfigError("\n  ".join([f"simulator profile {path} cannot be used:", *faults]))
    return tuple(machines)


def _machines(
    written: dict[str, Any],
    place: str,
    time_scale: float,
    path: Path,
    seed: int,
    faults: list[str],
) -> list[Simulated]:
    try:
        row = _Row.model_validate(written)
        base = _base(row.profile, path)
    except (ValidationError, ConfigError) as error:
        said = _told(error, _Row) if isinstance(error, ValidationError) else [f"profile: {error}"]
        faults += [f"{place}: {one}" for one in said]
        return []
    values = base | {"name": row.id} | (row.model_extra or {})
    profile, wrong = check_profile(values)
    if profile is None:
        faults += [f"{place} ({row.id}): {one}" for one in wrong]
        return []
    names = [row.id] if row.count == 1 else [f"{row.id}-{n}" for n in range(1, row.count + 1)]
    return [_drawn(profile, name, seed, row.speed_spread, time_scale) for name in names]


def _drawn(profile: Profile, name: str, seed: int, spread: float, time_scale: float) -> Simulated:
    own = dice_for(seed, name).getrandbits(31)
    speed = profile.speed * dice_for(own, "speed").lognormvariate(0, spread)
    scaled = profile.time_scale * time_scale
    return Simulated(name, replace(profile, name=name, speed=speed, time_scale=scaled), own)


def _base(name: str | None, path: Path) -> dict[str, Any]:
    """The profile that a row starts from: a built-in one, or a file beside the fleet's."""
    if name is None:
        return {}
    written = read_profile(str(path.parent / name) if name.endswith(".toml") else name)[1]
    return {key: value for key, value in written.items() if key != "seed"}  # the fleet's counts


def _told(error: ValidationError, model: type[BaseModel]) -> list[str]:
    return [tell(one, list(model.model_fields)) for one in error.errors()]
