"""One row a request as Parquet. pyarrow is an extra: it is imported here alone, and only to write."""

from collections.abc import Iterable
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

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


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Texts that UTF-8 can write: lone surrogates come from file names."""
    return {
        name: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for name, value in values.items()
    }
