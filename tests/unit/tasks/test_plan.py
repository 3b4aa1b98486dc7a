"""From papers to bundles."""

from dataclasses import replace

import pytest

from tasks.errors import Corrupt
from tasks.intake.extract import Paper
from tasks.intake.plan import Planner, answer_key, key_of
from tasks.intake.prompts import Prompt
from tasks.intake.stages import Stage
from tasks.work import Bundle, Manifest, Params

PROMPTS = (Prompt("why", "Why?"), Prompt("name", "What does {filename} say?"))
MANIFEST = Manifest("r1", PROMPTS, ("m",), Params())


def paper(name: str, text: str = "text") -> Paper:
    return Paper(f"hash of {text}", name, text)


def test_a_paper_is_a_bundle_per_model() -> None:
    """All prompts of a paper for one model, in one queue."""
    planner = Planner(replace(MANIFEST, models=("m", "n")))
    rows = list(planner.paper(paper("a.txt")))
    assert [(row.model, row.prompts, queue) for row, queue in rows] == [
        ("m", (0, 1), "llmq.model.m"),
        ("n", (0, 1), "llmq.model.n"),
    ]


def test_without_a_model_any_host_will_do() -> None:
    """No --model: one queue for all."""
    ((bundle, queue),) = Planner(replace(MANIFEST, models=())).paper(paper("a.txt"))
    assert (bundle.model, queue) == (None, "llmq.any")


def test_equal_work_is_computed_once() -> None:
    """A second file of the same text copies what does not depend on its name, and waits for it."""
    planner = Planner(MANIFEST)
    list(planner.paper(paper("a.txt")))
    rows = [bundle for bundle, _ in planner.paper(paper("b.txt"))]
    assert [(row.prompts, row.copies, row.after) for row in rows] == [((1,), (), -1), ((0,), ((0, 0),), 0)]


def test_the_same_prompt_twice_is_asked_once() -> None:
    """Equal keys within one bundle count too."""
    planner = Planner(replace(MANIFEST, prompts=(PROMPTS[0], Prompt("again", "Why?"))))
    rows = [bundle for bundle, _ in planner.paper(paper("a.txt"))]
    assert [(row.prompts, row.copies) for row in rows] == [((0,), ()), ((1,), ((0, 0),))]


def test_an_unreadable_paper_is_a_bundle_of_failures() -> None:
    """Its items exist, and carry their reason."""
    broken = Paper("hash", "a.pdf", error=Corrupt("damaged"))
    ((bundle, _),) = Planner(MANIFEST).paper(broken)
    assert (bundle.error, bundle.prompts, bundle.paper) == (("corrupt", "damaged"), (0, 1), None)


def test_without_papers_each_prompt_is_its_own_bundle() -> None:
    """Nothing ties them together."""
    planner = Planner(replace(MANIFEST, prompts=(PROMPTS[0], Prompt("how", "How?")), paperless=True))
    assert [bundle.prompts for bundle, _ in planner.prompts()] == [(0,), (1,)]


def test_an_interrupted_plan_goes_on_the_same() -> None:
    """Recalled bundles give the numbers and copies that an uninterrupted plan has."""
    whole = Planner(MANIFEST)
    rows = [bundle for name in ("a.txt", "b.txt", "c.txt") for bundle, _ in whole.paper(paper(name))]
    second = Planner(MANIFEST)
    for bundle in rows[:1]:
        second.recall(bundle)
    rest = [bundle for name in ("b.txt", "c.txt") for bundle, _ in second.paper(paper(name))]
    assert rows[1:] == rest


AGAIN = (
    *PROMPTS,
    Prompt("why again", "Why?"),
    Prompt("name of b", "What does b.txt say?"),
    Prompt("of", "Of {filename}?"),
    Prompt("of a", "Of a{filename}?"),  # of b.txt, what the one above asks of ab.txt
)


def papers_that_come_again() -> list[Paper]:
    texts = {"a.txt": "one", "ab.txt": "one", "b.txt": "one", "c.txt": "two", "d.txt": "one", "e.txt": "two"}
    return [paper(name, text) for name, text in texts.items()]


@pytest.mark.parametrize("papers", [papers_that_come_again(), papers_that_come_again()[::-1]])
def test_copies_are_what_has_an_equal_answer_key(papers: list[Paper]) -> None:
    """However often a paper comes, whatever its file is called, and whichever prompt says the same: an item
    is answered once for each key, by the first that has it."""
    manifest = replace(MANIFEST, prompts=AGAIN, models=("m", "n"))
    planner = Planner(manifest)
    rows = [bundle for one in papers for bundle, _ in planner.paper(one)]
    first: dict[str, tuple[int, int]] = {}
    for number, row in enumerate(rows):
        for item in range(len(row.prompts)):
            key = key_of(manifest, row, item)
            original = first.setdefault(key, (number, item))
            assert (row.copies[item] if row.copies else (number, item)) == original
    assert sum(len(row.prompts) for row in rows) == len(papers) * len(AGAIN) * 2
    assert len(first) < len(papers) * len(AGAIN) * 2


def test_a_plan_broken_off_anywhere_goes_on_the_same() -> None:
    """Also where papers have come again before and after."""
    manifest = replace(MANIFEST, prompts=AGAIN)
    whole = Planner(manifest)
    rows = [list(whole.paper(one)) for one in papers_that_come_again()]
    for done in range(len(rows) + 1):
        planner = Planner(manifest)
        for bundle, _ in (row for of_paper in rows[:done] for row in of_paper):
            planner.recall(bundle)
        assert [list(planner.paper(one)) for one in papers_that_come_again()[done:]] == rows[done:]


