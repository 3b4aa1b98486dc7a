"""`llmq chain` and `llmq matrix` with files and hosts that are wrong: told before any work, with file, key
and what there is."""

from pathlib import Path

import pytest

from tests.e2e.room import Room

PROMPT = '[[prompt]]\nname = "x"\ntemplate = "Why?"\n'
FILES = {
    "empty.toml": "",
    "keys.toml": 'generat = ["sim-8b"]\nsummarize = ["sim-8b"]\nrepeat = 2\n',
    "types.toml": 'generate = "sim-8b"\nsummarize = ["sim-8b"]\nrepeats = "two"\n',
    "none.toml": f'generate = []\nsummarize = ["sim-8b"]\n{PROMPT}',
    "torn.toml": "generate = [",
    "host.toml": f'generate = ["sim-8b@bxo"]\nsummarize = ["sim-8b"]\n{PROMPT}',
    "model.toml": f'generate = ["sim-8"]\nsummarize = ["sim-8b@box"]\n{PROMPT}',
    "away.toml": f'generate = ["sim-70b@box"]\nsummarize = ["sim-8b"]\n{PROMPT}',
    "silent.toml": 'generate = ["sim-8b"]\nsummarize = ["sim-8b"]\n',
    "fine.toml": f'generate = ["sim-8b"]\nsummarize = ["sim-8b"]\n{PROMPT}',
    "s-keys.toml": '[[stage]]\nname = "a"\nmodle = "x"\n[[stage]]\nname = "b"\ntemplate = "Sum up."\n',
    "s-top.toml": '[[stages]]\nname = "a"\n',
    "s-one.toml": '[[stage]]\nname = "a"\nmodel = "sim-8b"\n',
    "s-after.toml": '[[stage]]\nname = "draft"\n[[stage]]\nname = "b"\nafter = "darft"\ntemplate = "x"\n',
}
CHAIN = ("chain", "-p", "Why?")
PAIR = ("--generate", "sim-8b", "--summarize", "sim-8b")
AT_ONCE = (
    (("matrix", "empty.toml"), "empty.toml: generate: missing; summarize: missing"),
    (("matrix", "keys.toml"), "unknown key 'generat'; did you mean 'generate'?"),
    (("matrix", "keys.toml"), "unknown key 'repeat'; did you mean 'repeats'?"),
    (
        ("matrix", "types.toml"),
        "types.toml: generate: expected a list, got 'sim-8b'; repeats: expected a whole",
    ),
    (("matrix", "none.toml"), "none.toml: generate: expected at least 1 of them, got none"),
    (("matrix", "torn.toml"), "torn.toml: not TOML: "),
    (("matrix", "silent.toml"), "nothing to ask"),
    (("matrix", "fine.toml", "-o", "/proc/nowhere/out.json"), "nothing can be written in /proc"),
    (("matrix", "fine.toml", "-o", "out.txt"), "out.txt: the suffix says the format"),
    ((*CHAIN, "--stages", "s-keys.toml"), "s-keys.toml: stage 1: unknown key 'modle'; did you mean 'model'?"),
    ((*CHAIN, "--stages", "s-top.toml"), "unknown key 'stages'; did you mean 'stage'?"),
    ((*CHAIN, "--stages", "s-one.toml"), "s-one.toml: stage: expected at least 2 of them, got 1"),
    ((*CHAIN, "--stages", "s-after.toml"), "stage 2, after: no stage 'darft' comes before it (draft)"),
    ((*CHAIN, *PAIR, "-o", "/proc/nowhere/out.json"), "nothing can be written in /proc"),
    ((*CHAIN, *PAIR, "--profile", "nosuch"), "no simulator profile 'nosuch'"),
)
WITH_HOSTS = (
    (("matrix", "host.toml"), "generate: there is no host 'bxo'; there is box"),
    (("matrix", "model.toml"), "no host serves sim-8; there is sim-8b"),
    (("matrix", "away.toml"), "generate: box does not serve sim-70b; it has sim-8b"),
    ((*CHAIN, "--generate", "sim-8b@bxo", "--summarize", "sim-8b"), "there is no host 'bxo'; there is box"),
    ((*CHAIN, "--generate", "sim-8@box", "--summarize", "sim-8b"), "box does not serve sim-8; it has sim-8b"),
)


def written(folder: Path) -> None:
    for name, text in FILES.items():
        (folder / name).write_text(text)


@pytest.mark.parametrize(("args", "words"), AT_ONCE, ids=[" ".join(args) for args, _ in AT_ONCE])
def test_a_wrong_file_is_told_before_any_host_is_looked_at(
    room: Room, args: tuple[str, ...], words: str
) -> None:
    """Exit code 2, one message on stderr and nothing on stdout, as JSON or not; no run is begun."""
    written(room.folder)
    room.fleet({"box": "http://127.0.0.1:9"})
    for json_too in ((), ("--json",)):
        done = room.llmq(*args, *json_too)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert "waiting for" not in done.stderr
    assert room.redis().keys("llmq:*") == []


@pytest.mark.parametrize(("args", "words"), WITH_HOSTS, ids=[" ".join(args) for args, _ in WITH_HOSTS])
def test_a_host_or_model_that_there_is_not(room: Room, args: tuple[str, ...], words: str) -> None:
    """The stage, what was meant and what there is; nobody is asked."""
    written(room.folder)
    sim = room.simulator("box", "openai")
    room.fleet({"box": sim})
    done = room.llmq(*args, "--json")
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert words in done.stderr
    assert sim.calls()["started"] == 0
    assert room.llmq("runs", "--json").stdout.strip() == "[]"
