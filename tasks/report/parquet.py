"""One row a request as Parquet. pyarrow is an extra: it is imported here alone."""

from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.report.collect import Row
from tasks.report.columns import REQUEST, TYPES
from tasks.report.figures import request

ROWS = 10_000  # in memory at a time
MISSING = "Parquet needs pyarrow: pip install 'llmq-fleet[parquet]', or write .csv"


def available() -> bool:
    """Is pyarrow there?"""
    return find_spec("pyarrow") is not None


def write_parquet(rows: Iterable[Row], path: Path) -> None:
    """The rows under REQUEST, each column of one type whatever is in it."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    schema = pa.schema([(name, kinds[TYPES[name]]) for name in REQUEST])
    found = (_plain(request(row)) for row in rows)
    with ParquetWriter(path, schema) as out:
        while page := list(islice(found, ROWS)):
            out.write_table(pa.Table.from_pylist(page, schema))


def read_parquet(path: Path, check: Callable[[list[str]], None]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each row stands, and the row. `check` is given the names of the columns. Raises InputError."""
    if not available():
        raise InputError(f"{path}: {MISSING}")
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            check(file.schema_arrow.names)
            number = 0
            for page in file.iter_batches(ROWS):
                for row in page.to_pylist():
                    number += 1
                    yield f"row {number}", row
    except pa.ArrowException as error:
        raise InputError(f"{path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from None


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Texts that UTF-8 can write: lone surrogates come from file names."""
    return {
        name: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for name, value in values.items()
    }
