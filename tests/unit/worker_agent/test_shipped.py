"""Files of configs/ by name."""

from pathlib import Path

import pytest

from worker_agent.shipped import OURS, files, find


def test_the_working_folders_own_go_before_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, and by a path below configs/; any other path is what it says, there or not."""
    monkeypatch.chdir(tmp_path)
    assert find("suites", "lengths") == OURS / "suites" / "lengths.toml"
    assert find("suites", "configs/suites/lengths.toml") == OURS / "suites" / "lengths.toml"
    assert find("suites", "nosuch") is None
    assert find("suites", "lengths.toml") == Path("lengths.toml")
    assert find("suites", "configs/suites/nosuch.toml") == Path("configs/suites/nosuch.toml")
    own = tmp_path / "configs" / "suites" / "lengths.toml"
    own.parent.mkdir(parents=True)
    own.touch()
    assert (
        find("suites", "lengths")
        == find("suites", "configs/suites/lengths.toml")
        == Path("configs/suites/lengths.toml")
    )
    assert [path.stem for path in files("suites")].count("lengths") == 2


def test_a_file_without_a_suffix_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it has the name of one of ours."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p2p").touch()
    assert find("suites", "p2p") == Path("p2p")
