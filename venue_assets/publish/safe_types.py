"""The column types that every reader of DuckDB, Parquet and ODBC takes without harm; other types are refused.

DuckDB makes HUGEINT of a sum of integers and DECIMAL(38) of a sum of decimals, and writes the one as DOUBLE into
Parquet without a word: a figure would arrive changed, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import duckdb

_PLAIN: Final = frozenset({"BOOLEAN", "INTEGER", "BIGINT", "DOUBLE", "VARCHAR", "DATE", "TIMESTAMP"})
_DECIMAL: Final = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_DIGITS: Final = 18
_DECIMALS: Final = 4


class UnsafeType(TypeError):
    """A column that some reader would misread: says which, its type, and what is expected."""


def check(what: str, columns: Iterable[tuple[str, str]]) -> None:
    """Raises UnsafeType for the first column of `what` whose type is not safe."""
    for column, kind in columns:
        if not is_safe(kind):
            raise UnsafeType(
                f"{what}: column {column} is {kind}; {', '.join(sorted(_PLAIN))} or DECIMAL of at most {_DIGITS} "
                f"digits, {_DECIMALS} of them decimals, is expected; cast it"
            )


def check_select(con: duckdb.DuckDBPyConnection, what: str, select: str) -> None:
    """Raises UnsafeType where a query gives a column whose type is not safe."""
    check(what, [(row[0], row[1]) for row in con.execute(f"DESCRIBE {select}").fetchall()])


def check_database(con: duckdb.DuckDBPyConnection, database: str) -> None:
    """Raises UnsafeType where a table or view of the database has a column whose type is not safe."""
    for what, column, kind in con.execute(
        "SELECT schema_name || '.' || table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = ? AND NOT internal ORDER BY ALL",
        [database],
    ).fetchall():
        check(what, [(column, kind)])


def is_safe(kind: str) -> bool:
    """Whether every reader takes a type as what it is."""
    decimal = _DECIMAL.fullmatch(kind)
    return kind in _PLAIN or bool(decimal and int(decimal[1]) <= _DIGITS and int(decimal[2]) <= _DECIMALS)
