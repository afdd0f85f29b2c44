"""The picture of a bandit's shares: what each arm had on each date so far, group by group, and what is planned."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.conftest import compute
from tests.experiments.bandits import BANDIT, EVE, levelled, nothing, put_history, unit
from tests.experiments.lab import DAY, FIRST, make_home, put
from venue_assets.home import Home
from venue_assets.pictures.colours import ARMS as COLOURS
from venue_assets.pictures.shares import Chart, Panel, charts


class Seen:
    """A drawing as it is looked at: its texts from above to below, and per panel the columns that stand in it."""

    def __init__(self, svg: str) -> None:
        root = ElementTree.fromstring(svg)
        self.width, self.height = float(root.attrib["width"]), float(root.attrib["height"])
        self.texts: list[tuple[float, float, str]] = []
        self._columns: list[tuple[str, float, float, float, float]] = []
        self._planned: list[tuple[str, float, float]] = []
        for element in root.iter():
            of = element.attrib
            if element.tag.endswith("text"):
                self.texts.append((float(of["x"]), float(of["y"]), element.text or ""))
            elif element.tag.endswith("path"):
                for found in re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)", of["d"]):
                    x, y, wide, tall = map(float, found)
                    self._columns.append((of["fill"], x, y, wide, tall))
            elif element.tag.endswith("rect") and of["width"] == "48.0":
                self._planned.append((of["fill"], float(of["y"]), float(of["height"])))

    @property
    def words(self) -> list[str]:
        return [words for *_, words in self.texts]

    def panel(self, n: int, arms: int) -> tuple[list[dict[str, float]], dict[str, float]]:
        """The shares by colour, of each column from left to right and of the planned one."""
        planned = self._planned[n * arms : (n + 1) * arms]
        top, bottom = min(y for _, y, _ in planned), max(y + tall for _, y, tall in planned)
        columns: dict[float, dict[str, float]] = defaultdict(dict)
        for colour, x, y, _, tall in self._columns:
            if top - 1 < y < bottom:
                columns[x][colour] = round(tall / (bottom - top), 2)
        return [columns[x] for x in sorted(columns)], {c: round(tall / (bottom - top), 2) for c, _, tall in planned}

    @property
    def places(self) -> list[float]:
        """Where columns stand, from left to right."""
        return sorted({x for _, x, *_ in self._columns})


def by_arm(*shares: float) -> dict[str, float]:
    """An arm without units has no area of its colour."""
    return {colour: share for colour, share in zip(COLOURS, shares, strict=False) if share}


def drawn(home: Home, day: date) -> Seen:
    """The picture that the engine hands to the Dagster UI, with the shares that are due on a date."""
    nothing(home, day)
    *_, computed = compute(home, day, tables=["context_tree", "bandit_statistics", "bandit_allocations"])
    assert computed.table.name == "bandit_allocations"
    assert computed.picture is not None
    return Seen(computed.picture)


def given(day: date, *counts: int, start: int = 0, step: int = 1) -> list[dict[str, Any]]:
    """Units, so many with each arm; whoever is given the last arm buys."""
    arms = [arm for arm, n in zip(BANDIT["arms"], counts, strict=True) for _ in range(n)]
    return [unit(start + step * n, arm, arm == "half", day) for n, arm in enumerate(arms)]


def test_each_date_so_far_has_a_column_and_the_next_one_its_plan(tmp_path: Path) -> None:
    home = make_home(tmp_path, BANDIT | {"covariates": [], "floor": 0.1})
    put(home, "bandit_units", FIRST, given(FIRST, 10, 20, 10))
    nothing(home, FIRST + DAY)  # nobody came
    put(home, "bandit_units", FIRST + 2 * DAY, given(FIRST + 2 * DAY, 5, 0, 15, start=50))
    seen = drawn(home, FIRST + 2 * DAY)
    columns, planned = seen.panel(0, 3)
    assert columns == [by_arm(0.25, 0.5, 0.25), by_arm(0.25, 0, 0.75)]
    first, third = seen.places
    assert third - first == pytest.approx(2 * 48), "the date without units keeps its place, and stays empty"
    assert planned == by_arm(0.1, 0.1, 0.8)
    assert seen.words[:3] == [
        "voucher: arm “half” leads with 80 % of the visits planned for 2026-01-11, up from 25 % on 2026-01-08",
        "Share of each arm in the visits of each date, and (right) the share that is planned for the next one.",
        "all visits (about 20 expected)",
    ]
    assert [w for w in seen.words if re.fullmatch(r"\d+ Jan|2026|planned", w)] == [
        "8 Jan", "2026", "10 Jan", "11 Jan", "planned",
    ]  # fmt: skip
    # Names and planned shares beside the column, the control at the bottom as in it.
    assert seen.words[-6:] == ["10 %", "none", "10 %", "tea", "80 %", "half"]


def test_groups_follow_below_all_units_by_the_leaves_of_the_tree_in_force(tmp_path: Path) -> None:
    home = make_home(tmp_path, BANDIT | {"floor": 0.1})
    for day in (FIRST - 3 * DAY, FIRST - 2 * DAY, EVE):
        put_history(home, day, levelled(day))
    # Which segment a unit is in goes by its number: every third is in the first leaf, where the last arm sells.
    others = [unit(3 * n + 1, "tea" if n < 6 else "none", n < 6, FIRST) for n in range(30)]
    put(home, "bandit_units", FIRST, given(FIRST, 6, 0, 4, step=3) + others)
    seen = drawn(home, FIRST)
    headings = [words for words in seen.words if words.startswith(("all visits", "leaf"))]
    assert headings == [
        "all visits (about 40 expected)",
        "leaf 2: segment in general_keep (about 10 expected)",
        "leaf 3: segment in general_value, important_value (or unknown) (about 30 expected)",
    ]
    (together, all_planned), (first, first_planned), (second, second_planned) = (seen.panel(n, 3) for n in range(3))
    assert (together, first, second) == ([by_arm(0.75, 0.15, 0.1)], [by_arm(0.6, 0, 0.4)], [by_arm(0.8, 0.2)])
    # As many of all units as there are in the groups: the plans are weighted by what is expected of each.
    for colour in COLOURS[:3]:
        expected = 0.25 * first_planned[colour] + 0.75 * second_planned[colour]
        assert all_planned[colour] == pytest.approx(expected, abs=0.011)
    leading = [max(plan, key=plan.__getitem__) for plan in (all_planned, first_planned, second_planned)]
    assert leading == [COLOURS[1], COLOURS[2], COLOURS[1]]
    title = " ".join(seen.words[:2])
    assert title.startswith("voucher: arm “tea” leads with ")
    assert "; another arm leads in 1 of 2 groups" in title
    assert "The groups are those of the tree now in force, on earlier dates too." in " ".join(seen.words[1:5])


def test_before_the_first_date_there_is_only_the_plan_and_the_title_says_so(tmp_path: Path) -> None:
    seen = drawn(make_home(tmp_path, BANDIT | {"covariates": [], "floor": 0.1}), EVE)
    assert seen.panel(0, 3) == ([], by_arm(0.8, 0.1, 0.1))
    assert " ".join(seen.words).startswith(
        "voucher: nothing is known of the arms yet, arm “none” begins with 80 % of the visits planned for 2026-01-08"
    )


def test_dates_whose_rewards_are_not_complete_are_empty_and_the_picture_says_why(tmp_path: Path) -> None:
    home = make_home(tmp_path, BANDIT | {"covariates": [], "unit": "user", "reward_days": 2})
    put(home, "bandit_units", FIRST + 2 * DAY, given(FIRST, 10, 20, 10))
    nothing(home, FIRST, FIRST + DAY)
    seen = drawn(home, FIRST + 2 * DAY)
    assert len(seen.places) == 1
    assert "The last 2 dates are empty: the rewards of these users are not complete yet." in " ".join(seen.words[:4])
    assert "planned for 2026-01-11" in seen.words[0]


def test_two_bandits_are_drawn_below_each_other_and_none_as_a_sentence(tmp_path: Path) -> None:
    other = BANDIT | {"id": "other", "unit": "user", "arms": ["x", "y"], "covariates": []}
    home = make_home(tmp_path / "two", BANDIT | {"covariates": []}, other)
    put(home, "bandit_units", FIRST, [unit(1, "tea", 1, FIRST), unit(1, "y", 0, FIRST, experiment_id="other")])
    seen = drawn(home, FIRST)
    assert [w.partition(":")[0] for w in seen.words if ": arm" in w] == ["other", "voucher"]
    assert drawn(make_home(tmp_path / "none", BANDIT), FIRST + 29 * DAY).words == [
        "No shares are due for the next date."
    ]


# Whatever is to be drawn ----------------------------------------------------------------------------------------------


def chart(dates: int, arms: int, panels: int = 1) -> Chart:
    names = [f"arm {n} of which the name is rather long" for n in range(arms)]
    counts = {FIRST + n * DAY: {arm: 1 + (n + i) % 7 for i, arm in enumerate(names)} for n in range(dates)}
    # All but one of the arms at the same small share.
    planned = {arm: 0.02 if n else 1 - 0.02 * (arms - 1) for n, arm in enumerate(names)}
    found = [Panel(f"leaf {n}: " + "segment in important_value, new and " * 8, counts, planned) for n in range(panels)]
    return Chart("what was found " * 12, "what it means " * 12, names, FIRST, FIRST + dates * DAY, found)


@pytest.mark.parametrize("arms", [2, 5, 20])
@pytest.mark.parametrize("dates", [0, 1, 2, 14, 72, 73, 500, 2000])
def test_texts_do_not_overlap_and_nothing_leaves_the_picture(dates: int, arms: int) -> None:
    svg = charts([chart(dates, arms, 8), chart(dates, arms)])
    seen, root = Seen(svg), ElementTree.fromstring(svg)
    lines: dict[float, list[tuple[float, float]]] = defaultdict(list)
    for element in (e for e in root.iter() if e.tag.endswith("text")):
        wide = len(element.text or "") * 6.2 * float(element.attrib.get("font-size", 12)) / 12
        x = float(element.attrib["x"]) - {"start": 0, "middle": 0.5, "end": 1}[element.attrib["text-anchor"]] * wide
        y = float(element.attrib["y"])
        assert x > 0, element.text
        assert x + wide < seen.width, element.text
        assert 8 < y < seen.height, element.text
        lines[y].append((x, x + wide))
    for y, found in lines.items():
        for (_, right), (left, _) in pairwise(sorted(found)):
            assert right < left, (y, right, left)
    # Labels of one column are a line apart.
    ys = sorted({y for x, y, words in seen.texts if words.startswith("arm ")})
    assert min((b - a for a, b in pairwise(ys)), default=16) >= 15.9


@pytest.mark.parametrize(("dates", "span"), [(72, 1), (73, 7), (504, 7), (505, 28), (2016, 28), (2017, 364)])
def test_many_dates_are_drawn_as_columns_of_some_dates_each(dates: int, span: int) -> None:
    seen = Seen(charts([chart(dates, 2)]))
    assert len(seen.places) == -(-dates // span)
    said = " ".join(seen.words)
    assert (f"Each column is {span} dates." in said) == (span > 1)
    # The last column may have fewer dates, and is drawn from those.
    arms = [f"arm {n} of which the name is rather long" for n in range(2)]
    last = [day for n in range(dates) if n // span == (dates - 1) // span for day in [FIRST + n * DAY]]
    counts = [sum(chart(dates, 2).panels[0].given[day][arm] for day in last) for arm in arms]
    assert seen.panel(0, 2)[0][-1] == by_arm(*(round(n / sum(counts), 2) for n in counts))


def test_names_are_text_and_no_markup() -> None:
    evil = '<b onclick="x">&'
    panel = Panel(evil, {FIRST: {evil: 1}}, {evil: 1.0})
    seen = Seen(charts([Chart(evil, "", [evil], FIRST, FIRST + DAY, [panel])]))
    assert seen.words.count(evil) == 3
