"""Stages as people write them."""

from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.intake.stage_files import pair, read_stages
from tasks.intake.stages import Stage, below, depth, leaves
from tasks.intake.suite_files import read_suite

ROOT = Path(__file__).parents[4]


def read(folder: Path, *tables: str) -> tuple[Stage, ...]:
    path = folder / "s.toml"
    path.write_text("\n".join(f"[[stage]]\n{table}" for table in tables))
    return read_stages(path)


def test_the_example_is_right() -> None:
    """configs/stages can be read: three stages in a row."""
    stages = read_stages(ROOT / "configs" / "stages" / "draft-critique-rewrite.toml")
    assert [(stage.name, stage.after) for stage in stages] == [
        ("draft", None),
        ("critique", 0),
        ("rewrite", 1),
    ]
    assert (depth(stages), leaves(stages)) == (2, {2})


def test_two_may_read_the_same_answer(tmp_path: Path) -> None:
    """`after` names another stage than the one before."""
    first = 'name = "a"\nmodel = "m"'
    stages = read(tmp_path, first, 'name = "b"\ntemplate = "B"', 'name = "c"\ntemplate = "C"\nafter = "a"')
    assert [stage.after for stage in stages] == [None, 0, 0]
    assert [(one.stage, one.place, one.parent, one.depth) for one in below(stages, 0)] == [
        (1, 1, 0, 1),
        (2, 2, 0, 1),
    ]
    assert leaves(stages) == {1, 2}


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        (('name = "a"',), "stage: expected at least 2 of them, got 1"),
        (('name = "a"', 'name = "a"\ntemplate = "x"'), "stage 2, name: 'a' is the name of stage 1 too"),
        (('name = "a"', 'name = "b"'), "stage 2, template: missing"),
        (('name = "a"', 'name = "b"\ntemplate = "x"\nafter = "c"'), "stage 2, after: no stage 'c'"),
        (('name = "a"\nafter = "b"', 'name = "b"\ntemplate = "x"'), "stage 1, after: no stage 'b'"),
        (('name = "a b"', 'name = "c"'), "name: expected a name of letters, digits, '_' and '-', got 'a b'"),
        (('name = "a"\nmax_tokens = 0', 'name = "b"'), "stage 1, max_tokens: expected at least 1, got 0"),
        ((*['name = "n0"'], *(f'name = "n{n}"\ntemplate = "x"' for n in range(1, 10))), "at most 8 stages"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(tmp_path: Path, tables: tuple[str, ...], said: str) -> None:
    """File, stage and key."""
    with pytest.raises(InputError) as error:
        read(tmp_path, *tables)
    assert str(error.value).startswith(str(tmp_path / "s.toml"))
    assert said in str(error.value)


def test_an_at_in_a_models_name() -> None:
    """The last one divides; a name with an @ and no host ends with another."""
    stages = pair("qwen@q4@pi", "llama@q8@")
    assert [(stage.model, stage.host) for stage in stages] == [("qwen@q4", "pi"), ("llama@q8", None)]


def test_the_suite_of_the_p2p_framework() -> None:
    """Two generators, four summarizers behind each, five prompts; every pair once."""
    suite = read_suite(ROOT / "configs" / "suites" / "p2p.toml")
    pairs = [(suite.stages[one.after].model, one.model) for one in suite.stages if one.after is not None]
    assert len(pairs) == len(set(pairs)) == 8
    assert (len(suite.stages), len(suite.prompts), suite.repeats) == (10, 5, 3)


def test_a_mistake_in_a_suite(tmp_path: Path) -> None:
    """File and key."""
    path = tmp_path / "s.toml"
    path.write_text('generate = []\nsummarise = ["m"]\n')
    told = "generate: expected at least 1 of them, got none; summarize: missing; unknown key 'summarise'; "
    with pytest.raises(InputError, match=rf"s\.toml: {told}did you mean 'summarize'\?"):
        read_suite(path)
