"""The system's experiment units against the simulator's truth: every arm's units and conversions, exactly."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date

import pytest

from tests.conftest import compute, rows
from tests.simulate.trying import FIRST, experiment
from venue_assets.home import Home
from venue_assets.simulate import Options, begin
from venue_assets.tables.catalogue import catalogue

UNITS = "experiment_units"
TESTS = {
    "visit": experiment(),
    "user": experiment(unit="user", reward_days=1),
    "venue_day": experiment(unit="venue_day", kpi="gmv"),
    "before_after": experiment(kind="before_after", unit="venue_day", kpi="gmv", changed_on=date(2026, 1, 10)),
}


@pytest.fixture(scope="module")
def needed() -> list[str]:
    """The table of units and everything it is made of."""
    found, open_ends = set[str](), {UNITS}
    while open_ends:
        found |= open_ends
        open_ends = {i for t in open_ends for i in catalogue()[t].inputs if i in catalogue().tables} - found
    return sorted(found)


@pytest.mark.parametrize("test", TESTS)
def test_units_and_conversions_of_each_arm(home: Home, needed: list[str], test: str) -> None:
    tried = TESTS[test]
    entry = "".join(
        f"{name} = {value if isinstance(value, date) else repr(value)}\n"
        for name, value in tried.model_dump(exclude_defaults=True).items()
    )
    shipped = home.site_file.read_text()
    home.site_file.write_text(shipped[: shipped.index("[[experiments]]")] + "[[experiments]]\n" + entry)

    run = begin(home.site, home.landing, Options(FIRST, days=4, visits=500, seed=2))
    while run.upcoming:
        run.play()
    compute(home, *run.truth.options.dates, tables=needed)
    units, conversions = Counter[tuple[str, date, str]](), defaultdict[tuple[str, date, str], float](float)
    for day in run.truth.options.dates:
        for row in rows(home, UNITS, day):
            at = (str(row["experiment_id"]), date.fromisoformat(str(row["assigned_on"])), str(row["arm"]))
            units[at] += 1
            conversions[at] += float(str(row["reward"]))

    last = run.truth.options.last_date.toordinal() - tried.reward_days
    truth = run.truth.expected.units
    mature = {at: n for at, n in truth.units.items() if at[1].toordinal() <= last}
    assert units == mature
    if tried.primary_kpi == "conversion":
        assert conversions == {at: truth.conversions[at] for at in mature}
        assert min(conversions.values()) > 0
