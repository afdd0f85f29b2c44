"""What the Dagster UI shows of figures: numbers that it plots over event dates, and small pictures."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from tests.conftest import rows, upstream
from venue_assets.graph.instance import open_instance
from venue_assets.graph.runs import materialize
from venue_assets.home import Home
from venue_assets.pictures import funnel, hours
from venue_assets.semantic_layer.headline import METRICS, headline
from venue_assets.simulate import Options, simulate
from venue_assets.tables import CatalogueError
from venue_assets.tables import catalogue as module
from venue_assets.tables.catalogue import catalogue

DAY = date(2026, 1, 5)
UNKNOWN: dict[str, Any] = dict.fromkeys(METRICS)
HALL: dict[str, Any] = UNKNOWN | {
    "venue_id": "hall",
    "currency": "EUR",
    "pf_range": 1000,
    "pf_entrance": 200.0,
    "ocr": 0.2,
    "pv": 150,
    "uv": 140,
    "completed_orders": 30,
    "gmv": Decimal("1234.50"),
}


def primary(*found: dict[str, Any]) -> pa.Table:
    table = catalogue()["primary_metrics"]
    known = {"activity_id": "none", "currency": "EUR", "pf_entrance_estimated": False}
    return pa.Table.from_pylist([{n: (known | row).get(n) for n in table.schema.names} for row in found], table.schema)


def hourly(*found: dict[str, Any]) -> pa.Table:
    table = catalogue()["hourly_metrics"]
    return pa.Table.from_pylist([{n: row.get(n) for n in table.schema.names} for row in found])


def words(svg: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(svg).iter() if node.tag.endswith("text")]


def test_key_figures_are_numbers_by_metric_and_venue() -> None:
    found = headline(primary(HALL, {"venue_id": "kiosk", "completed_orders": 0, "gmv": Decimal("0.00")}))
    assert found == {
        "pf_range · hall": 1000,
        "pf_entrance · hall": 200.0,
        "ocr · hall": 0.2,
        "pv · hall": 150,
        "uv · hall": 140,
        "completed_orders · hall": 30,
        "gmv · hall": 1234.5,
        "completed_orders · kiosk": 0,
        "gmv · kiosk": 0.0,
    }
    assert all(type(value) in (int, float) for value in found.values())


def test_key_figures_of_nothing_are_none() -> None:
    assert headline(primary()) == {}


def test_a_funnel_tells_its_finding_and_what_is_not_known() -> None:
    said = words(funnel.picture(primary(HALL, {"venue_id": "annexe"})))
    assert "hall: 20.0 % of those who passed walked in, GMV 1,234.50 EUR" in said
    assert {
        "1,000",
        "200 (20.0 per 100 above)",
        "150 (recognised: 75.0 per 100 above)",
        "30 (20.0 per 100 above)",
    } <= set(said)
    assert "annexe: neither counts nor sales" in said
    assert said.count("not known") == 4


def test_hours_tell_when_most_people_came() -> None:
    of_hall = [
        {"venue_id": "hall", "hour": h, "pf_range": 100, "pf_entrance": float(h % 19), "pv": 1} for h in range(24)
    ]
    of_shop = [{"venue_id": "shop", "hour": h, "pv": int(h == 9)} for h in range(24)]
    of_none = [{"venue_id": "none", "hour": h} for h in range(24)]
    said = words(hours.picture(hourly(*of_hall, *of_shop, *of_none)))
    assert "hall: most people walked in from 18:00 to 18:59 (18)" in said
    assert "shop: most visits began from 9:00 to 9:59 (1)" in said
    assert "none: nobody was counted or recognised" in said


@pytest.mark.parametrize("picture", [funnel.picture, hours.picture])
def test_pictures_of_nothing_say_so(picture: Any) -> None:
    assert words(picture(primary() if picture is funnel.picture else hourly())) == ["No venue has landed anything yet."]


@pytest.mark.parametrize("most", [0, 1, 2, 3, 5, 9, 10, 11, 99, 100, 101, 1033, 99_999])
def test_the_axis_of_hours_ends_at_a_round_number_that_is_large_enough(most: int) -> None:
    top = hours._round_up(most)
    assert most <= top <= max(2, 2 * most)
    assert top % 2 == 0


def test_a_picture_that_there_is_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"no function picture in venue_assets/pictures/waterfall\.py"):
        module._picture(tmp_path / "kpi.yaml", "waterfall")
    with pytest.raises(CatalogueError, match=r"no function picture in venue_assets/pictures/svg\.py"):
        module._picture(tmp_path / "kpi.yaml", "svg")


def test_a_run_of_dagster_logs_key_figures_and_pictures(home: Home) -> None:
    simulate(home.site, home.landing, Options(DAY, days=1, visits=60))
    with open_instance(home) as instance:
        (outcome,) = materialize(home, instance, [DAY], tables=upstream("primary_metrics", "hourly_metrics"))
        assert outcome.success
        logged = {}
        for name in ("primary_metrics", "hourly_metrics", "sessions"):
            event = instance.get_latest_materialization_event(dg.AssetKey(name))
            assert event is not None
            assert event.asset_materialization is not None
            logged[name] = event.asset_materialization.metadata
    shown = {
        n: v.value
        for n, v in logged["primary_metrics"].items()
        if isinstance(v, dg.IntMetadataValue | dg.FloatMetadataValue)
    }
    for row in rows(home, "primary_metrics", DAY):
        for metric in METRICS:
            assert shown.get(f"{metric} · {row['venue_id']}") == (None if row[metric] is None else float(row[metric]))  # type: ignore[arg-type]
    for name, sentence in (
        ("primary_metrics", "of those who passed walked in"),
        ("hourly_metrics", "most people walked in"),
    ):
        picture = str(logged[name]["picture"].value)
        (encoded,) = re.findall(r"base64,([^)]+)\)", picture)
        assert any(sentence in said for said in words(base64.b64decode(encoded).decode()))
    assert not [n for n in logged["sessions"] if " · " in n]
