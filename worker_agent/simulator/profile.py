"""`Profile`: what a simulated engine pretends to be, and the TOML files that say so.

Built-in profiles lie beside this file, so that an installed llmq finds them without its checkout.
"""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveInt, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from worker_agent.errors import ConfigError
from worker_agent.shipped import files, find
from worker_agent.wording import told

BUILT_IN = Path(__file__).with_name("profiles")
Seconds = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(gt=0)]
Spread = Annotated[float, Field(ge=0, le=2)]
Share = Annotated[float, Field(ge=0, le=1)]
WireName = Literal["ollama", "lm_studio", "openai"]
FaultMode = Literal["ok", "500", "html", "hang", "stall", "drop", "empty"]  # see faults.py


@dataclass(frozen=True, slots=True)
class Profile:
    """Times are seconds before `time_scale`, rates tokens per second.

    The first token costs `ttft_s` (fixed) or prompt tokens over `prefill_tps` (then a prefix the slot
    still holds is free, with `prefix_cache`); every further token costs 1 / `decode_tps`. `service_s`
    replaces all three: the whole answer takes that long, its tokens evenly spread.
    With a `knee`, up to that many requests run at this speed; more, which `slots` may admit, share what the
    knee gives, each slower. `resident` models are in memory at a time, all by default; for another one, the
    one that was used longest ago goes once its requests are done, and coming back costs it `load_s`.
    Spreads are the sigma of a log-normal distribution; 0 is exact. A `fault` befalls a share of the requests,
    `fault_rate`. A machine that gets hot works at full speed for `throttle_after_s` from its first request
    on; then its times grow until, `throttle_over_s` later, they are `throttle` times as long, and stay so.
    Every key, its unit and its default stand in docs/simulator.md.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str
    wire: WireName
    models: Annotated[tuple[str, ...], Field(min_length=1)]
    slots: PositiveInt = 1  # of all models together
    knee: PositiveInt | None = None  # requests at full speed; None: as many as there are slots
    resident: PositiveInt | None = None  # models in memory at a time; None: all
    window: PositiveInt = 8192  # tokens per slot, for all models
    ttft_s: Seconds | None = None
    prefill_tps: Rate | None = None
    decode_tps: Rate | None = None
    service_s: Seconds | None = None
    output_tokens: PositiveInt = 120  # median
    output_spread: Spread = 0.3
    prefix_cache: bool = True
    jitter: Spread = 0.0  # spread of every time of a request together
    ttft_spread: Spread = 0.0  # of the time to the first token, beside that
    decode_spread: Spread = 0.0  # of a request's time per token, beside that
    load_s: Seconds = 0.0  # a model's first request; 0: every model is loaded from the start
    load_spread: Spread = 0.0
    speed: Rate = 1.0  # of this machine: 0.5 takes twice as long for everything
    throttle: Annotated[float, Field(ge=1, le=100)] = 1.0
    throttle_after_s: Seconds = 0.0
    throttle_over_s: Seconds = 0.0
    time_scale: Rate = 1.0  # 0.1: ten times as fast, throttling included
    fault: FaultMode = "ok"
    fault_rate: Share = 1.0
    fault_count: Annotated[int, Field(ge=0)] = 0  # requests that may have the fault; 0: all


def load_profile(name_or_path: str) -> Profile:
    """The profile of that name, or the one in a TOML file (a path, or a name with `.toml`).

    Raises ConfigError, listing every fault at once.
    """
    path, written = read_profile(name_or_path)
    if "host" in written:
        raise ConfigError(f"simulator profile {path}: it describes a fleet, and one machine is wanted")
    written.pop("seed", None)  # of who draws machines from it
    return make_profile({"name": path.stem} | written, source=str(path))


def read_profile(name_or_path: str) -> tuple[Path, dict[str, Any]]:
    """Where it lies and what it says, unchecked: a built-in one, one of configs/profiles, or a path. Raises
    ConfigError where there is no such TOML file."""
    path = BUILT_IN / f"{name_or_path}.toml"
    if not path.is_file():
        path = find("profiles", name_or_path) or path
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if name_or_path.endswith(".toml"):
            raise ConfigError(f"simulator profile {path}: no such file") from None
        known, fleets = ", ".join(profile_names()), ", ".join({one.stem: None for one in files("profiles")})
        raise ConfigError(
            f"no simulator profile {name_or_path!r}; built in: {known}; in configs/profiles: {fleets}"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"simulator profile {path}: {error}") from None


def make_profile(written: dict[str, Any], *, source: str = "simulator profile") -> Profile:
    """A Profile from plain values. Raises ConfigError, listing every fault."""
    profile, faults = check_profile(written)
    if profile is None:
        raise ConfigError(f"{source}: " + "; ".join(faults))
    return profile


def check_profile(written: dict[str, Any]) -> tuple[Profile | None, list[str]]:
    """A Profile, or None and what is wrong with it, each fault with its key."""
    try:
        profile = TypeAdapter(Profile).validate_python(written)
    except ValidationError as error:
        known = [one.name for one in fields(Profile)]
        return None, [tell(one, known) for one in error.errors()]
    faults = _contradictions(profile)
    return (None if faults else profile), faults


def tell(fault: ErrorDetails, known: list[str]) -> str:
    """Its key first, unless the finding names it."""
    said = told(fault, known)
    return said if said.startswith("unknown key") else f"{'.'.join(map(str, fault['loc']))}: {said}"


def profile_names() -> list[str]:
    """The built-in profiles."""
    return sorted(path.stem for path in BUILT_IN.glob("*.toml"))


def _contradictions(profile: Profile) -> list[str]:
    if profile.service_s is not None:
        beside = [
            name for name in ("ttft_s", "prefill_tps", "decode_tps") if getattr(profile, name) is not None
        ]
        beside += [name for name in ("ttft_spread", "decode_spread") if getattr(profile, name)]
        return [f"service_s stands alone: leave out {', '.join(beside)}"] if beside else []
    faults = []
    if (profile.ttft_s is None) == (profile.prefill_tps is None):
        faults.append("say either ttft_s or prefill_tps (or service_s alone)")
    if profile.decode_tps is None:
        faults.append("decode_tps is missing (or say service_s alone)")
    return faults
