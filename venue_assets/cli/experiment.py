"""`venue experiment`: which tests there are, how large they must be, how they stand, and a loop to try them in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from edge_collector.experiment import KPIS, Experiment, Unit
from edge_collector.site import Site
from venue_assets.cli import show
from venue_assets.cli.arguments import Days, Seed, UserError, Visits, computable, event_date, home_with_site
from venue_assets.cli.making import World
from venue_assets.cli.show import relative, say, verbatim
from venue_assets.home import Home

if TYPE_CHECKING:
    import duckdb

    from edge_collector.allocation import Allocation
    from venue_assets.cli.planning import Plan
    from venue_assets.simulate import Options

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", add_completion=False)

SHARES_SHOWN: Final = 14
"""Dates of shares, unless asked for more."""
HISTORY: Final = 7
"""Dates that `simulate` plays before an experiment begins, so that something is known of it."""

AsOf = Annotated[
    str | None, typer.Option("--date", metavar="DATE", help="As of the end of this event date; else the newest one.")
]
Id = Annotated[str, typer.Argument(metavar="ID", help="Id of an experiment in site.toml.")]


@app.callback()
def experiment() -> None:
    """Tests of how a venue is run: which there are, how large they must be, how they stand.

    Example: [bold]venue experiment list[/]; [bold]venue experiment COMMAND --help[/] shows more
    """


# list -----------------------------------------------------------------------------------------------------------------


@app.command("list")
def list_(on: AsOf = None) -> None:
    """Every experiment of site.toml, and how it stands.

    Example: [bold]venue experiment list[/], [bold]venue experiment list --date 2026-01-12[/]
    """
    home = home_with_site()
    day = _as_of(home, on)
    if not home.site.experiments:
        say(f"{relative(home.site_file)} has no \\[\\[experiments]]")
        say('Next: [bold]venue query "SELECT venue_id, finding, block FROM improvement_hypotheses"[/] - what to try')
        return
    with _lake(home) as con:
        statuses = {
            row["experiment_id"]: row
            for row in _asked(
                con,
                """
                SELECT experiment_id, arg_max(status, event_date) AS status,
                  arg_max(analysed_on, event_date) AS analysed_on
                FROM experiment_verdicts WHERE event_date <= $day GROUP BY experiment_id
                """,
                day=day,
            )
        }
    show.table(
        f"{relative(home.site_file)} as of {day}",
        ["id", "venue", "kind", "unit", "KPI", "arms", "dates", "state", "verdict"],
        [
            [
                e.id,
                verbatim(home.site.venue_of(e).id),
                e.kind,
                e.unit,
                ", ".join(e.kpi),
                verbatim(", ".join(e.arms)),
                f"{e.first_date}...{e.last_date}",
                _state(e, day),
                _status(statuses.get(e.id)),
            ]
            for e in home.site.experiments
        ],
        wrap=["arms"],
    )
    say(f"Next: [bold]venue experiment show {home.site.experiments[0].id}[/]")


def _state(e: Experiment, day: date) -> str:
    if day < e.first_date:
        return "planned"
    if day <= e.last_date:
        return "running"
    return "maturing" if day <= e.matures_on else "ended"


def _status(found: dict[str, Any] | None) -> str:
    if found is None:
        return "-"
    return f"{found['status']} of {found['analysed_on']}" if found["analysed_on"] else str(found["status"])


# size -----------------------------------------------------------------------------------------------------------------


@app.command("size")
def size(
    experiment_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="An experiment of site.toml; else --kpi and --delta.")
    ] = None,
    kpi: Annotated[str | None, typer.Option(help="What is measured, such as conversion or amount.")] = None,
    delta: Annotated[float | None, typer.Option(help="Smallest effect worth knowing, in the KPI's unit.")] = None,
    rate: Annotated[
        float | None, typer.Option("--baseline", help="Conversion as it is now; else that of the last 28 dates.")
    ] = None,
    variance: Annotated[
        float | None, typer.Option(help="Variance of another KPI per unit; else that of the last 28 dates.")
    ] = None,
    venue_id: Annotated[str | None, typer.Option("--venue", help="Where; may be left out with one venue.")] = None,
    unit: Annotated[Unit | None, typer.Option(help="Of what; visit unless the KPI has another.")] = None,
    arms: Annotated[int, typer.Option(min=2, max=100, help="How many, the control counted.")] = 2,
    alpha: Annotated[float, typer.Option(help="Probability to err where there is no effect.")] = 0.05,
    power: Annotated[float, typer.Option(help="Probability to find an effect of delta.")] = 0.8,
) -> None:
    """How many units a test needs, how long that takes, and what its traffic can show.

    Example: [bold]venue experiment size voucher[/],
    [bold]venue experiment size --kpi conversion --delta 0.02 --baseline 0.14[/],
    [bold]venue experiment size --kpi amount --delta 1.5 --venue riverside[/]
    """
    home = home_with_site()
    planned = (kpi, delta, rate, variance, venue_id, unit)
    if experiment_id is not None:
        if any(value is not None for value in planned):
            raise UserError(f"{experiment_id} is given with --kpi or its like; either an ID or these are expected")
        _size_of(home, _known(home.site, experiment_id))
    elif kpi is None or delta is None:
        raise UserError("an ID, or --kpi and --delta, are expected; see: venue experiment size --help")
    else:
        e = _made_up(home.site, kpi, delta, rate, variance, venue_id, unit, arms, alpha, power)
        _size_of(home, e, rate=rate, variance=variance, planned=True)


def _made_up(
    site: Site, kpi: str, delta: float, rate: float | None, variance: float | None, venue_id: str | None,
    unit: Unit | None, arms: int, alpha: float, power: float,
) -> Experiment:  # fmt: skip
    """The experiment that is asked for, checked as one of site.toml. Raises UserError."""
    units = [of for of, kpis in KPIS.items() if kpi in kpis]
    if not units:
        known = dict.fromkeys(name for kpis in KPIS.values() for name in kpis)
        raise UserError(f"--kpi {kpi} is given; one of {', '.join(known)} is expected")
    if unit is not None and unit not in units:
        raise UserError(f"--unit {unit} is given with --kpi {kpi}; {' or '.join(units)} is expected")
    if rate is not None and (kpi != "conversion" or not 0 <= rate <= 1):
        raise UserError(f"--baseline {rate} is given with --kpi {kpi}; a share from 0 to 1 of a conversion is expected")
    if variance is not None and (kpi == "conversion" or not 0 < variance < float("inf")):
        raise UserError(
            f"--variance {variance} is given with --kpi {kpi}; a number above 0 is expected, and --baseline with "
            "conversion"
        )
    venues = [venue.id for venue in site.venues]
    if venue_id is None and len(venues) == 1:
        venue_id = venues[0]
    if venue_id not in venues and (venue_id is not None or (rate is None and variance is None)):
        raise UserError(
            f"{'no --venue' if venue_id is None else f'--venue {venue_id}'} is given; one of {', '.join(venues)} is "
            "expected"
        )
    from pydantic import ValidationError

    names = [f"arm {n}" for n in range(arms)]
    today = date.today()
    fields = {"kpi": kpi, "minimum_effect": delta, "alpha": alpha, "power": power, "arms": names}
    fields |= {"id": "planned", "venue_id": venue_id or "", "kind": "randomised", "unit": unit or units[0]}
    try:
        return Experiment.model_validate(fields | {"first_date": today, "last_date": today})
    except ValidationError as error:
        options = {"minimum_effect": "--delta"}
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise UserError(
            f"{options.get(name, f'--{name}')} {first['input']} is given; {first['msg'].removeprefix('Value error, ')}"
        ) from None


def _size_of(
    home: Home, e: Experiment, *, rate: float | None = None, variance: float | None = None, planned: bool = False
) -> None:
    from venue_assets.cli.planning import Plan, baseline, days_of, planned_variance
    from venue_assets.tables.catalogue import catalogue

    tomorrow = _as_of(home, None) + timedelta(days=1)
    venue_id = e.venue_id if planned else home.site.venue_of(e).id
    of = {"venue_id": venue_id, "unit": e.unit, "kpi": e.primary_kpi, "days": e.reward_days}
    with _lake(home) as con:
        now = baseline(con, catalogue(), **of, before=tomorrow)  # type: ignore[arg-type]
        # A test is planned with what was known before it; its own arms must not enter.
        known = now if planned else baseline(con, catalogue(), **of, before=min(tomorrow, e.first_date))  # type: ignore[arg-type]
    mean, spread = (known.mean if rate is None else rate), (known.variance if variance is None else variance)
    of_both = planned_variance(e.primary_kpi, e.minimum_effect, mean, spread)
    what = f"{e.primary_kpi} per {e.unit}" + (f" at {verbatim(venue_id)}" if venue_id else "")
    if not of_both:
        option = "--baseline RATE" if e.primary_kpi == "conversion" else "--variance NUMBER"
        why = "is the same for all units" if of_both == 0 else "is not known"
        raise UserError(
            f"{what} {why} in the 28 dates before {known.before}, so no size follows; materialize them, or give "
            f"--kpi {e.primary_kpi} --delta {e.minimum_effect} {option}"
        )
    plan = Plan(e.minimum_effect, of_both, e.alpha, e.power, e.shares, now.units_a_day)
    given = rate is not None or variance is not None
    source = "as given" if given else f"over {known.units:,} units of the 28 dates before {known.before}"
    figure = f"mean {mean:.4g}" if e.primary_kpi == "conversion" else f"variance {spread:.6g}"
    say(f"{what}: {figure}, {source}; effect to find {e.minimum_effect:g}, alpha {e.alpha:g}, power {e.power:g}")
    rows = [
        ("required units per arm", f"{plan.required_n:,} of {len(e.arms)} arms"),
        ("units a day at present", f"{now.units_a_day:,.1f}" if now.dates else f"- ({_unknown(home, venue_id)})"),
        ("days until every arm has them", show.plain(plan.days) + _shares(e)),
    ]
    if not planned:
        rows += _until_the_end(e, plan, days_of(e.first_date, e.last_date))
    show.table("", ["what", "how much"], [[name, verbatim(value)] for name, value in rows], wrap=["how much"])
    say(_next_of_size(e, planned=planned))


def _unknown(home: Home, venue_id: str | None) -> str:
    return f"no date of it lies in {relative(home.lake)}" if venue_id else "give --venue to know"


def _shares(e: Experiment) -> str:
    if e.kind == "before_after":
        return " (half of them on either side)"
    return " (under the fixed shares)" if e.kind == "bandit" else ""


def _until_the_end(e: Experiment, plan: Plan, days: int) -> Iterator[tuple[str, str]]:
    effect = plan.detectable(days)
    yield (
        f"effect that its {days} days can show",
        "-" if effect is None else f"{effect:.4g}" + (" or more" if effect > e.minimum_effect else ", enough"),
    )
    if e.kind == "bandit":
        least = plan.units_of(e.floor, days)
        reached = least >= plan.required_n
        yield (
            f"an arm at the floor ({e.floor:g}) by {e.last_date}",
            f"{least:,} units, "
            + ("enough" if reached else f"{plan.required_n - least:,} too few: it never gets there"),
        )


def _next_of_size(e: Experiment, *, planned: bool) -> str:
    if planned:
        return "Next: put it into site.toml as \\[\\[experiments]]; then [bold]venue experiment list[/]"
    return f"Next: [bold]venue experiment show {e.id}[/]"


# show -----------------------------------------------------------------------------------------------------------------


@app.command("show")
def show_(
    experiment_id: Id,
    on: AsOf = None,
    days: Annotated[int, typer.Option(min=1, max=3660, help="How many dates of shares.")] = SHARES_SHOWN,
) -> None:
    """How an experiment stands: gate, verdict, checks; of a bandit also its groups and shares.

    Example: [bold]venue experiment show voucher[/], [bold]venue experiment show voucher --date 2026-01-12 --days 30[/]
    """
    home = home_with_site()
    e = _known(home.site, experiment_id)
    day = _as_of(home, on)
    with _lake(home) as con:
        gates = _newest(con, "sample_size_checks", e, day, "position")
        verdicts = _newest(con, "experiment_verdicts", e, day, "position, arm")
        tree = _newest(con, "context_tree", e, day, "experiment_id")
        units = _asked(con, _MET, id=e.id, day=day)
        shares = _asked(con, _SHARES, id=e.id, day=day, days=days)
    say(
        f"[bold]{e.id}[/]: {e.kind} at {verbatim(home.site.venue_of(e).id)}, unit {e.unit}, KPI {', '.join(e.kpi)}, "
        f"effect to find {e.minimum_effect:g}, {e.first_date}...{e.last_date}: {_state(e, day)} on {day}"
    )
    if gates:
        _show_gates(gates, units[0])
    _show_verdicts(verdicts)
    if tree:
        _show_tree(tree[0])
    if shares:
        _show_shares(e, shares)
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
    return _asked(
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


def _show_tree(row: dict[str, Any]) -> None:
    import json

    from venue_assets.methods.conditional_inference_tree import ConditionalInferenceTree

    remark = f"; {row['remark']}" if row["remark"] else ""
    say(f"Groups ({row['target']}), fitted on {row['fitted_on']} to {row['rows']:,} rows{verbatim(remark)}")
    nodes = ConditionalInferenceTree.from_dict(json.loads(row["tree"])).nodes

    def tell(number: int, label: str, depth: int) -> None:
        node = nodes[number - 1]
        leaf = "" if node.split else f"leaf {node.id}: "
        about = f" of {verbatim(node.response)}" if node.response else ""
        mean = f", mean {node.prediction:.4g}{about}" if isinstance(node.prediction, float) else ""
        say(f"{'  ' * depth}{leaf}{verbatim(label)} ({node.n:,} rows{mean})")
        if node.split is None:
            return
        if node.split.cut is not None:
            labels = [f"{node.split.column} {sign} {node.split.cut}" for sign in ("<=", ">")]
        else:
            levels = (node.split.levels, node.split.other_levels)
            labels = [f"{node.split.column} in {', '.join(map(str, of or ()))}" for of in levels]
        for child, of_child in zip(node.children, labels, strict=True):
            tell(child, of_child, depth + 1)

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


# simulate -------------------------------------------------------------------------------------------------------------


@app.command("simulate")
def simulate(
    experiment_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Whose dates to play; the first bandit unless given.")
    ] = None,
    world: World = "one_best",
    days: Days = 30,
    visits: Visits = 2000,
    seed: Seed = 1,
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="DATE", help="First event date; a week before the experiment unless given."),
    ] = None,
) -> None:
    """Play the closed loop: each simulated day is materialized, and its shares decide the arms of the next one.

    Replaces what the gateways sim* landed, never anything else.

    Example: [bold]venue experiment simulate voucher --world by_group --days 30 --visits 500[/]
    """
    from venue_assets.cli.making import check_simulated, simulated_options

    home = home_with_site()
    site = home.site
    bandits = [e for e in site.experiments if e.kind == "bandit"]
    if experiment_id is None and not bandits:
        raise UserError(f"{home.site_file} has no bandit; give the ID of an experiment, or set one up")
    e = bandits[0] if experiment_id is None else _known(site, experiment_id)
    begins = str(max(site.opened_on, e.first_date - timedelta(days=HISTORY))) if first is None else first
    wanted = simulated_options(days, visits, seed, begins, world)
    check_simulated(home, wanted)
    _play(home, wanted)
    say(f"Next: [bold]venue experiment show {e.id} --days {days}[/]")


def _play(home: Home, wanted: Options) -> None:
    from edge_collector.allocation import read_allocation
    from venue_assets.cli import demo
    from venue_assets.cli.running import compute
    from venue_assets.publish.allocations import ALLOCATIONS, load_key
    from venue_assets.simulate import begin, remove

    key = load_key(home).public_key()
    told: list[str] = []

    def allocations(experiment_id: str, day: date) -> Allocation | None:
        """What a gateway would act on: the signed file, as it was published the evening before."""
        # On the first date there was no evening before; what lies there is another run's.
        found = (
            read_allocation(home.published / ALLOCATIONS, experiment_id, day, key) if day > wanted.first_date else None
        )
        told.append(f"{experiment_id} by {f'allocation {found.allocation_id}' if found else 'its fixed shares'}")
        return found

    (home.root / demo.TRUTH).unlink(missing_ok=True)
    remove(home.landing)
    run = begin(home.site, home.landing, wanted, allocations=allocations)
    for n in range(1, wanted.days + 1):
        told.clear()
        day = run.play()
        if n == 1:
            demo.forget_unlanded(home)
        say(f"Day {n} of {wanted.days}, {day}: landed; {', '.join(told) or 'no bandit is on'}")
        if day >= home.site.opened_on:
            compute(home, [day])
    run.truth.write(home.root / demo.TRUTH)
    say(f"Truth -> {relative(home.root / demo.TRUTH)}")


# What all of them share -----------------------------------------------------------------------------------------------


def _known(site: Site, experiment_id: str) -> Experiment:
    """Raises UserError."""
    for e in site.experiments:
        if e.id == experiment_id:
            return e
    known = ", ".join(e.id for e in site.experiments)
    raise UserError(
        f"experiment {experiment_id!r} is given; " + (f"one of {known} is expected" if known else "site.toml has none")
    )


def _as_of(home: Home, on: str | None) -> date:
    """The date that is asked for, else the newest that is computed, else today. Raises UserError."""
    if on is not None:
        return event_date(on)
    from venue_assets.lake.store import Lake

    computed = Lake(home.lake).dates("primary_metrics")
    return max(computed) if computed else computable(home.site)[1]


@contextmanager
def _lake(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """Every table as a view. Raises UserError where a partition that is asked for cannot be read."""
    import duckdb

    from venue_assets.cli.query import connect, damaged
    from venue_assets.tables.catalogue import catalogue

    try:
        with connect(home, catalogue()) as con:
            yield con
    except duckdb.Error as error:
        if not (where := damaged(error, home)):
            raise UserError(" ".join(str(error).split())) from None
        table, day = where
        raise UserError(f"{table} of {day} cannot be read; compute it again: venue materialize {day}") from None


def _asked(con: duckdb.DuckDBPyConnection, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    """The rows of an answer."""
    con.execute(sql, parameters or None)
    names = [column[0] for column in con.description or ()]
    return [dict(zip(names, row, strict=True)) for row in con.fetchall()]
