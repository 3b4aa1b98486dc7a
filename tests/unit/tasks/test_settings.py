"""Settings: who wins, what is refused, where things lie."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from tasks.settings import Settings, find_fleet, read_settings
from worker_agent.errors import ConfigError


@pytest.fixture
def places(tmp_path):
    """A working folder and a user's configuration folder, both without an llmq.toml."""
    work, user = tmp_path / "work", tmp_path / "config" / "llmq"
    work.mkdir()
    user.mkdir(parents=True)
    return work, user


def read(places, environ=None, **flags):
    work, user = places
    return read_settings(flags, environ={"XDG_CONFIG_HOME": str(user.parent), **(environ or {})}, folder=work)


def test_a_flag_wins_over_the_environment_over_both_files_over_the_default(places):
    """Each source is only asked where those before it are silent."""
    work, user = places
    assert read(places).max_retries == 3
    (user / "llmq.toml").write_text("max_retries = 4\nlease_s = 14\n")
    (work / "llmq.toml").write_text("max_retries = 5\n")
    assert (read(places).max_retries, read(places).lease_s) == (5, 14.0)
    assert read(places, {"LLMQ_MAX_RETRIES": "6"}).max_retries == 6
    assert read(places, {"LLMQ_MAX_RETRIES": "6"}, max_retries=7).max_retries == 7
    assert read(places, {"LLMQ_MAX_RETRIES": ""}, max_retries=None).max_retries == 5


def test_every_setting_is_read_from_its_variable_and_its_key(places):
    """No field can be left behind: each has an `LLMQ_*` and a key of the same name."""
    texts = {field.name: "70" for field in fields(Settings)}
    texts |= {"redis_url": "redis://x", "log_level": "debug", "home": "/data", "fleet": "/f.toml"}
    texts |= {"history_url": "sqlite:///x"}
    from_environ = read(places, {f"LLMQ_{key.upper()}": text for key, text in texts.items()})
    texts.pop("home")  # where things lie is not a matter of a file that lies there
    lines = [f"{k} = {v if v == '70' and k != 'host' else repr(v)}" for k, v in texts.items()]
    (places[0] / "llmq.toml").write_text("\n".join(lines))
    assert read(places, {"LLMQ_HOME": "/data"}) == from_environ
    assert from_environ == Settings(
        home=Path("/data"), redis_url="redis://x", fleet=Path("/f.toml"), host="70", health_check_interval=70,
        max_retries=70, request_timeout=70, result_ttl_days=70, lease_s=70, log_level="DEBUG",
        history_url="sqlite:///x",
    )  # fmt: skip


def test_all_faults_are_told_at_once_with_file_and_key(places):
    """A wrong key is never ignored, and a person repairs everything in one go."""
    work, user = places
    (user / "llmq.toml").write_text("redis_ulr = 'redis://x'\n")
    (work / "llmq.toml").write_text("max_retries = 'many'\nlease_s = 0\nhost = 3\nlog_level = 'loud'\n")
    with pytest.raises(ConfigError) as caught:
        read(places, {"LLMQ_REQUEST_TIMEOUT": "soon", "LLMQ_REDIS_URL": "http://:sesame@x"})
    told = str(caught.value)
    assert f"{user / 'llmq.toml'}: unknown key 'redis_ulr'; did you mean 'redis_url'?" in told
    assert f"{work / 'llmq.toml'}: max_retries: expected a whole number, got 'many'" in told
    assert "lease_s: expected a number above 0, got 0" in told
    assert "host: expected a text, got 3" in told
    assert "log_level: expected one of DEBUG" in told
    assert "LLMQ_REQUEST_TIMEOUT: expected a number, got 'soon'" in told
    assert "LLMQ_REDIS_URL: expected redis://" in told
    assert "sesame" not in told


@pytest.mark.parametrize(
    "line",
    ["max_retries = true", "max_retries = 1.5", "max_retries = -1", "lease_s = nan", "lease_s = inf", "x ="],
)
def test_a_value_of_the_wrong_kind_is_refused(places, line):
    """TOML's other kinds of number do not slip through, and broken TOML is a fault like the others."""
    (places[0] / "llmq.toml").write_text(line)
    with pytest.raises(ConfigError, match=r"llmq\.toml"):
        read(places)


def test_the_fleet_is_found_in_the_order_of_the_documents(places):
    """--fleet, LLMQ_FLEET, llmq.toml (beside which its path starts), ./fleet.toml, ./workers.json, none."""
    work, _ = places

    def found(environ=None, flag=None):
        return find_fleet(read(places, environ), flag, work)

    assert found() is None
    (work / "workers.json").touch()
    assert found() == work / "workers.json"
    (work / "fleet.toml").touch()
    assert found() == work / "fleet.toml"
    (work / "llmq.toml").write_text("fleet = 'lab.toml'")
    assert found() == work / "lab.toml"
    assert found({"LLMQ_FLEET": "env.toml"}) == work / "env.toml"
    assert found({"LLMQ_FLEET": "env.toml"}, Path("flag.toml")) == Path("flag.toml")


def test_a_password_in_the_address_is_not_shown():
    """Settings may be logged."""
    shown = repr(Settings(home=Path(), redis_url="redis://:sesame@x", history_url="postgresql://me:sesame@x"))
    assert "sesame" not in shown


def test_reading_settings_imports_nothing_heavy():
    """`llmq --help` reads settings on a Raspberry Pi: no pydantic, redis or Celery for that."""
    code = "import sys, tasks.settings as s; s.read_settings(); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "tasks.settings" in loaded
    assert not {"pydantic", "redis", "celery", "requests"} & set(loaded)
