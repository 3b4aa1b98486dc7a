"""What happened: when each host was at work, what failed and why."""

from collections.abc import Iterator

from tasks.report.account import FILES, Account, Seen
from tasks.report.html import strips
from tasks.report.html.axis import Axis, fit
from tasks.report.html.fold import listed
from tasks.report.html.markup import Markup, tag
from tasks.report.html.tables import folded
from tasks.report.lanes import DRAWN, Timeline
from tasks.report.remarks import counted
from tasks.report.told import Told
from tasks.report.wording import NONE, moment, share

TYPES = 200  # rows of the table of failures
BY = "how busy they were"
LEGEND = (("ok", "answered"), ("cut", "cut at --max-tokens"), ("bad", "failed, at its end"))


def over_time(told: Told) -> Iterator[Markup]:
    """The timeline and the utilisation of each host."""
    line = told.timeline
    if line is None:
        yield tag("p", "No row says when it was at work: there is no timeline.", class_="empty")
        return
    axis = _clock(line)
    busiest = sorted(line.tracks, key=lambda track: -track.utilisation)
    keys = [tag("span", tag("i", class_=f"key {name}"), said) for name, said in LEGEND]
    yield tag("p", *keys, class_="legend")
    yield strips.chart(
        "Every request" if line.every == 1 else "A sample of the requests",
        f"One bar a request, from sent to its end, in as many lanes as were at work at a time. "
        f"Time since {moment(line.start_s)}.",
        [strips.lane_strip(track) for track in line.tracks],
        axis,
        list(_what_is_drawn(line, told.account)),
        by=BY,
        ordered=[strips.lane_strip(track) for track in busiest],
    )
    yield strips.chart(
        "How busy each host was",
        "The share of its slots at work, over the same time; full height is all of them, or as many as a "
        "benchmark asked at a time where that is more.",
        [strips.busy_strip(track) for track in line.tracks],
        axis,
        by=BY,
        ordered=[strips.busy_strip(track) for track in busiest],
    )


def failures(told: Told) -> Iterator[Markup]:
    """Items that failed by reason, and attempts that failed by host."""
    account = told.account
    if not account.failed and not account.tries:
        yield tag("p", "Nothing failed." if told.ended else "Nothing has failed so far.", class_="empty")
        return
    if account.failed:
        reasons = sorted(account.reasons.items(), key=lambda one: -one[1].count)
        rows = [
            (
                tag("code", kind),
                f"{reason.count:,}",
                message or NONE,
                listed(counted(reason.hosts).split(", ")),
                _files(list(reason.files)),
            )
            for (kind, message), reason in reasons[:TYPES]
        ]
        left = len(reasons) - len(rows)
        yield folded(
            f"{account.failed:,} of {account.total:,} items failed; none of them is in any figure"
            + (f" ({left} rarer reasons are left out here)" if left else ""),
            ("type", "#items", "what was said", "where", "files"),
            rows,
            "failures",
        )
    if account.tries:
        yield folded(
            f"{account.tries:,} attempts failed on a host, also those after which another try was answered",
            ("host", "#failed", "#of its tries", "by type"),
            [_tries(name, seen) for name, seen in sorted(account.hosts.items()) if seen.tries],
            "tries",
        )


def _tries(name: str, seen: Seen) -> tuple[str, str, str, str]:
    failed = seen.tries.total()
    return name, f"{failed:,}", share(failed, failed + seen.answered), counted(seen.tries)


def _files(files: list[str]) -> str:
    return ", ".join(files[:FILES]) + (" and more" if len(files) > FILES else "")


def _clock(line: Timeline) -> Axis:
    """Up to the last answer exactly, so that bars and ticks share their ends."""
    unit, scale = (
        ("s", 1.0) if line.length_s < 600 else ("min", 60.0) if line.length_s < 36000 else ("h", 3600.0)
    )
    length = line.length_s / scale
    ticks = tuple(tick for tick in fit([length], unit).ticks if tick <= length)
    return Axis(0.0, length, unit, ticks)


def _what_is_drawn(line: Timeline, account: Account) -> Iterator[str]:
    if line.every > 1:
        yield f"One of every {line.every} of {line.requests:,} requests is drawn: {DRAWN:,} at most."
    if account.untimed:
        yield (
            f"{account.untimed:,} requests are not drawn: nobody knows their times. "
            "A request that was never sent has no end in a file."
        )
    if account.reused:
        yield f"{account.reused:,} answers were there from before, and took no time here."
    if len(line.tracks) > 1:
        yield "Each by its own worker's clock, or by that of Redis where the two disagree."
