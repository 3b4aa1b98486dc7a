"""The settings of one user on one machine: read once, at the edge, into one frozen value.

A flag wins over `LLMQ_*`, that over `llmq.toml` (working folder, then the user's configuration folder), that
over the default. Knows no fleet and no Redis; cheap to import.
"""

import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from worker_agent.errors import ConfigError

FILE = "llmq.toml"
FLEET_FILES = ("fleet.toml", "workers.json")
LEAST_LEASE_S = 10.0  # longer than the steward may be away without holding its breath
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True, slots=True)
class Settings:
    """`home` is the data folder. The names and defaults of the seed's settings are kept, hence three
    without a unit in their name: `health_check_interval` and `request_timeout` are seconds."""

    home: Path
    redis_url: str | None = field(default=None, repr=False)  # may hold a password; None: llmq's own Redis
    fleet: Path | None = None
    host: str | None = None
    health_check_interval: float = 30.0
    max_retries: int = 3
    request_timeout: float | None = None
    result_ttl_days: float = 30.0
    lease_s: float = 15.0
    log_level: str = "INFO"
    history_url: str | None = field(default=None, repr=False)  # SQLAlchemy's; None: a file in `home`


def read_settings(
    flags: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    folder: Path | None = None,
) -> Settings:
    """The settings as of now; `flags` that are None count as not given, `folder` is the working folder.

    Raises ConfigError with every fault and its place.
    """
    folder = folder or Path.cwd()
    faults: list[str] = []
    found: dict[str, Any] = {"home": data_folder(environ)}
    for source in (config_folder(environ), folder):
        found |= _from_file(source / FILE, faults)
    found |= _checked(_from_environ(environ), folder, faults)
    found |= _checked({f"--{k.replace('_', '-')}": (k, v) for k, v in (flags or {}).items()}, folder, faults)
    if faults:
        raise ConfigError("\n".join(faults))
    return Settings(**found)


def find_fleet(settings: Settings, flag: Path | None = None, folder: Path | None = None) -> Path | None:
    """The fleet file to use, or None: whatever engines run on this machine. One that was named is
    returned without a look whether it exists."""
    named = flag or settings.fleet
    if named:
        return named
    here = folder or Path.cwd()
    return next((here / name for name in FLEET_FILES if (here / name).is_file()), None)


def data_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where llmq keeps what outlives a command: `LLMQ_HOME`, else the platform's place for it."""
    if environ.get("LLMQ_HOME"):
        return Path(environ["LLMQ_HOME"]).expanduser().absolute()
    return _user_folder(environ, "XDG_DATA_HOME", ".local/share")


def config_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the user's own `llmq.toml` lies."""
    return _user_folder(environ, "XDG_CONFIG_HOME", ".config")


def _user_folder(environ: Mapping[str, str], variable: str, default: str) -> Path:
    if environ.get(variable):
        return Path(environ[variable]) / "llmq"
    if sys.platform == "darwin":
        default = "Library/Application Support"
    return Path(environ.get("HOME") or Path.home()) / default / "llmq"


def _from_environ(environ: Mapping[str, str]) -> dict[str, tuple[str, object]]:
    """Place -> (key, value). `LOG_LEVEL` is honoured for the seed's users; an empty variable is none."""
    names = {"LOG_LEVEL": "log_level"} | {f"LLMQ_{key.upper()}": key for key in _KINDS}
    return {name: (key, environ[name]) for name, key in names.items() if environ.get(name)}


def _from_file(path: Path, faults: list[str]) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:  # ValueError: not TOML, or not UTF-8
        faults.append(f"{path}: {error}")
        return {}
    known = {key: value for key, value in values.items() if key in _KINDS}
    faults += [f"{path}: {_unknown(key)}" for key in values if key not in known]
    return _checked({f"{path}: {k}": (k, v) for k, v in known.items()}, path.parent, faults)


def _checked(values: Mapping[str, tuple[str, object]], base: Path, faults: list[str]) -> dict[str, Any]:
    """The values that are as they should be, by key; the others become faults. Paths start at `base`."""
    good: dict[str, Any] = {}
    for place, (key, value) in values.items():
        if value is None:
            continue
        try:
            checked = _KINDS[key](value)
        except ValueError as error:
            faults.append(f"{place}: {error}")
        else:
            good[key] = base / checked if isinstance(checked, Path) else checked
    return good


def _unknown(key: str) -> str:
    from difflib import get_close_matches  # only who errs pays for the import

    near = get_close_matches(key, _KINDS, 1)
    hint = f"; did you mean {near[0]!r}?" if near else f" (known: {', '.join(_KINDS)})"
    return f"unknown key {key!r}{hint}"


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a text, got {value!r}")
    return value


def _redis_url(value: object) -> str:
    if not isinstance(value, str) or not value.startswith(("redis://", "rediss://")):
        raise ValueError("expected redis://host:port/number or rediss://...")  # the value may hold a password
    return value


def _path(value: object) -> Path:
    return value if isinstance(value, Path) else Path(_text(value)).expanduser()


def _level(value: object) -> str:
    if _text(value).upper() not in LOG_LEVELS:
        raise ValueError(f"expected one of {', '.join(LOG_LEVELS)}, got {value!r}")
    return str(value).upper()


def _seconds_or_days(value: object) -> float:
    number = _number(value, float)
    if not 0 < number < float("inf"):
        raise ValueError(f"expected a number above 0, got {value!r}")
    return number


def _lease(value: object) -> float:
    seconds = _seconds_or_days(value)
    if seconds < LEAST_LEASE_S:
        raise ValueError(f"expected at least {LEAST_LEASE_S:g} seconds, got {value!r}")
    return seconds


def _count(value: object) -> int:
    number = _number(value, int)
    if number < 0:
        raise ValueError(f"expected a whole number from 0, got {value!r}")
    return int(number)


def _number(value: object, kind: type[int] | type[float]) -> int | float:
    """`value` as a number; a text only becomes one where it came from the environment."""
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | kind):
            raise ValueError
        return kind(value)
    except ValueError:
        raise ValueError(f"expected a {'whole ' if kind is int else ''}number, got {value!r}") from None


_KINDS: dict[str, Callable[[object], object]] = {
    "redis_url": _redis_url,
    "fleet": _path,
    "host": _text,
    "health_check_interval": _seconds_or_days,
    "max_retries": _count,
    "request_timeout": _seconds_or_days,
    "result_ttl_days": _seconds_or_days,
    "lease_s": _lease,
    "log_level": _level,
    "history_url": _text,
}
