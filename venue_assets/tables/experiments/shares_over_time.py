"""How the shares of a bandit's arms have moved since its first date, and what is planned: charts and their finding."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Any, Final

import duckdb

from venue_assets.pictures.shares import Chart, Panel
from venue_assets.tables.experiments.wording import quoted, unit_words

_GIVEN: Final = """
SELECT s.experiment_id, s.leaf, s.assigned_on, s.arm, (s.units + s.refused)::BIGINT AS units
FROM bandit_statistics AS s
JOIN experiment_arms AS a ON a.experiment_id = s.experiment_id AND a.arm = s.arm
"""
_EXPERIMENTS: Final = "SELECT experiment_id, first_date, unit, reward_days FROM experiments"
_LEVEL: Final = 0.005
"""Shares that are written alike do not lead each other."""

Given = dict[date, dict[str, int]]
"""Units by date and arm."""
Row = Mapping[str, Any]


def over_time(con: duckdb.DuckDBPyConnection, rows: Sequence[Row]) -> Iterator[Chart]:
    """One chart per bandit with shares in `rows` of bandit_allocations, from that table's inputs."""
    given: dict[tuple[str, int], Given] = defaultdict(lambda: defaultdict(dict))
    for experiment_id, leaf, day, arm, units in con.sql(_GIVEN).fetchall():
        given[experiment_id, leaf][day][arm] = units
    experiments = {row[0]: row[1:] for row in con.sql(_EXPERIMENTS).fetchall()}
    for experiment_id, own in groupby(rows, lambda row: row["experiment_id"]):
        leaves = [list(of_leaf) for _, of_leaf in groupby(own, lambda row: row["leaf"])]
        yield _chart(leaves, [given[experiment_id, rows[0]["leaf"]] for rows in leaves], *experiments[experiment_id])


def _chart(
    leaves: Sequence[Sequence[Row]], given: Sequence[Given], first_date: date, unit: str, reward_days: int
) -> Chart:
    """Of one bandit; `leaves` are the rows of each leaf, `given` what its units were given."""
    (units, _), plans = unit_words(unit), [{row["arm"]: row["share"] for row in rows} for rows in leaves]
    heads = [rows[0] for rows in leaves]
    expected = [head["forecast"] for head in heads]
    together = Panel(f"all {units} (about {sum(expected):,} expected)", _summed(given), _weighted(plans, expected))
    groups = [
        Panel(f"leaf {head['leaf']}: {head['rule']} (about {head['forecast']:,} expected)", of, plan)
        for head, of, plan in zip(heads, given, plans, strict=True)
    ]
    apart, next_date = len(leaves) > 1, heads[0]["event_date_of_shares"]
    return Chart(
        f"{heads[0]['experiment_id']}: {_finding(units, next_date, together, plans)}",
        _remark(units, reward_days, regrouped=apart and bool(together.given)),
        list(plans[0]),
        first_date,
        next_date,
        [together, *groups] if apart else [together],
    )


def _summed(by_leaf: Sequence[Given]) -> Given:
    total: Given = defaultdict(lambda: defaultdict(int))
    for of_leaf in by_leaf:
        for day, of_arm in of_leaf.items():
            for arm, units in of_arm.items():
                total[day][arm] += units
    return total


def _weighted(plans: Sequence[Mapping[str, float]], forecasts: Sequence[int]) -> dict[str, float]:
    """The share of each arm among all units that are expected."""
    return {
        arm: sum(plan[arm] * n for plan, n in zip(plans, forecasts, strict=True)) / sum(forecasts) for arm in plans[0]
    }


def _finding(units: str, next_date: date, together: Panel, plans: Sequence[Mapping[str, float]]) -> str:
    known = sorted(together.given.items())
    leading = _leading(together.planned)
    named = [quoted(arm)[0] for arm in leading]
    share, of = _percent(together.planned[leading[0]]), f"of the {units} planned for {next_date}"
    if len(leading) == len(together.planned):
        said = f"no arm leads, each gets {share} {of}"
    elif len(leading) > 1:
        said = f"arms {' and '.join(named)} lead, each with {share} {of}"
    elif not known:
        said = f"nothing is known of the arms yet, arm {named[0]} begins with {share} {of}"
    else:
        day, of_arm = known[0]
        first, now = of_arm.get(leading[0], 0) / sum(of_arm.values()), together.planned[leading[0]]
        way = "as" if _percent(first) == share else "up from" if now > first else "down from"
        said = f"arm {named[0]} leads with {share} {of}, {way} {_percent(first)} on {day}"
    others = sum(not set(leading) & set(_leading(plan)) for plan in plans)
    if others:
        said += f"; another arm leads in {others} of {len(plans)} groups"
    return said


def _leading(shares: Mapping[str, float]) -> list[str]:
    most = max(shares.values())
    return [arm for arm, share in shares.items() if most - share < _LEVEL]


def _remark(units: str, reward_days: int, *, regrouped: bool) -> str:
    said = [f"Share of each arm in the {units} of each date, and (right) the share that is planned for the next one."]
    if regrouped:
        said.append("The groups are those of the tree now in force, on earlier dates too.")
    if reward_days:
        dates = "date is" if reward_days == 1 else f"{reward_days} dates are"
        said.append(f"The last {dates} empty: the rewards of these {units} are not complete yet.")
    return " ".join(said)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
