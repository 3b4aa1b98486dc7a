"""The ledger that the tests here start with."""

import pytest

from tasks.connection import connect
from tasks.ledger.ledger import Ledger
from tasks.runs import Runs


@pytest.fixture
def ledger(redis_url: str) -> Ledger:
    """Of the empty Redis at `redis_url`; leases are short."""
    return Ledger(connect(redis_url), lease_s=0.4)


@pytest.fixture
def runs(ledger: Ledger) -> Runs:
    return Runs(ledger)
