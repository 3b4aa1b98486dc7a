"""What runs and benchmarks measured, kept for good: the only SQL. A run is filed once and never changed.

Plain SQL of SQLAlchemy Core, so that another database can take the place of the SQLite file. MIGRATIONS is
the schema's history: a new version is one more function at its end (docs/decisions/0009)."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError

from tasks.errors import InputError, OutputError
from tasks.settings import Settings
from worker_agent.errors import ConfigError

FILE = "history.sqlite"
WAIT_S = 30.0  # for another process that is writing
MOST_INTEGER = 2**31  # of an INTEGER in most databases
TURN = 0x6C6C6D71  # of PostgreSQL's locks the one for making tables

_META = MetaData()
VERSION = Table("llmq_version", _META, Column("version", Integer, nullable=False))
RUN = Table(
    "llmq_run",
    _META,
    Column("run_id", String(200), primary_key=True),
    Column("filed_at", String(40), nullable=False),
    Column("ended_at", String(40), nullable=False),
    Column("name", Text),
    Column("source", Text, nullable=False),  # run, or the file it was added from
    Column("state", String(40)),
    Column("total", Integer),
    Column("successful", Integer),
    Column("failed", Integer),
    Column("seconds", Float),
    Column("head", Text, nullable=False),  # all that was known of the run, as JSON
)
# One row for each cell, metric and what is kept apart: the rows of summary.csv. `cell` and `apart` are never
# null, so that the key holds.
FIGURE = Table(
    "llmq_figure",
    _META,
    Column("run_id", String(200), ForeignKey("llmq_run.run_id"), primary_key=True),
    Column("cell", String(200), primary_key=True),
    Column("metric", String(60), primary_key=True),
    Column("apart", String(60), primary_key=True),
    Column("host", Text),
    Column("model", Text),
    Column("concurrency", Integer),
    Column("pair_id", Text),
    Column("simulated", Integer, nullable=False),
    Column("unit", String(20), nullable=False),
    Column("direction", String(10), nullable=False),
    Column("n", Integer, nullable=False),
    *(Column(name, Float) for name in ("effective_n", "mean", "std", "p50", "p90", "p95", "p99")),
    *(Column(name, Float) for name in ("ci_low", "ci_high")),
    Column("ci_method", Text),
    Column("failed", Integer),
    Column("error_rate", Float),
    Column("cut", Integer),
    Column("target_prompt_tokens", Integer),
    Column("stage", Text),
    Column("time_scale", Float),
)


def _first(on: Connection) -> None:
    _META.create_all(on, tables=[RUN, FIGURE])


def _lengths(on: Connection) -> None:
    """Prompts of a set length."""
    _add(on, "target_prompt_tokens", "INTEGER")


def _stages(on: Connection) -> None:
    """Answers of a chain's stages apart."""
    _add(on, "stage", "TEXT")


def _paces(on: Connection) -> None:
    """Simulated hosts by the pace of their clocks."""
    _add(on, "time_scale", "FLOAT")


def _add(on: Connection, column: str, kind: str) -> None:
    """A history that is made now has it already."""
    if column not in {one["name"] for one in inspect(on).get_columns(FIGURE.name)}:
        on.execute(text(f"ALTER TABLE {FIGURE.name} ADD COLUMN {column} {kind}"))


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_first, _lengths, _stages, _paces)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which figures; None: all. `since`: ISO 8601, UTC."""

    host: str | None = None
    model: str | None = None
    since: str | None = None


class History:
    """The history at one address. Raises InputError where it cannot be read, OutputError where written."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self.name = _name(url)
        with self._reaching(InputError):
            self._migrate()

    def knows(self, run_id: str) -> bool:
        with self._reaching(InputError), self.engine.connect() as on:
            return (
                on.execute(select(RUN.c.run_id).where(RUN.c.run_id == _fits(RUN.c.run_id, run_id))).first()
                is not None
            )

    def file(
        self, run_id: str, head: Mapping[str, Any], figures: Sequence[Mapping[str, Any]], source: str = "run"
    ) -> bool:
        """Keep a run's figures (the rows of summary.csv). False: it was filed before, and stays as it was."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        run = {
            "run_id": run_id,
            "filed_at": now,
            "ended_at": _utc(head.get("ended_at") or head.get("timestamp")) or now,
            "name": head.get("name"),
            "source": source,
            "state": head.get("state"),
            "total": head.get("total_tasks"),
            "successful": head.get("successful"),
            "failed": head.get("failed"),
            "seconds": head.get("total_time_seconds"),
            "head": json.dumps(head, default=str),
        }
        run = {column.name: _fits(column, run.get(column.name)) for column in RUN.columns}
        rows = [_figure(run_id, figure) for figure in figures]
        try:
            with self._reaching(OutputError), self.engine.begin() as on:
                on.execute(RUN.insert(), run)
                if rows:
                    on.execute(FIGURE.insert(), rows)
        except IntegrityError:
            return False
        return True

    def runs(self, wanted: Filter | None = None) -> list[dict[str, Any]]:
        """Filed runs with a figure that is wanted, newest first."""
        wanted = wanted or Filter()
        query = select(RUN).order_by(RUN.c.ended_at.desc(), RUN.c.run_id)
        if wanted.since:
            query = query.where(RUN.c.ended_at >= wanted.since)
        if wanted.host or wanted.model:
            query = query.where(RUN.c.run_id.in_(_narrow(select(FIGURE.c.run_id), wanted)))
        return self._rows(query)

    def figures(self, wanted: Filter | None = None, metrics: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Filed figures with their run's `name` and `ended_at`, newest run first."""
        wanted = wanted or Filter()
        query = _narrow(select(FIGURE, RUN.c.ended_at, RUN.c.name).join(RUN), wanted)
        if wanted.since:
            query = query.where(RUN.c.ended_at >= wanted.since)
        if metrics:
            query = query.where(FIGURE.c.metric.in_(metrics))
        order = (RUN.c.ended_at.desc(), FIGURE.c.run_id, FIGURE.c.cell, FIGURE.c.metric, FIGURE.c.apart)
        return self._rows(query.order_by(*order))

    def close(self) -> None:
        self.engine.dispose()

    def _rows(self, query: Any) -> list[dict[str, Any]]:
        with self._reaching(InputError), self.engine.connect() as on:
            return [dict(row._mapping) for row in on.execute(query)]

    def _migrate(self) -> None:
        """Whoever comes first makes the tables; in SQLite the transaction keeps others out meanwhile, in
        PostgreSQL a lock."""
        with self.engine.begin() as on:
            if on.dialect.name == "postgresql":
                on.execute(select(func.pg_advisory_xact_lock(TURN)))
            made = inspect(on).has_table(VERSION.name)
            version = (on.execute(select(func.max(VERSION.c.version))).scalar() if made else 0) or 0
            if version > len(MIGRATIONS):
                raise InputError(
                    f"{self.name} was written by a newer llmq (schema {version}, this one knows "
                    f"{len(MIGRATIONS)}): upgrade llmq, or name another one in LLMQ_HISTORY_URL"
                )
            if version == len(MIGRATIONS):
                return
            if not made:
                VERSION.create(on)
            for migrate in MIGRATIONS[version:]:
                migrate(on)
            on.execute(VERSION.delete())
            on.execute(VERSION.insert(), {"version": len(MIGRATIONS)})

    @contextmanager
    def _reaching(self, failure: type[InputError | OutputError]) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            doing = "written" if failure is OutputError else "read"
            raise failure(f"the history {self.name} cannot be {doing}: {_line(error)}") from None


