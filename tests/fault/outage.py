"""Redis dies, and comes back as a machine does that lost power."""

import os
import time
from pathlib import Path

from tests.conftest import RedisServer


def kill_redis(server: RedisServer, *, lost_s: float = 0.0) -> int:
    """SIGKILL; what it wrote in the last `lost_s` seconds never reached the disk. Returns the bytes lost."""
    before = _tail(server)
    size_bytes = before.stat().st_size
    time.sleep(lost_s)
    server.kill()
    after = _tail(server)
    if not lost_s or after != before:  # rewritten meanwhile: all of it is younger than that
        return 0
    lost_bytes = after.stat().st_size - size_bytes
    os.truncate(after, size_bytes)
    return lost_bytes


def _tail(server: RedisServer) -> Path:
    """The file that Redis appends to: of Redis 7 the last increment, before that the only file."""
    parts = server.folder.glob("appendonlydir/*.incr.aof")
    numbered = sorted(parts, key=lambda path: int(path.name.split(".")[-3]))
    return numbered[-1] if numbered else server.folder / "appendonly.aof"
