"""`venue experiment show`: gate, verdict and checks of one experiment; of a bandit also its groups and shares."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from edge_collector.experiment import Experiment
from venue_assets.cli import show
from venue_assets.cli.arguments import home_with_site
from venue_assets.cli.experiment.shared import AsOf, Id, as_of, asked, lake, named, state, without_shares
from venue_assets.cli.show import say, verbatim

if TYPE_CHECKING:
    import duckdb

SHARES_SHOWN: Final = 14
"""Dates of shares, unless asked for more."""


def show_(
    experiment_id: Id,
    on: AsOf = None,
    days: Annotated[int, typer.Option(min=1, max=3660, help="How many dates of shares.")] = SHARES_SHOWN,
) -> None:
    """How an experiment stands: gate, verdict, checks; of a bandit also its groups and shares.

    Example: [bold]venue experiment show voucher[/], [bold]venue experiment show voucher --date 2026-01-12 --days 30[/]
    """
    home = home_with_site()
    e = named(home.site, experiment_id)
    day = as_of(home, on)
    with lake(home) as con:
        gates = _newest(con, "sample_size_checks", e, day, "position")
        verdicts = _newest(con, "experiment_verdicts", e, day, "position, arm")
        tree = _newest(con, "context_tree", e, day, "experiment_id")
        units = asked(con, _MET, id=e.id, day=day)
        shares = asked(con, _SHARES, id=e.id, day=day, days=days)
    say(
        f"[bold]{e.id}[/]: {e.kind} at {verbatim(home.site.venue_of(e).id)}, unit {e.unit}, KPI {', '.join(e.kpi)}, "
        f"effect to find {e.minimum_effect:g}, {e.first_date}...{e.last_date}: {state(e, day)} on {day}"
    )
    if gates:
        _show_gates(gates, units[0])
    _show_verdicts(verdicts)
    if tree:
        _show_tree(tree[0], decided=any(row["status"] == "verdict" for row in verdicts))
    if shares:
        _show_shares(e, shares)
    if lacking := without_shares(home, e):
        say(f"[yellow]{verbatim(lacking)}[/]")
    if gates or tree:
        say(f"Next: [bold]venue experiment size {e.id}[/], [bold]venue status[/]")
    else:
        begins = e.first_date - timedelta(days=e.kind == "bandit")
        say(f"Nothing is computed of it as of {day}; it has figures from {begins} on")
        say(f"Next: [bold]venue materialize {begins}[/] once its dates have landed, or [bold]venue status[/]")


_MET: Final = """
SELECT count(*) AS units, count(*) FILTER (NOT matched) AS not_met
FROM experiment_units WHERE experiment_id = $id AND position = 0 AND event_date <= $day
"""
_SHARES: Final = """
SELECT event_date_of_shares AS day, leaf, arm, share, forecast
FROM bandit_allocations
WHERE experiment_id = $id AND event_date BETWEEN $day::DATE - $days::INTEGER + 1 AND $day
ORDER BY day, leaf, position
"""


def _newest(con: duckdb.DuckDBPyConnection, table: str, e: Experiment, day: date, order: str) -> list[dict[str, Any]]:
    """The experiment's rows of the newest date that has some."""
    return asked(
        con,
        f"""
        FROM {table} WHERE experiment_id = $id AND event_date = (
          SELECT max(event_date) FROM {table} WHERE experiment_id = $id AND event_date <= $day
        )
        ORDER BY {order}
        """,
        id=e.id, day=day,
    )  # fmt: skip