def test_an_answer_key_stays_what_it_was() -> None:
    """Answers of years ago are found by it: another one needs a new LAYOUT."""
    known = "21d0be03ccd159d7f3ba6da3552e7e98d05a3b216afa6b524955968630cea2c9"
    assert answer_key("p", "Wh\u00ff?", "m", MANIFEST, "generate") == known


@pytest.mark.parametrize(
    "change",
    [{"max_tokens": 5}, {"temperature": 0.5}, {"seed": 1}, {"overflow": "error"}],
    ids=lambda change: next(iter(change)),
)
def test_every_parameter_makes_another_answer(change: dict[str, object]) -> None:
    """The key holds everything that decides an answer."""
    other = replace(MANIFEST, params=replace(Params(), **change))  # type: ignore[arg-type]
    keys = {answer_key("p", "Why?", "m", one, "generate") for one in (MANIFEST, other)}
    assert len(keys) == 2


def test_a_bundle_survives_json() -> None:
    """What goes into the plan comes out."""
    for bundle in (
        Bundle("a.txt", "hash", "m", (0, 1)),
        Bundle(None, None, None, (2,)),
        Bundle("a.pdf", None, "m", (0,), error=("corrupt", "damaged")),
        Bundle("b.txt", "hash", "m", (1,), copies=((3, 1),)),
    ):
        assert Bundle.from_json(bundle.to_json()) == bundle


CHAIN = (
    Stage("draft", "m"),
    Stage("critique", "n", "h", after=0, template="What is missing?"),
    Stage("rewrite", "m", after=1, template="Again, for {filename}."),
    Stage("judge", "n", after=0, template="Is {content} true by {paper}?", max_tokens=7),
)


def chained(stages: tuple[Stage, ...] = CHAIN, **changes: object) -> Planner:
    return Planner(replace(MANIFEST, prompts=(PROMPTS[0],), stages=stages, **changes))  # type: ignore[arg-type]


def test_later_stages_stand_behind_their_parent() -> None:
    """One bundle per parent bundle, in the queue of its model or host; how much it reads is known of the
    paper alone."""
    rows = list(chained().paper(paper("a.txt", "text " * 100)))
    assert [(row.stage, row.depth, row.parent, row.after, queue, row.tokens) for row, queue in rows] == [
        (0, 0, None, -1, "llmq.model.m", 125),
        (1, 1, 0, 0, "llmq.host.h", 0),
        (2, 2, 1, 1, "llmq.model.m", 0),
        (3, 1, 0, 0, "llmq.model.n", 125),
    ]
    assert [Bundle.from_json(row.to_json()) for row, _ in rows] == [row for row, _ in rows]


def test_below_a_copy_everything_is_a_copy() -> None:
    """The second file of a text copies whole chains, down to an instruction that names the file."""
    planner = chained()
    list(planner.paper(paper("a.txt")))
    rows = [bundle for bundle, _ in planner.paper(paper("b.txt"))]
    assert [(row.copies, row.parent, row.after) for row in rows] == [
        (((0, 0),), None, 0),
        (((1, 0),), 4, 1),
        ((), 5, 5),
        (((3, 0),), 4, 3),
    ]


def test_an_unreadable_paper_has_later_stages_too() -> None:
    """Their items exist; the ledger ends them with the first."""
    rows = [bundle for bundle, _ in chained().paper(Paper("hash", "a.pdf", error=Corrupt("damaged")))]
    assert [(row.error is None, row.parent) for row in rows] == [
        (False, None),
        (True, 0),
        (True, 1),
        (True, 0),
    ]


def test_repeats_are_asked_anew() -> None:
    """Each is a bundle of its own, with a key of its own; the first has the key of a run without repeats."""
    planner = chained(CHAIN[:1], repeats=3)
    rows = [bundle for bundle, _ in planner.paper(paper("a.txt"))]
    assert [(row.repeat, row.copies) for row in rows] == [(0, ()), (1, ()), (2, ())]
    asked = replace(MANIFEST, stages=CHAIN[:1], repeats=3)
    keys = [key_of(asked, row, 0) for row in rows]
    assert len(set(keys)) == 3
    assert keys[0] == key_of(MANIFEST, Bundle("a.txt", rows[0].paper, "m", (0,)), 0)


def test_what_decides_the_answer_of_a_later_stage() -> None:
    """The text it reads, its own instruction, model, host and length; the paper only if it reads that."""
    asked = replace(MANIFEST, stages=CHAIN)
    critique, _, judge = (bundle for bundle, _ in list(chained().paper(paper("a.txt")))[1:])
    key = key_of(asked, critique, 0, "text 1")
    assert key == key_of(asked, replace(critique, paper="another"), 0, "text 1")
    assert key_of(asked, judge, 0, "text 1") != key_of(asked, replace(judge, paper="another"), 0, "text 1")
    others = (
        key_of(asked, critique, 0, "text 2"),
        key_of(asked, replace(critique, host="other"), 0, "text 1"),
        key_of(asked, replace(critique, host=None), 0, "text 1"),
        key_of(asked, replace(critique, model="m"), 0, "text 1"),
        key_of(replace(asked, stages=(CHAIN[0], replace(CHAIN[1], template="What?"))), critique, 0, "text 1"),
        key_of(replace(asked, stages=(CHAIN[0], replace(CHAIN[1], max_tokens=3))), critique, 0, "text 1"),
    )
    assert len({key, *others}) == 7
