"""The simulator's faults over HTTP, as a client meets them."""

import pytest
import requests

from tests.integration.simulated import CHAT, ask, calls, profile, stream, text_of, wait_for
from worker_agent.simulator.server import running

SILENT_S = 1.0  # long enough for a busy machine to hand out the first half of an answer


@pytest.mark.parametrize(("mode", "status", "kind"), [("500", 500, "json"), ("html", 200, "html")])
def test_faults_that_answer_at_once(mode: str, status: int, kind: str) -> None:
    """For as many requests as asked, then all is well again."""
    with running(profile()) as url:
        requests.post(url + "/simulator/fault", json={"mode": mode, "count": 2}, timeout=5)
        replies = [requests.post(url + CHAT, json=ask(), timeout=5) for _ in range(3)]
        assert calls(url)["refused"] == 2
    assert [reply.status_code for reply in replies] == [status, status, 200]
    assert kind in replies[0].headers["Content-Type"]


def test_fault_empty_ends_in_good_order_without_text() -> None:
    """Finish reason, usage, end mark: only the words are missing."""
    with running(profile(fault="empty")) as url:
        events, ended = stream(url, ask())
    assert ended
    assert text_of(events) == ""
    assert events[-1]["usage"]["completion_tokens"] == 0


def test_fault_drop_breaks_the_stream() -> None:
    """Some text, then a connection that ends without the end of its chunks."""
    with running(profile(fault="drop", fault_count=1)) as url:
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            stream(url, ask())
        assert calls(url)["failed"] == 1
        assert stream(url, ask())[1]


@pytest.mark.parametrize(
    ("mode", "seen"),
    [("hang", requests.exceptions.ReadTimeout), ("stall", requests.exceptions.ConnectionError)],
)
def test_faults_that_fall_silent(mode: str, seen: type[Exception]) -> None:
    """`hang` sends not even headers, `stall` stops half-way; the slot is free once the client leaves."""

    def read_all(url: str) -> None:
        with requests.post(url + CHAT, json=ask(), stream=True, timeout=SILENT_S) as reply:
            list(reply.iter_lines())

    with running(profile(fault=mode, fault_count=1)) as url:
        with pytest.raises(seen):
            read_all(url)
        wait_for(lambda: calls(url)["cancelled"] == 1)
        assert stream(url, ask())[1]


def test_an_unknown_fault_is_400() -> None:
    """With the list of those there are."""
    with running(profile()) as url:
        reply = requests.post(url + "/simulator/fault", json={"mode": "explode"}, timeout=5)
    assert reply.status_code == 400
    assert "stall" in reply.text