def _show_gates(gates: Sequence[dict[str, Any]], units: dict[str, Any]) -> None:
    columns = ("units", "worth", "required", "missing", "days to go", "detectable effect")
    names = ("n_units", "n", "required_n", "samples_needed", "days_needed", "detectable_effect")
    show.table(
        f"Gate of {gates[0]['event_date']}",
        ["arm", *columns, "enough"],
        [
            [
                verbatim(gate["arm"]),
                *(f"{v:,.4g}" if n == "detectable_effect" and v else _figure(v) for n in names for v in [gate[n]]),
                "[green]yes[/]" if gate["enough"] else "[yellow]no[/]",
            ]
            for gate in gates
        ],
        right=columns,
    )
    ratio, ok = gates[0]["sample_ratio_p"], gates[0]["sample_ratio_ok"]
    if ratio is not None:
        say(
            f"Sample ratio: p = {ratio:.3g}, "
            + ("[green]as meant[/]" if ok else "[bold red]not as meant[/]: units of an arm are lost on the way")
        )
    if left_out := sum(gate["units_left_out"] for gate in gates):
        say(f"[yellow]{left_out:,} units left out[/]: the propensities of their allocation do not add up")
    if units["not_met"]:
        say(f"{units['not_met']:,} of {units['units']:,} units were not met again: their reward is 0")


def _show_verdicts(verdicts: Sequence[dict[str, Any]]) -> None:
    for row in verdicts:
        colour = {"verdict": "green", "withheld": "bold red", "not_enough": "yellow"}.get(row["status"], "bold")
        say(f"[{colour}]{row['status']}[/] of {row['analysed_on'] or row['event_date']}: {verbatim(row['conclusion'])}")
        say(f"  {verbatim(row['conclusion_zh'])}")


def _show_tree(row: dict[str, Any], *, decided: bool) -> None:
    """The groups, by the names of covariates and values; effects, which some trees predict, not before the verdict."""
    from venue_assets.methods.conditional_inference_tree import ConditionalInferenceTree
    from venue_assets.semantic_layer.covariates import between, label, level

    remark = f"; {row['remark']}" if row["remark"] else ""
    say(f"Groups ({row['target']}), fitted on {row['fitted_on']} to {row['rows']:,} rows{verbatim(remark)}")
    nodes = ConditionalInferenceTree.from_dict(json.loads(row["tree"])).nodes

    def tell(number: int, who: str, depth: int) -> None:
        node = nodes[number - 1]
        leaf = "" if node.split else f"leaf {node.id}: "
        about = f", {verbatim(node.response)}" if node.response else ""
        told = isinstance(node.prediction, float) and (decided or not node.response)
        mean = f", mean {node.prediction:.4g}" if told else ""
        say(f"{'  ' * depth}{leaf}{verbatim(who)} ({node.n:,} rows{about}{mean})")
        if (split := node.split) is None:
            return
        if split.cut is not None:
            cut = float(split.cut)
            sides = [between(split.column, None, cut, "en"), between(split.column, cut, None, "en")]
        else:
            levels = (split.levels, split.other_levels)
            sides = [", ".join(level(split.column, one, "en") for one in of or ()) for of in levels]
        for child, side in zip(node.children, sides, strict=True):
            tell(child, f"{label(split.column, 'en')}: {side}", depth + 1)

    tell(1, "everybody", 1)


def _show_shares(e: Experiment, shares: Sequence[dict[str, Any]]) -> None:
    """One row per date and leaf; after a refit the same number is another leaf."""
    rows: dict[tuple[date, int], dict[str, float]] = {}
    forecasts = {}
    for row in shares:
        rows.setdefault((row["day"], row["leaf"]), {})[row["arm"]] = row["share"]
        forecasts[row["day"], row["leaf"]] = row["forecast"]
    days = {day for day, _ in rows}
    arms = list(dict.fromkeys([*e.arms, *(row["arm"] for row in shares)]))
    show.table(
        f"Shares of {min(days)}...{max(days)}",
        ["date", "leaf", "visits expected" if e.unit == "visit" else "users expected", *map(verbatim, arms)],
        [
            [str(day), str(leaf), _figure(forecasts[day, leaf]), *(_percent(of.get(arm)) for arm in arms)]
            for (day, leaf), of in rows.items()
        ],
        right=["leaf", "visits expected", "users expected", *map(verbatim, arms)],
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
