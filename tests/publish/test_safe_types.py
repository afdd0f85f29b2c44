"""Only column types that every reader takes: another one is refused before a publication becomes current."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.publish.home import ask
from venue_assets.home import Home
from venue_assets.publish import files
from venue_assets.publish.record import Publication
from venue_assets.publish.safe_types import UnsafeType, check_database, is_safe

SAFE = ["BOOLEAN", "INTEGER", "BIGINT", "DOUBLE", "VARCHAR", "DATE", "TIMESTAMP", "DECIMAL(18,2)", "DECIMAL(9,4)"]
UNSAFE = [
    "HUGEINT", "UBIGINT", "UINTEGER", "TINYINT", "SMALLINT", "FLOAT", "DECIMAL(38,2)", "DECIMAL(18,6)", "UUID", "TIME",
    "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_NS", "INTERVAL", "ENUM('a')", "BLOB", "INTEGER[]", "STRUCT(a INTEGER)",
]  # fmt: skip


def test_the_types_that_are_safe() -> None:
    assert [kind for kind in [*SAFE, *UNSAFE] if is_safe(kind)] == SAFE


def test_all_that_is_published_has_safe_types(published: tuple[Home, Publication]) -> None:
    home, _ = published
    kinds = {str(row[0]) for row in ask(home, "SELECT DISTINCT data_type FROM duckdb_columns() WHERE NOT internal")}
    assert {kind for kind in kinds if not is_safe(kind)} == set()
    with duckdb.connect() as con:
        for path in (home.published / "parquet").rglob("*.parquet"):
            described = con.execute(f"DESCRIBE FROM '{path}'").fetchall()
            assert {row[1] for row in described if not is_safe(row[1])} == set(), path


@pytest.mark.parametrize("kind", UNSAFE)
def test_a_column_of_another_type_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    with duckdb.connect() as con:
        con.execute(f"ATTACH ':memory:' AS venue; CREATE TABLE venue.t (total {kind})")
        con.execute("CREATE VIEW venue.v AS SELECT total AS seen FROM venue.t")
        with pytest.raises(UnsafeType, match=r"main\.t: column total is .*; .*DECIMAL of at most 18 digits"):
            check_database(con, "venue")
        file = files.File("t.parquet", "SELECT * FROM venue.t", is_changed=True)
        with pytest.raises(UnsafeType, match=r"t\.parquet: column total is"):
            files.write(con, tmp_path, [file], None, "FORMAT parquet")
    assert list(tmp_path.iterdir()) == []
