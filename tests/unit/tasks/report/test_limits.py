"""What a person calls good enough, and what is said where it is none."""

import pytest

from tasks.errors import InputError
from tasks.report.limits import read_limits


def test_limits_have_the_unit_of_their_metric() -> None:
    """Seconds or milliseconds, whatever the metric is kept in."""
    assert read_limits(["ttft=0.5s,e2e=10s", "itl=40ms"]) == {
        "ttft_ms": 500.0, "e2e_latency_s": 10.0, "itl_ms": 40.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rubbish", "expected METRIC=TIME, as in ttft=500ms,e2e=10s"),
        ("ttft", "expected METRIC=TIME"),
        ("ttft=", "expected METRIC=TIME"),
        ("ttft=soon", "expected METRIC=TIME"),
        ("ttft=-5ms", "expected METRIC=TIME"),
        ("ttft=nan", "expected METRIC=TIME"),
        ("ttft=5min", "expected METRIC=TIME"),
        ("", "expected METRIC=TIME"),
        ("ttft=1..2s", "'1..2' is no number"),
        ("ttft=0", "name a limit above 0"),
        ("tps=5", "only times have a limit: ttft_ms, "),
        ("tfft=5s", "unknown metric 'tfft'; did you mean 'ttft'?"),
    ],
)
def test_what_is_no_limit_is_refused(text: str, told: str) -> None:
    """With what was written and what is expected."""
    with pytest.raises(InputError) as error:
        read_limits([text])
    assert told in str(error.value)
    assert repr(text) in str(error.value) or "tfft" in text
