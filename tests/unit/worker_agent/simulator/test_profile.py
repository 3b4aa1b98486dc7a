"""Simulator profiles: what a person may write, and what she is told when it is wrong."""

from pathlib import Path

import pytest

from worker_agent.errors import ConfigError
from worker_agent.simulator.profile import load_profile, make_profile, profile_names


def test_every_built_in_profile_loads_under_its_own_name() -> None:
    """A profile is found by the name of its file; the ones the documents name are there."""
    names = profile_names()
    assert {load_profile(name).name for name in names} == set(names)
    assert {"laptop", "mac-studio", "gpu-box", "pi", "demo-laptop", "demo-studio", "demo-gpu"} <= set(names)


def test_a_file_of_ones_own_is_read_by_its_path(tmp_path: Path) -> None:
    """`--profile ./mine.toml` works, and the name is the file's."""
    file = tmp_path / "mine.toml"
    file.write_text('wire = "openai"\nmodels = ["m"]\nservice_s = 0.5\n')
    profile = load_profile(str(file))
    assert (profile.name, profile.models, profile.service_s) == ("mine", ("m",), 0.5)


def test_the_example_file_is_valid() -> None:
    """The commented example in configs/ can be used as it stands."""
    assert load_profile("configs/profiles/example.toml").decode_tps == 60


def test_an_unknown_name_lists_the_known_ones() -> None:
    """A typing error is answered with the names to choose from."""
    with pytest.raises(ConfigError, match=r"'laptob'.*laptop"):
        load_profile("laptob")


def test_all_faults_of_a_file_are_told_at_once() -> None:
    """Nobody has to correct a file one line at a time."""
    with pytest.raises(ConfigError) as caught:
        make_profile({"name": "x", "wire": "telnet", "models": [], "slots": 0, "pace": 1})
    for words in (
        "wire: expected 'ollama', 'lm_studio' or 'openai', got 'telnet'",
        "models: expected at least 1 of them, got none",
        "slots: expected more than 0, got 0",
        "unknown key 'pace'",
    ):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ({}, "ttft_s or prefill_tps"),
        ({"ttft_s": 1, "prefill_tps": 10, "decode_tps": 5}, "ttft_s or prefill_tps"),
        ({"ttft_s": 1}, "decode_tps is missing"),
        ({"service_s": 1, "decode_tps": 5}, "service_s stands alone"),
    ],
)
def test_times_that_contradict_each_other_are_refused(times: dict[str, float], told: str) -> None:
    """There is one way to say how fast: rates, or a fixed time."""
    with pytest.raises(ConfigError, match=told):
        make_profile({"name": "x", "wire": "openai", "models": ["m"]} | times)


def test_a_broken_file_is_a_config_error(tmp_path: Path) -> None:
    """Not a traceback of the TOML parser."""
    file = tmp_path / "broken.toml"
    file.write_text("wire = ")
    with pytest.raises(ConfigError, match=r"broken\.toml"):
        load_profile(str(file))
