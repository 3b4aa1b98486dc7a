"""`Profile`: what a simulated engine pretends to be, and the TOML files that say so.

Built-in profiles lie beside this file, so that an installed llmq finds them without its checkout.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveInt, TypeAdapter, ValidationError

from worker_agent.errors import ConfigError

BUILT_IN = Path(__file__).with_name("profiles")
Seconds = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(gt=0)]
Spread = Annotated[float, Field(ge=0, le=2)]
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
    Spreads are the sigma of a log-normal distribution; 0 is exact.
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
    jitter: Spread = 0.0  # spread of every time
    load_s: Seconds = 0.0  # a model's first request; 0: every model is loaded from the start
    time_scale: Rate = 1.0  # 0.1: ten times as fast
    fault: FaultMode = "ok"
    fault_count: Annotated[int, Field(ge=0)] = 0  # requests the fault lasts; 0: all


def load_profile(name_or_path: str) -> Profile:
    """The built-in profile of that name, or the one in a TOML file (a path, or a name with `.toml`).

    Raises ConfigError, listing every fault at once.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = BUILT_IN / f"{name_or_path}.toml"
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(profile_names())
        raise ConfigError(f"no simulator profile {name_or_path!r}; built in: {known}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"simulator profile {path}: {error}") from None
    return make_profile({"name": path.stem} | written, source=str(path))


def make_profile(written: dict[str, Any], *, source: str = "simulator profile") -> Profile:
    """A Profile from plain values. Raises ConfigError, listing every fault."""
    try:
        profile = TypeAdapter(Profile).validate_python(written)
        faults = _contradictions(profile)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
    if faults:
        raise ConfigError(f"{source}: " + "; ".join(faults))
    return profile


def profile_names() -> list[str]:
    """The built-in profiles."""
    return sorted(path.stem for path in BUILT_IN.glob("*.toml"))


def _contradictions(profile: Profile) -> list[str]:
    if profile.service_s is not None:
        alone = (profile.ttft_s, profile.prefill_tps, profile.decode_tps) == (None, None, None)
        return [] if alone else ["service_s stands alone: leave out ttft_s, prefill_tps and decode_tps"]
    faults = []
    if (profile.ttft_s is None) == (profile.prefill_tps is None):
        faults.append("say either ttft_s or prefill_tps (or service_s alone)")
    if profile.decode_tps is None:
        faults.append("decode_tps is missing (or say service_s alone)")
    return faults
