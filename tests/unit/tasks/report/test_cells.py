"""What is said beside the table of a benchmark's cells."""

from dataclasses import replace

from tasks.report.cells import CellRow, knee_lines, lateness, told_once

NONE = (None,) * 6


def cell(host: str, *notes: str) -> CellRow:
    return CellRow(
        host, "m", "closed", 1, None, None, None, 30, 30, *NONE, error_rate=0.0, done=1.0,
        notes=notes, load="1 at a time", simulated=False,
    )  # fmt: skip


def test_a_count_is_of_each() -> None:
    """`7 cut` of three cells are 21; what counts nothing needs no such word."""
    cut, shared = "7 cut at --max-tokens", "shared: of both"
    cells = [cell("a", cut, shared), cell("b", cut, shared), cell("c")]
    assert list(told_once(cells)) == [
        f"a · m · 1 at a time, b · m · 1 at a time: {shared}",
        f"a · m · 1 at a time, b · m · 1 at a time, each: {cut}",
    ]
    assert list(told_once(cells[:2])) == [f"all cells: {shared}", f"each cell: {cut}"]
    assert list(told_once(cells[:1])) == [f"a · m · 1 at a time: {shared}", f"a · m · 1 at a time: {cut}"]


def test_cuts_hide_no_other_note() -> None:
    """Of ten cells with ten counts they are one line, the last."""
    cells = [cell(f"host-{number}", f"{number} cut at --max-tokens") for number in range(1, 10)]
    assert list(told_once([*cells, cell("odd", "shared: of both")])) == [
        "odd · m · 1 at a time: shared: of both",
        "host-1 · m · 1 at a time, host-2 · m · 1 at a time, host-3 · m · 1 at a time and 6 more, each: "
        "1 to 9 cut at --max-tokens",
    ]


def test_many_cells_are_three_on_the_screen_and_all_on_the_page() -> None:
    """The page has the room to name them."""
    cells = [cell(f"host-{number}", "7 cut at --max-tokens") for number in range(13)] + [cell("well")]
    (screen,) = told_once(cells)
    assert "host-2 · m · 1 at a time and 10 more, each: 7 cut" in screen
    (page,) = told_once(cells, named=len(cells))
    assert all(f"host-{number} · m" in page for number in range(13))
    assert "more" not in page


def test_where_a_sweep_ended_says_why() -> None:
    """Twice as many gain nothing, or fail; or there were too few requests to look further."""

    def told(*levels: tuple[float, float], requests: int = 0) -> str:
        cells = [
            replace(cell("a"), concurrency=2**place, system_output_tps=tps, error_rate=failed)
            for place, (tps, failed) in enumerate(levels)
        ]
        (line,) = knee_lines(cells, requests)
        return line.removeprefix("a · m: ")

    assert told((10, 0), (20, 0), (20, 0)) == "2 at a time are enough; twice as many bring less than 5 %"
    assert told((10, 0), (20, 0), (0, 1)) == "2 at a time are enough; of twice as many 100 % failed"
    assert told((10, 0), (19, 0.25), (19, 0)).startswith("2 at a time are enough (25 % failed); twice")
    assert told((10, 0), (20, 0)) == "no knee was found"
    assert told((10, 0), (20, 0), requests=3) == "no knee was found; 3 requests are never 4 at a time"


def test_requests_that_left_late_are_told_though_most_did_not() -> None:
    """A fifth waited until one of those under way had ended; one in thirty is no news."""

    def told(late: int) -> list[str]:
        rows = [{"dispatch_delay_s": 1.5 if place < late else 0.001} for place in range(30)]
        return list(lateness(2.0, rows, []))

    (note,) = told(6)
    assert note.startswith("6 of 30 left late, 1.5 s at worst (at most 64 are under way)")
    assert told(1) == []
    (note,) = told(20)
    assert "beyond this host" in note
