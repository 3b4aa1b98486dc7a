"""A room of machines on loopback: real commands in real processes over a real Redis."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis

from tasks.connection import Client
from tasks.ledger import keys

LLMQ = str(Path(sys.executable).with_name("llmq"))
CELERY = [sys.executable, "-m", "celery", "-A", "tasks"]
WORKER = [*CELERY, "worker", "--loglevel", "INFO"]


def wait_until(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """What `condition` gives as soon as it is true; fails after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    pytest.fail(f"not within {timeout_s} s: {what}")


@dataclass
class Simulator:
    """A simulated engine in a process of its own."""

    child: "subprocess.Popen[bytes]"
    wire: str
    url: str

    def calls(self) -> dict[str, Any]:
        """Requests as the engine itself counted them."""
        with urllib.request.urlopen(f"{self.url}/simulator/calls", timeout=5) as page:
            return dict(json.load(page))

    def fault(self, mode: str, count: int = 0, rate: float = 1.0) -> None:
        body = json.dumps({"mode": mode, "count": count, "rate": rate}).encode()
        urllib.request.urlopen(f"{self.url}/simulator/fault", data=body, timeout=5).close()

    def log(self) -> dict[str, dict[str, Any]]:
        """By the client's id of a request: when it was served, as the engine itself saw it."""
        with urllib.request.urlopen(f"{self.url}/simulator/log", timeout=5) as page:
            return {call["tag"]: call for call in json.load(page)}

    @contextmanager
    def still(self) -> Iterator[None]:
        """Not a word from it in the block, so that what is at work stays so however slow the commands are."""
        self.child.send_signal(signal.SIGSTOP)
        yield
        self.child.send_signal(signal.SIGCONT)


@contextmanager
def all_still(sims: Iterable[Simulator]) -> Iterator[None]:
    with ExitStack() as stack:
        for sim in sims:
            stack.enter_context(sim.still())
        yield


@dataclass
class Room:
    """Starts things and ends them; `environ` is what every process of it sees."""

    folder: Path
    environ: dict[str, str]
    children: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def start(self, *command: str, log: str, **environ: str) -> "subprocess.Popen[bytes]":
        with (self.folder / log).open("ab") as out:
            child = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environ | environ,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.children.append(child)
        return child

    def llmq(self, *args: str, timeout_s: float = 120, **environ: str) -> "subprocess.CompletedProcess[str]":
        """One command, to its end."""
        return subprocess.run(
            [LLMQ, *args],
            cwd=self.folder,
            env=self.environ | environ,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    def simulator(self, name: str, wire: str, *, port: int = 0, **profile: Any) -> Simulator:
        file = self.folder / f"{name}.profile.toml"
        fields = {"wire": wire, "models": ["sim-8b"], "service_s": 0.2, "prefix_cache": False, **profile}
        file.write_text(
            "\n".join(f"{key} = {json.dumps(value)}" for key, value in fields.items() if value is not None)
        )
        log = f"{name}.log"
        command = [LLMQ, "simulate", "--profile", str(file), "--seed", "1", "--port", str(port)]
        child = self.start(*command, log=log)
        said = wait_until(lambda: " at http" in self.said(log) and self.said(log), 20, f"{name} serves")
        return Simulator(child, wire, said.strip().rsplit(" ", 1)[1])

    def fleet(self, hosts: dict[str, Simulator | str], **fields: Any) -> Path:
        """A fleet file; a host that is a str is an address where nothing answers."""
        rows = []
        for host_id, engine in hosts.items():
            url, kind = (engine, "openai") if isinstance(engine, str) else (engine.url, engine.wire)
            row = {"id": host_id, "engine": kind, "url": url, **fields.get(host_id, {})}
            rows.append("\n".join(["[[host]]", *(f"{k} = {json.dumps(v)}" for k, v in row.items())]))
        path = self.folder / "fleet.toml"
        path.write_text("\n".join(rows))
        return path

    def worker(self, host_id: str, **environ: str) -> "subprocess.Popen[bytes]":
        """`celery -A tasks worker` for one host of the fleet file, up and consuming."""
        return self.up(*WORKER, log=f"worker-{host_id}.log", **self.serving(host_id), **environ)

    def serving(self, host_id: str) -> dict[str, str]:
        """What tells a worker which host of the fleet file it serves."""
        return {"LLMQ_FLEET": str(self.folder / "fleet.toml"), "LLMQ_HOST": host_id}

    def up(self, *command: str, log: str, **environ: str) -> "subprocess.Popen[bytes]":
        """A worker, whichever door it comes through, up and consuming."""
        before = self.said(log).count(" ready.")
        child = self.start(*command, log=log, **environ)

        def ready() -> bool:
            assert child.poll() is None, self.said(log)
            return self.said(log).count(" ready.") > before

        wait_until(ready, 40, f"the worker of {log} is ready")
        return child

    def redis(self) -> Client:
        """A client of the room's Redis; answers are str."""
        return redis.Redis.from_url(self.environ["LLMQ_REDIS_URL"], decode_responses=True)

    def record(self, host_id: str) -> dict[str, Any]:
        """What the live worker of a host says of it, or nothing."""
        return dict(json.loads(self.redis().get(keys.host(host_id)) or "{}"))

    def said(self, log: str) -> str:
        path = self.folder / log
        return path.read_text(errors="replace") if path.exists() else ""

    def papers(self, count: int, words: int = 60) -> Path:
        """Texts whose words tell the paper they stand in; `words` sentences each."""
        folder = self.folder / "papers"
        folder.mkdir(exist_ok=True)
        for n in range(count):
            text = f"Paper {n}. " + " ".join(f"Word{n}x{w} is one of many." for w in range(words))
            (folder / f"paper-{n:03}.txt").write_text(text)
        return folder

    def status(self, run: str = "latest") -> dict[str, Any]:
        answer = self.llmq("status", run, "--json")
        assert answer.returncode == 0, answer.stderr
        return dict(json.loads(answer.stdout))

    def results(self, run: str = "latest") -> list[dict[str, Any]]:
        answer = self.llmq("results", run, "--json")
        assert answer.returncode == 0, answer.stderr
        return list(json.loads(answer.stdout)["results"])

    def close(self) -> None:
        for child in self.children:
            if child.poll() is None:
                child.send_signal(signal.SIGCONT)
                child.kill()
        for child in self.children:
            child.wait()
