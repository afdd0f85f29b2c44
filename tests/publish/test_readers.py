"""Who reads while publications come and go: whole sets only, of one publication, with any of the usual readers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest

from tests.publish.home import DAYS, are_equal, ask, bring_back, publish, take_away
from venue_assets.home import Home
from venue_assets.publish.publication import KEPT
from venue_assets.publish.record import Publication

PUBLICATIONS = int(os.environ.get("PUBLICATIONS", "20"))
"""How many the looping reader sees; 200 on demand."""

# One path at a time: DuckDB (1.5 and later) remembers what a process has open by the path to which a link leads, but
# opens it by the link. Where the link moves in between, that path shows the next set for as long as this is open.

READER = """
import json, os, sys, time
from pathlib import Path
import duckdb
import pyarrow.parquet as pq

published, kept = Path(sys.argv[1]), int(sys.argv[2])
UNEQUAL = '''
SELECT count(*) FROM metrics.primary_metrics AS p
LEFT JOIN (SELECT event_date, venue_id, count(*) FILTER (has_entry) AS pv FROM star.fact_session GROUP BY ALL) AS s
  USING (event_date, venue_id)
LEFT JOIN metric.gmv AS g USING (event_date, venue_id)
WHERE p.pv <> coalesce(s.pv, 0) OR p.gmv <> coalesce(g.gmv, 0)
'''
CONTENT = "SELECT (SELECT count(*) FROM behaviour.behaviour_events), (SELECT sum(pv) FROM metrics.primary_metrics)"
seen, last = set(), False
opened_first = duckdb.connect(str(published / "venue.duckdb"), read_only=True)
content = opened_first.execute(CONTENT).fetchall()
print("reading", flush=True)
while not last:
    last = (published.parent / "done").exists()  # look once more after that
    with duckdb.connect(str(published / "venue.duckdb"), read_only=True) as con:
        found = con.execute("SELECT DISTINCT publication_id FROM main.publication").fetchall()
        assert len(found) == 1, found
        assert con.execute(UNEQUAL).fetchall() == [(0,)], found
    try:
        folder = (published / "current").resolve(strict=True)
        record = json.loads((folder / "publication.json").read_text())
        rows = pq.ParquetFile(folder / "parquet" / "primary_metrics.parquet").metadata.num_rows
        with duckdb.connect(str(folder / "venue.duckdb"), read_only=True) as of_the_set:
            assert of_the_set.execute("SELECT DISTINCT publication_id FROM main.publication").fetchall() == [
                (record["publication_id"],)
            ]
            assert of_the_set.execute("SELECT count(*) FROM metrics.primary_metrics").fetchall() == [(rows,)]
        seen.add(record["publication_id"])
    except (FileNotFoundError, duckdb.IOException) as error:
        newest = max(int(path.name) for path in folder.parent.iterdir() if path.name.isdigit())
        assert int(folder.name) + kept <= newest, error  # so slow a look that this publication is no longer kept
assert opened_first.execute(CONTENT).fetchall() == content  # what is open stays as it is, also when it is deleted
print(json.dumps(sorted(seen)))
"""


def test_a_reader_who_never_stops_sees_only_whole_and_consistent_sets(four_dates: Home) -> None:
    publish(four_dates)
    command = [sys.executable, "-c", READER, str(four_dates.published), str(KEPT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout
        assert reader.stdout.readline() == "reading\n"
        made = set()
        for n in range(PUBLICATIONS):
            (bring_back if n % 2 else take_away)(four_dates, DAYS[1])
            made.add(publish(four_dates).publication_id)
        (four_dates.root / "done").touch()
        out, _ = reader.communicate(timeout=300)
    assert reader.returncode == 0, out
    seen = set(json.loads(out))
    assert len(made) == PUBLICATIONS
    assert len(seen & made) > 1


def test_parquet_holds_the_same_for_every_reader(published: tuple[Home, Publication]) -> None:
    home, _ = published
    files = sorted((home.published / "parquet").rglob("*.parquet"))
    assert files
    for path in files:
        by_arrow = pq.ParquetFile(path).read()
        assert by_arrow.to_pylist() == pl.read_parquet(path).to_dicts(), path
        with duckdb.connect() as con:
            assert con.read_parquet(str(path)).to_arrow_table().to_pylist() == by_arrow.to_pylist(), path
        column = pq.ParquetFile(path).metadata.row_group(0).column(0) if by_arrow.num_rows else None
        assert column is None or column.compression == "SNAPPY"


def test_parquet_of_the_star_holds_what_the_database_holds(published: tuple[Home, Publication]) -> None:
    home, _ = published
    with duckdb.connect(str(home.published / "venue.duckdb"), read_only=True) as con:
        for (table,) in con.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'star'").fetchall():
            folder = home.published / "parquet" / table
            files = f"{folder}/*.parquet" if folder.is_dir() else f"{folder}.parquet"
            are_equal(con, f"star.{table}", f"'{files}'")


def test_duckdb_1_4_from_another_environment_opens_it(published: tuple[Home, Publication]) -> None:
    home, publication = published
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv, which makes the other environment, is not installed")
    script = (
        "import duckdb, json, sys\n"
        "con = duckdb.connect(sys.argv[1], read_only=True)\n"
        "print(json.dumps([duckdb.__version__, *con.execute('''SELECT"
        " (SELECT any_value(publication_id) FROM main.publication), (SELECT sum(pv)::BIGINT FROM metric.pv),"
        " (SELECT count(*) FROM duckdb_columns() WHERE NOT internal AND comment IS NULL)''').fetchone()]))"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    command = [uv, "run", "--no-project", "--with", "duckdb==1.4.*", "python", "-c", script]
    done = subprocess.run(
        [*command, str(home.published / "venue.duckdb")], capture_output=True, text=True, env=environment, cwd="/"
    )
    if done.returncode and "duckdb" in done.stderr and "Traceback" not in done.stderr:
        pytest.skip("DuckDB 1.4 cannot be installed here")
    assert done.returncode == 0, done.stderr
    version, publication_id, pv, without_comment = json.loads(done.stdout)
    assert version.startswith("1.4.")
    assert publication_id == publication.publication_id
    assert [(pv,)] == ask(home, "SELECT sum(pv)::BIGINT FROM metrics.primary_metrics")
    assert without_comment == 0


def test_a_report_outlives_the_publication_that_it_was_made_of(four_dates: Home) -> None:
    publish(four_dates)
    report: Path = four_dates.published / "reports" / f"{DAYS[0]}.html"
    report.write_text("of publication 1")
    take_away(four_dates, DAYS[1])
    assert publish(four_dates).number == 2
    assert report.read_text() == "of publication 1"
