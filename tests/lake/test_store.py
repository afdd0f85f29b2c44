"""The store: the same rows are the same bytes, and what readers find is plain."""

from __future__ import annotations

import hashlib
import tempfile
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from venue_assets.lake import store
from venue_assets.lake.store import Lake

DAY = date(2026, 1, 5)
SCHEMA = pa.schema([pa.field("word", pa.string()), pa.field("n", pa.int64(), nullable=False)])
WORDS = st.none() | st.sampled_from(["", "a", "b", "Grüße"])


@pytest.fixture(autouse=True)
def short_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_ROW_GROUP", 4)


def written(batches: list[pa.RecordBatch]) -> bytes:
    """The file of these rows, after a look whether readers find what was given."""
    rows = [row for batch in batches for row in batch.to_pylist()]
    lake = Lake(Path(tempfile.mkdtemp()))
    with lake.draft("table", DAY, SCHEMA, batches, code="", inputs={}) as draft:
        lake.put("table", DAY, draft)
    path = lake.path("table", DAY)
    assert not lake.damage("table", DAY)
    assert pq.ParquetFile(path).schema_arrow == SCHEMA
    assert pq.ParquetFile(path).read().to_pylist() == rows
    found = duckdb.sql(f"SELECT * FROM read_parquet('{path}', hive_partitioning = false)")
    assert found.types == ["VARCHAR", "BIGINT"]
    assert found.fetchall() == [(row["word"], row["n"]) for row in rows]
    content = path.read_bytes()
    lake.remove("table", DAY)
    return content


@settings(deadline=None)
@given(
    st.lists(WORDS, max_size=14),
    st.lists(st.integers(0, 14), max_size=3),
    st.permutations(["b", "x", "a", "", "Grüße"]),
)
def test_the_same_rows_are_the_same_bytes(words: list[str | None], cuts: list[int], dictionary: list[str]) -> None:
    """However they are cut into batches, and whatever else stands in the dictionaries of texts that come as such."""
    rows = pa.table({"word": words, "n": range(len(words))}, SCHEMA)
    indices = pa.array([None if word is None else dictionary.index(word) for word in words], pa.int32())
    coded = rows.set_column(0, "word", pa.DictionaryArray.from_arrays(indices, pa.array(dictionary)))
    own = rows.set_column(0, "word", rows["word"].combine_chunks().dictionary_encode())
    ends = [*sorted(min(cut, len(words)) for cut in cuts), len(words)]

    def cut(table: pa.Table) -> list[pa.RecordBatch]:
        parts = [table.slice(start, end - start) for start, end in zip([0, *ends], ends, strict=False)]
        return [batch for part in parts for batch in part.to_batches()]

    assert written(cut(rows)) == written(rows.to_batches())
    assert written(cut(coded)) == written(own.to_batches())


def test_the_content_is_the_hash_of_the_rows_alone() -> None:
    rows = pa.table({"word": ["a"], "n": [1]}, SCHEMA).to_batches()
    lake = Lake(Path(tempfile.mkdtemp()))
    contents = []
    for code in ("one", "two"):
        with lake.draft("table", DAY, SCHEMA, rows, code=code, inputs={}) as draft:
            contents.append(draft.provenance.content)
    assert contents[0] == contents[1] != hashlib.sha256(b"").hexdigest()


def test_texts_that_hardly_shrink_are_not_compressed() -> None:
    """Digits of a hash, whatever their column is called."""
    digits = [hashlib.sha256(bytes([n])).hexdigest() for n in range(40)]
    columns = {"hash": digits, "word": ["riverside"] * 40, "nothing": [None] * 40}
    schema = pa.schema([(name, pa.string()) for name in columns])
    lake = Lake(Path(tempfile.mkdtemp()))
    with lake.draft("table", DAY, schema, pa.table(columns, schema).to_batches(), code="", inputs={}) as draft:
        group = pq.read_metadata(draft.path).row_group(0)
    found = {group.column(at).path_in_schema: group.column(at).compression for at in range(len(columns))}
    assert found == {"hash": "UNCOMPRESSED", "word": "LZ4", "nothing": "LZ4"}


@settings(deadline=None)
@given(st.lists(WORDS, max_size=14))
def test_nulls_are_counted_while_writing(words: list[str | None]) -> None:
    rows = pa.table({"word": words, "n": range(len(words))}, SCHEMA)
    lake = Lake(Path(tempfile.mkdtemp()))
    with lake.draft("table", DAY, SCHEMA, rows.to_batches(), code="", inputs={}) as draft:
        assert draft.nulls == {"word": words.count(None), "n": 0}
