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
        ("lengths = [10]", "lengths 1: expected at least 50, got 10"),
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


ASKS = '[[prompt]]\nname = "x"\ntemplate = "Why?"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "say what is asked: [[prompt]] tables, or lengths"),
        ("models = [", "not TOML: "),
        ('modles = ["a"]\n' + ASKS, "unknown key 'modles'; did you mean 'models'?"),
        ('[[prompt]]\nnmae = "x"\ntemplate = "Why?"\n', "prompt 1: unknown key 'nmae'; did you mean 'name'?"),
        ('models = "a"\n' + ASKS, "models: expected a list, got 'a'"),
        ('requests = "many"\n' + ASKS, "requests: expected a whole number, got 'many'"),
        ("requests = 1.5\n" + ASKS, "requests: expected a whole number, got 1.5"),
        ("concurrency = [4, 0]\n" + ASKS, "concurrency 2: expected at least 1, got 0"),
        ("warmup = -1\n" + ASKS, "warmup: expected at least 0, got -1"),
        ('results = "exolab"\n' + ASKS, "results: expected 'exo-lab', got 'exolab'; did you mean 'exo-lab'?"),
        ("names = 3\n" + ASKS, "names: expected a table of keys, got 3"),
        ("[names.m]\nollama = 3\n" + ASKS, "names, m, ollama: expected a text, got 3"),
        ("prompt = 3\n", "prompt: expected a list, got 3"),
        ("prompt = [3]\n", "prompt 1: expected a table of keys, got 3"),
    ],
)
def test_a_mistake_is_told_with_file_and_key(tmp_path: Path, text: str, told: str) -> None:
    """In words of the file, with a near name where one is meant."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_bench_suite(str(path))
    assert str(error.value).startswith(f"{path}: ")
    assert told in str(error.value)


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    """Nobody has to correct a file one line at a time."""
    path = tmp_path / "mine.toml"
    path.write_text("modles = []\nrequests = 0\n" + ASKS)
    with pytest.raises(InputError, match=r"requests: .*; unknown key 'modles'"):
        read_bench_suite(str(path))


def test_a_name_that_there_is_not_is_met_with_those_there_are() -> None:
    """A typo in the name of a suite."""
    with pytest.raises(InputError, match=r"no suite 'exo-lb'\. Did you mean 'exo-lab'\? There is .*lengths"):
        read_bench_suite("exo-lb")
