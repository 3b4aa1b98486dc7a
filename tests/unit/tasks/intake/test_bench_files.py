"""Suites of benchmarks as files."""

from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.intake.bench_files import read_bench_suite
from worker_agent.config import Host, ModelName

ROOT = Path(__file__).parents[4]


def test_the_suites_that_come_with_llmq_can_be_read() -> None:
    """All but the matrices, which are another command's."""
    lengths = read_bench_suite("lengths")
    assert (lengths.lengths, lengths.concurrency) == ([100, 1000, 10000], [1, 10])
    assert [prompt.name for prompt in lengths.prompts] == ["len-100", "len-1000", "len-10000"]
    assert len({prompt.template for prompt in lengths.prompts}) == 3
    assert len(read_bench_suite("exo-lab").prompts) == 5
    assert read_bench_suite("engines").names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("concurrency = [1]", r"say what is asked: \[\[prompt\]\] tables, or lengths"),
        ('lengths = [100]\nprompt = [{ name = "a", template = "b" }]', "and not both"),
        ("lengths = [10]", "lengths 1: Input should be greater than or equal to 50"),
        ('lengths = [100]\n[names.m]\nolama = "m:1b"', "no engine is called olama; there is .*ollama"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    """With the file."""
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(InputError, match=rf"mine\.toml: .*{said}"):
        read_bench_suite(str(tmp_path / "mine.toml"))


def test_a_model_has_the_name_of_each_engine(tmp_path: Path) -> None:
    """A host's own configuration goes before the suite; where neither says anything, nothing changes."""
    (tmp_path / "mine.toml").write_text('lengths = [100]\n[names.m]\nollama = "m:1b"\nlm_studio = "m-1b"\n')
    hosts = (
        Host("a", "ollama", "http://a"),
        Host("b", "lm_studio", "http://b", (ModelName("other", "other"),)),
        Host("c", "ollama", "http://c", (ModelName("m", "m:latest"),)),
        Host("d", "vllm", "http://d"),
    )
    named = read_bench_suite(str(tmp_path / "mine.toml")).named(hosts)
    assert [[(name.fleet, name.local) for name in host.models] for host in named] == [
        [("m", "m:1b")],
        [("m", "m-1b"), ("other", "other")],
        [("m", "m:latest")],
        [],
    ]
