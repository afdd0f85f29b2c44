"""import_file on interval counts: totals and epochs, hours that come twice or not at all, two flows in two files."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_collector.foreign_files.column_map import MapError
from tests.importing.conftest import Bench, rejected


def test_counts_totals_go_on_in_a_later_export(bench: Bench) -> None:
    rows = [f"2026-03-01 1{n}:00:00,{n},{n + 1}\n" for n in range(4)]
    bench.run("counts", bench.write("a.csv", "time,in,out\n" + "".join(rows[:3])))
    result = bench.run("counts", bench.write("b.csv", "time,in,out\n" + "".join(rows[1:])))
    assert (result.landed, result.already_landed) == (1, 2)
    records = bench.records("entrance_counts")
    assert sorted((r["in_total"], r["out_total"], r["device_epoch"]) for r in records) == [
        (0, 1, 1),
        (1, 3, 1),
        (3, 6, 1),
        (6, 10, 1),
    ]
    assert records[0]["interval_end"] == "2026-03-01T10:30:00.000+01:00"


def test_counts_that_fill_a_hole_open_an_epoch(bench: Bench) -> None:
    head = "time,in,out\n"
    bench.run("counts", bench.write("a.csv", head + "2026-03-01 10:00:00,1,1\n2026-03-01 12:00:00,2,2\n"))
    bench.run("counts", bench.write("b.csv", head + "2026-03-01 11:00:00,5,6\n"))
    filled = next(r for r in bench.records("entrance_counts") if "T11" in r["interval_start"])
    assert (filled["in_total"], filled["out_total"], filled["device_epoch"]) == (5, 6, 2)


def test_counts_that_contradict_what_landed_are_rejected(bench: Bench) -> None:
    bench.run("counts", bench.write("a.csv", "time,in,out\n2026-03-01 10:00:00,1,1\n"))
    result = bench.run("counts", bench.write("b.csv", "time,in,out\n2026-03-01 10:00:00,2,1\n"))
    assert (result.landed, result.rejected) == (0, 1)
    assert len(bench.records("entrance_counts")) == 1


def test_interval_given_twice_is_rejected(bench: Bench) -> None:
    content = "time,in,out\n2026-03-01 10:00:00,1,1\n2026-03-01 10:00:00,1,1\n"
    result = bench.run("counts", bench.write("a.csv", content))
    assert (result.landed, result.rejected) == (1, 1)
    assert "first on line 2" in rejected(bench)[0]["reason"]


def test_counts_when_clocks_go_back(bench: Bench) -> None:
    times = ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"]
    content = "time,in,out\n" + "".join(f"2026-10-25 {t}:00,{n},0\n" for n, t in enumerate(times, start=1))
    result = bench.run("counts", bench.write("a.csv", content))
    assert (result.landed, result.rejected, result.ambiguous, result.nonexistent) == (6, 0, 4, 0)
    records = bench.records("entrance_counts")
    assert sum(r["in_count"] for r in records) == 21
    assert {r["interval_start"][11:] for r in records if r["in_count"] in (2, 4)} == {"02:00:00.000+02:00"}
    # An interval ends its duration later in real time.
    assert next(r for r in records if r["in_count"] == 3)["interval_end"] == "2026-10-25T02:00:00.000+01:00"
    assert bench.run("counts", bench.root / "a.csv").already_landed == 6


def test_counts_when_clocks_go_forward(bench: Bench) -> None:
    times = ["01:30", "02:00", "02:30", "03:00"]
    content = "time,in,out\n" + "".join(f"2026-03-29 {t}:00,{n},0\n" for n, t in enumerate(times, start=1))
    result = bench.run("counts", bench.write("a.csv", content))
    assert (result.landed, result.ambiguous, result.nonexistent) == (4, 0, 2)
    starts = {r["in_count"]: r["interval_start"] for r in bench.records("entrance_counts")}
    assert starts[2] == starts[4] == "2026-03-29T03:00:00.000+02:00"
    assert bench.records("entrance_counts")[0]["interval_end"] == "2026-03-29T03:00:00.000+02:00"


def flows(bench: Bench, inflow: str, outflow: str) -> tuple[Path, Path]:
    return bench.write("x-inflow.csv", inflow), bench.write("x-outflow.csv", outflow)


def test_two_flows_make_one_record(bench: Bench) -> None:
    files = flows(
        bench,
        '"03/01/26 10:00:00",1\n"03/01/26 10:30:00",2\n"\n"03/01/26 11:30:00",4\n',
        '"03/01/26 10:00:00",5\n"\n"03/01/26 11:00:00",7\n"03/01/26 11:30:00",8\n',
    )
    result = bench.run("counts", *files, map_path=bench.map("flows"))
    assert (result.rows_read, result.landed, result.records, result.rejected) == (8, 5, 3, 3)
    assert [
        (r["in_count"], r["out_count"], r["in_total"], r["out_total"]) for r in bench.records("entrance_counts")
    ] == [
        (1, 5, 1, 5),
        (2, None, 3, None),
        (4, 8, 7, 13),
    ]
    assert [(r["file"], r["line"]) for r in rejected(bench)] == [
        ("x-inflow.csv", "3"),
        ("x-outflow.csv", "2"),
        ("x-outflow.csv", "3"),
    ]
    assert "out_count 7 is left out" in rejected(bench)[2]["reason"]
    # In any order, by one of them, or by their folder: the same import.
    for given_files in ((files[1], files[0]), (files[0],), (files[1],)):
        again = bench.run("counts", *given_files, map_path=bench.map("flows"))
        assert again.nothing_new
        assert [f.name for f in again.files] == ["x-inflow.csv", "x-outflow.csv"]


def test_flow_without_its_counterpart(bench: Bench) -> None:
    with pytest.raises(MapError, match=r"none found for '\*outflow\*.csv'"):
        bench.run("counts", bench.write("x-inflow.csv", '"03/01/26 10:00:00",1\n'), map_path=bench.map("flows"))
    files = (*flows(bench, "", ""), bench.write("strange.csv", ""))
    with pytest.raises(MapError, match="other files"):
        bench.run("counts", *files, map_path=bench.map("flows"))


def test_boundary_pair_needs_both_flows(bench: Bench) -> None:
    files = flows(bench, '"03/01/26 10:00:00",1\n"03/01/26 10:30:00",1\n', '"03/01/26 10:00:00",1\n')
    result = bench.run("counts", *files, map_path=bench.map("flows", ("door", "fence")))
    assert (result.stream, result.records, result.rejected) == ("boundary_counts", 1, 1)


def test_counts_ask_for_no_key(bench: Bench) -> None:
    file = bench.write("a.csv", "time,in,out\n2026-03-01 12:00:00,1,2\n")
    assert bench.run("counts", file, key=b"short").landed == 1
