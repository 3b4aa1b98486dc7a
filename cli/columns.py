"""Tables and numbers for people."""

from collections.abc import Sequence

from cli.screen import plain
from tasks.report.wording import number as number


def table(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Lines of aligned columns; the first `left` to the left, numbers to the right. Empty columns go."""
    rows = [[plain(cell).replace("\n", " ") for cell in row] for row in rows]
    kept = [i for i in range(len(rows[0])) if any(row[i] for row in rows[1:])]
    widths = {i: max(len(row[i]) for row in rows) for i in kept}
    return [
        "  ".join(row[i].ljust(widths[i]) if i < left else row[i].rjust(widths[i]) for i in kept).rstrip()
        for row in rows
    ]
