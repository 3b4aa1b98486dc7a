"""Which open run a submit goes on with: the one that asks the same of the same papers."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tasks.connection import connect
from tasks.errors import SubmissionStopped
from tasks.intake.papers import PaperFile, find_papers
from tasks.intake.prompts import Prompt
from tasks.ledger.ledger import Ledger
from tasks.submit import Submitted, submit
from tasks.texts import Texts
from tasks.work import Manifest, Params


@dataclass
class Master:
    """Who submits a folder of five papers of one size."""

    url: str
    folder: Path
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger(connect(self.url), lease_s=0.2)
        for name in "abcde":
            self.write(name, f"Paper {name} says a few words, and then some more.")

    def write(self, name: str, text: str) -> None:
        (self.folder / f"{name}.txt").write_text(text)

    def submit(self, run_id: str, *prompts: str) -> Submitted:
        asked = tuple(Prompt(one, f"{one}?") for one in prompts or ("why",))
        texts = Texts(connect(self.url, decode=False), ttl_s=100)
        return submit(self.ledger, texts, Manifest(run_id, asked, ("m",), Params()), self.files)

    @property
    def files(self) -> tuple[PaperFile, ...]:
        return find_papers([self.folder]).papers


@pytest.fixture
def master(redis_url: str, tmp_path: Path) -> Master:
    return Master(redis_url, tmp_path)


def test_the_same_papers_go_on(master: Master) -> None:
    """However old their files are; asked something else they do not."""
    assert not master.submit("r1").continued
    for path in master.folder.iterdir():
        path.touch()
    assert master.submit("r2") == Submitted("r1", continued=True)
    assert master.submit("r3", "how") == Submitted("r3", continued=False)


def test_other_words_of_the_same_length_are_another_run(master: Master) -> None:
    """Files are found by their sizes, and compared by what they say; the new run is the one to go on with."""
    master.submit("r1")
    master.write("e", "Paper e says a few words, and then some less.")
    assert master.submit("r2") == Submitted("r2", continued=False)
    assert master.submit("r3") == Submitted("r2", continued=True)


@pytest.mark.parametrize(("changed", "goes_on_with"), [("a", "r2"), ("e", "r1")])
def test_a_submission_that_broke_off(master: Master, changed: str, goes_on_with: str) -> None:
    """What it had read must be the same; what it had not is read now."""
    stop = threading.Event()
    add = master.ledger.add

    def add_two(run_id, submitter, files_done, *rest):  # type: ignore[no-untyped-def]
        """The command is killed when it has read two papers."""
        if files_done > 2:
            stop.set()
            raise SubmissionStopped("killed")
        return add(run_id, submitter, files_done, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(master.ledger, "add", add_two)
        patch.setattr("tasks.submit.FLUSH_BUNDLES", 2)
        patch.setattr("tasks.submit.FLUSH_S", 60.0)
        with pytest.raises(SubmissionStopped):
            master.submit("r1")
    assert stop.is_set()
    assert 0 < int(master.ledger.redis.hget("llmq:run:r1", "files_done")) <= 2
    master.write(changed, f"Paper {changed} says a few words, and then some less.")
    assert master.submit("r2").run_id == goes_on_with


def test_nothing_is_read_before_the_first_paper_is_in(master: Master) -> None:
    """A hundred thousand papers are not read twice before there is work: nothing but sizes is looked at."""
    in_ledger: list[int] = []
    add = master.ledger.add

    def look(run_id, submitter, files_done, *rest):  # type: ignore[no-untyped-def]
        in_ledger.append(files_done)
        return add(run_id, submitter, files_done, *rest)

    read: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(master.ledger, "add", look)
        patch.setattr("tasks.sameness.digest_bytes", lambda path: read.append(path.name) or "digest")
        patch.setattr(
            master.ledger,
            "create",
            lambda *a, **k: read.append("created") or Ledger.create(master.ledger, *a, **k),
        )
        master.submit("r1")
    assert read[0] == "created"
    assert in_ledger[0] == 1
