"""How a run goes, for people: one live line on a terminal, plain lines elsewhere. Always on stderr."""

import sys
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from cli.screen import echo, plain

if TYPE_CHECKING:
    from tasks.follow import View

PLAIN_EVERY_S = 10.0


def duration(seconds: float) -> str:
    """`8 s`, `3 min`, `2 h 5 min`"""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def describe(view: "View") -> str:
    """A view in one line, without counts of items done."""
    parts = []
    if view.status.state == "submitting":
        parts.append("still reading papers")
    elif view.status.state == "incomplete":
        parts.append("its submission broke off: give the same command again")
    elif view.eta_s is not None and not view.status.ended and not view.waiting_for():
        parts.append(f"about {duration(view.eta_s)} left")
    parts += [f"waiting for {taker_of(queue)}" for queue in view.waiting_for()]
    parts += [f"{host.id} is down" for host in view.hosts if host.trouble]
    parts += [f"{host.id} is paused" for host in view.hosts if host.drained]
    if view.rates:
        parts.append(_rates(view.rates))
    return " · ".join(parts)


def taker_of(queue: str) -> str:
    """Who takes the work in a queue, as people say it."""
    asked = asked_of(queue)
    return asked if asked.startswith("host ") else f"a host that serves {asked}"


def asked_of(queue: str) -> str:
    """What the work in a queue asks for: a model, any, or a host."""
    if queue.startswith("llmq.host."):
        return f"host {queue.removeprefix('llmq.host.')}"
    return "any model" if queue == "llmq.any" else queue.removeprefix("llmq.model.")


def _rates(rates: "Mapping[str, float]") -> str:
    """The fastest hosts first, all in one unit."""
    fastest = sorted(rates.items(), key=lambda pair: -pair[1])[:6]
    if fastest[-1][1] >= 1:
        return ", ".join(f"{host} {rate:.1f}/s" for host, rate in fastest)
    return ", ".join(f"{host} {rate * 60:.0f}/min" for host, rate in fastest)


def counts(view: "View") -> str:
    """`120/500 items, 2 failed`"""
    status = view.status
    failed = f", {status.failed} failed" if status.failed else ""
    return f"{status.finished}/{status.total} items{failed}"


class Progress:
    """Shows views and notes; a context manager, so that the terminal is left as it was."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._task: Any = None
        self._next_line = 0.0
        self._said: set[str] = set()
        self.says: Callable[[View], str] = describe

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not self._quiet and find_spec("rich"):
            self._bar = _bar()
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Leave the last picture as it is; what is said from now on stands below it."""
        bar, self._bar = self._bar, None
        if bar:
            bar.stop()

    def note(self, text: str) -> None:
        """Something worth a line of its own, said once."""
        if text not in self._said:
            self._said.add(text)
            self.say(text)

    def say(self, text: str) -> None:
        """A line of its own, each time."""
        if self._bar:
            self._bar.console.print(plain(text), markup=False, highlight=False)
        elif not self._quiet:
            echo(text, err=True)

    def show(self, view: "View") -> None:
        if self._quiet:
            return
        rest = self.says(view)  # of each view, shown or not: a forecast learns from all of them
        if self._bar:
            self._draw(view, rest)
        elif view.status.total and (view.status.ended or time.monotonic() >= self._next_line):
            self._next_line = time.monotonic() + PLAIN_EVERY_S
            echo(f"{counts(view)}{' · ' if rest else ''}{rest}", err=True)

    def _draw(self, view: "View", rest: str) -> None:
        status = view.status
        if self._task is None:
            self._task = self._bar.add_task("", total=None, failed="", rest="")
        failed = f" [red]{status.failed} failed[/]" if status.failed else ""
        self._bar.update(
            self._task,
            total=status.total or None,
            completed=status.finished,
            failed=failed,
            rest=plain(rest),
        )


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    # On a narrow terminal the words at the end give way, not the counts.
    return Bar(
        BarColumn(bar_width=20, table_column=Column(min_width=10)),
        MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=11)),
        TextColumn("items{task.fields[failed]}", table_column=Column(no_wrap=True, min_width=5)),
        TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
        TextColumn(
            "{task.fields[rest]}",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
        ),
        console=Console(stderr=True),
        expand=True,
    )
