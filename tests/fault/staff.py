"""The workers of a room, one per host, and what can happen to them."""

import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from tests.e2e.room import WORKER, Room, wait_until

START_S = 60.0
NO_REDIS = 3  # the exit code of a worker that was started while Redis was away


@dataclass
class Staff:
    """One `celery -A tasks worker` per host of `environs`: what each sees beside the room's environment.
    A worker that ended is started anew by `tend`, as by a supervisor, unless it is to stay `absent`."""

    room: Room
    environs: dict[str, dict[str, str]]
    workers: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)
    asleep: dict[str, float] = field(default_factory=dict)  # host -> when it wakes
    absent: set[str] = field(default_factory=set)
    faults: "Counter[str]" = field(default_factory=Counter)  # kill, freeze, stop: how often
    crashes: int = 0  # workers that ended though nobody told them to, and Redis was there
    _readied: dict[str, int] = field(default_factory=dict)  # how often its log said so, before this start
    _told: set[int] = field(default_factory=set)

    def start(self, *hosts: str) -> None:
        """Start these (or all) together, and wait until each consumes."""
        hosts = hosts or tuple(self.environs)
        for host in hosts:
            self._begin(host)
        wait_until(lambda: all(map(self.ready, hosts)), START_S, "all workers are ready")

    def ready(self, host: str) -> bool:
        """It runs, is awake, and has begun to consume."""
        if host in self.asleep or self.workers[host].poll() is not None:
            return False
        return self._said_ready(host) > self._readied[host]

    def pick(self, dice: Random) -> str | None:
        """Some worker that is ready."""
        ready = [host for host in sorted(self.workers) if self.ready(host)]
        return dice.choice(ready) if ready else None

    def kill(self, host: str, *, for_good: bool = False) -> None:
        """SIGKILL, as when a process or machine dies."""
        self._end(host, signal.SIGKILL, "kill")
        self.workers[host].wait(10)
        if for_good:
            self.absent.add(host)

    def stop(self, host: str) -> None:
        """SIGTERM: it drains and leaves."""
        self._end(host, signal.SIGTERM, "stop")

    def freeze(self, host: str, for_s: float) -> None:
        """SIGSTOP, as when a laptop sleeps; `tend` wakes it."""
        self.workers[host].send_signal(signal.SIGSTOP)
        self.asleep[host] = time.monotonic() + for_s
        self.faults["freeze"] += 1

    def wake(self, host: str) -> None:
        self.workers[host].send_signal(signal.SIGCONT)
        del self.asleep[host]

    def tend(self) -> None:
        """Wake who has slept enough, start anew who is gone."""
        for host in [host for host, at in self.asleep.items() if time.monotonic() >= at]:
            self.wake(host)
        for host, worker in self.workers.items():
            if worker.poll() is not None and host not in self.absent:
                if worker.pid not in self._told and worker.returncode != NO_REDIS:
                    self._crashed(host, worker.returncode)
                self._begin(host)

    def _crashed(self, host: str, code: int) -> None:
        self.crashes += 1
        words = self.room.said(f"worker-{host}.log").splitlines()[-25:]
        print(f"{host} ended by itself with {code}:", *words, sep="\n  ", file=sys.stderr, flush=True)

    def pids(self) -> set[int]:
        return {worker.pid for worker in self.workers.values()}

    def _end(self, host: str, how: signal.Signals, name: str) -> None:
        worker = self.workers[host]
        self._told.add(worker.pid)
        worker.send_signal(how)
        self.faults[name] += 1

    def _begin(self, host: str) -> None:
        self._readied[host] = self._said_ready(host)
        environ = self.room.serving(host) | self.environs[host]
        self.workers[host] = self.room.start(*WORKER, log=f"worker-{host}.log", **environ)

    def _said_ready(self, host: str) -> int:
        return self.room.said(f"worker-{host}.log").count(" ready.")
