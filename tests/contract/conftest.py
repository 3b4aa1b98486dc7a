"""One scripted server and one adapter per engine; every test of the contract runs on each of them."""

from collections.abc import Iterator

import pytest

from tests.contract.bench import Bench
from tests.contract.engine_server import serving
from tests.contract.wires import WIRES


@pytest.fixture(params=sorted(WIRES))
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    wire = WIRES[request.param]
    with serving(wire.pages()) as server:
        yield Bench(wire, server, wire.engine(server.url, "secret-key"))
