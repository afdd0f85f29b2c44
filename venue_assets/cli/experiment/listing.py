"""`venue experiment list`: every experiment of the site, and how it stands."""

from __future__ import annotations

from typing import Any

from venue_assets.cli import show
from venue_assets.cli.arguments import home_with_site
from venue_assets.cli.experiment.shared import AsOf, as_of, asked, lake, state
from venue_assets.cli.show import relative, say, verbatim


def list_(on: AsOf = None) -> None:
    """Every experiment of site.toml, and how it stands.

    Example: [bold]venue experiment list[/], [bold]venue experiment list --date 2026-01-12[/]
    """
    home = home_with_site()
    day = as_of(home, on)
    if not home.site.experiments:
        say(f"{relative(home.site_file)} has no \\[\\[experiments]]")
        say('Next: [bold]venue query "SELECT venue_id, finding, block FROM improvement_hypotheses"[/] - what to try')
        return
    with lake(home) as con:
        statuses = {
            row["experiment_id"]: row
            for row in asked(
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
                state(e, day),
                _status(statuses.get(e.id)),
            ]
            for e in home.site.experiments
        ],
        wrap=["arms"],
    )
    say(f"Next: [bold]venue experiment show {home.site.experiments[0].id}[/]")


def _status(found: dict[str, Any] | None) -> str:
    if found is None:
        return "-"
    return f"{found['status']} of {found['analysed_on']}" if found["analysed_on"] else str(found["status"])