@contextmanager
def history(settings: Settings) -> Iterator[History]:
    """The user's history: LLMQ_HISTORY_URL, else a file in the data folder."""
    url = settings.history_url
    if not url:
        try:
            settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"the history cannot be kept in {settings.home}: {error.strerror}") from None
        url = f"sqlite:///{settings.home / FILE}"
    opened = History(url)
    try:
        yield opened
    finally:
        opened.close()


def _engine(url: str) -> Engine:
    try:
        sqlite = make_url(url).get_backend_name() == "sqlite"
        engine = create_engine(url, connect_args={"timeout": WAIT_S} if sqlite else {})
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError) as error:
        # The address may hold a password: only what is wrong with it is said.
        said = str(error) if isinstance(error, NoSuchModuleError | ModuleNotFoundError) else "not an address"
        raise ConfigError(
            f"LLMQ_HISTORY_URL: {said}; expected one that SQLAlchemy takes, as sqlite:////home/me/history.sqlite"
        ) from None
    if sqlite:
        _lock_whole_transactions(engine)
    return engine


def _lock_whole_transactions(engine: Engine) -> None:
    """SQLite alone: a transaction waits for its turn at its start. One that turns from reading to writing
    half-way fails at once if another was faster, whatever the timeout; Python begins none for DDL."""

    @event.listens_for(engine, "connect")
    def _(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # Python begins nothing by itself
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _(on: Connection) -> None:
        on.exec_driver_sql("BEGIN IMMEDIATE")


def _name(url: str) -> str:
    """As it may be shown: without its password."""
    made = make_url(url)
    sqlite = made.get_backend_name() == "sqlite"
    return made.database or "in memory" if sqlite else made.render_as_string(hide_password=True)


def _figure(run_id: str, figure: Mapping[str, Any]) -> dict[str, Any]:
    cell = [figure["host"], figure["model"], figure["concurrency"], figure["pair_id"], figure["simulated"]]
    cell += [own for name in ("target_prompt_tokens", "stage", "time_scale") if (own := figure.get(name))]
    row = {column.name: _fits(column, figure.get(column.name)) for column in FIGURE.columns}
    return row | {
        "run_id": _fits(FIGURE.c.run_id, run_id),
        "cell": _key(json.dumps(cell)),
        "apart": _fits(FIGURE.c.apart, figure["apart"] or ""),
        "simulated": int(figure["simulated"]),
    }


def _key(text: str, most: int = 200) -> str:
    """At most so many characters, and where there is room for a hash still of this text alone."""
    if len(text) <= most or most < 40:
        return text[:most]
    return f"{text[: most - 33]}#{sha256(text.encode('utf-8', 'backslashreplace')).hexdigest()[:32]}"


def _fits(column: Column[Any], value: Any) -> Any:
    """What every database takes for this column. What no UTF-8 can carry, of a name that was none, is spelled
    out, and so is NUL, which PostgreSQL takes in no text."""
    if isinstance(value, str):
        told = value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
        return _key(told, column.type.length or len(told)) if isinstance(column.type, String) else told
    if isinstance(column.type, Integer) and value is not None:
        return int(value) if abs(value) < MOST_INTEGER else None
    return value


def _line(error: DBAPIError) -> str:
    """What the database said, in a line."""
    return " ".join(str(error.orig).split())


def _narrow(query: Any, wanted: Filter) -> Any:
    for column, value in ((FIGURE.c.host, wanted.host), (FIGURE.c.model, wanted.model)):
        query = query.where(column == value) if value else query
    return query


def _utc(text: Any) -> str | None:
    """In UTC and one form, so that it sorts."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="seconds")
    except (TypeError, ValueError):
        return None
