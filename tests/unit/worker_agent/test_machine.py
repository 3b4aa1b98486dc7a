"""Which machine this is, and which of its processes live."""

import os
import re
import subprocess
import sys

from worker_agent import machine


def test_a_process_lives_until_it_ended_even_if_nobody_asked_how():
    """A running process is alive, a finished one is not, be it a zombie or collected."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert machine.process_alive(child.pid)
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and still in the table
    if sys.platform == "linux":
        assert not machine.process_alive(child.pid)
    child.wait()
    assert not machine.process_alive(child.pid)
    assert machine.process_alive(1)


def test_another_process_of_this_machine_names_it_alike():
    """Two workers on one machine can tell that their process numbers are comparable."""
    code = "from worker_agent.machine import *; print(machine_id(), suffix())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.split() == [machine.machine_id(), machine.suffix()]


def test_a_reboot_or_another_container_is_another_machine(monkeypatch):
    """There the same process number belongs to somebody else."""
    before = machine.machine_id()
    machine.machine_id.cache_clear()
    monkeypatch.setattr(machine, "_boot", lambda: "later")
    assert machine.machine_id() != before
    machine.machine_id.cache_clear()


def test_names_fit_a_host_id(monkeypatch):
    """Whatever a machine is called, its name can stand in a queue and a node name."""
    monkeypatch.setattr(machine.platform, "node", lambda: "Ada's MacBook Pro.local")
    assert machine.hostname() == "Ada-s-MacBook-Pro"
    monkeypatch.setattr(machine.platform, "node", lambda: "")
    assert machine.hostname() == "machine"
    assert re.fullmatch("[0-9a-f]{4}", machine.suffix())
