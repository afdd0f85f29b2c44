"""The command `venue report`: a page for people who look, from what is published."""

from __future__ import annotations

import shlex
import webbrowser
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import typer

from venue_assets.cli.arguments import UserError, event_date, home_with_site
from venue_assets.cli.show import relative, say
from venue_assets.home import Home

On = Annotated[str | None, typer.Option("--date", help="Event date; the last published one unless given.")]


def report(
    on: On = None,
    activity: Annotated[
        str | None, typer.Option("--activity", metavar="ID", help="An activity so far, instead of a date.")
    ] = None,
    lang: Annotated[Literal["en", "zh"], typer.Option("--lang", help="Language of the page.")] = "en",
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Render the report of an event date or an activity: one HTML file that needs nothing else.

    Example: [bold]venue report --date 2026-01-18 --lang zh --open[/], [bold]venue report --activity winter_fair[/]
    """
    if on is not None and activity is not None:
        raise UserError("--date and --activity are given; one of them is expected")
    subject = event_date(on) if on is not None else activity
    home = home_with_site()
    path = write(home, subject, lang)
    say(f"Report -> [bold]{relative(path)}[/]")
    if open_:
        open_page(path)
    else:
        again = f" --activity {shlex.quote(activity)}" if activity else f" --date {on}" if on else ""
        other = "en" if lang == "zh" else "zh"
        say(f"Next: open it in a browser, or [bold]venue report{again} --open[/]")
        say(f"      [bold]venue report{again} --lang {other}[/]  - in {'English' if lang == 'zh' else 'Chinese'}")


def write(home: Home, subject: date | str | None, lang: Literal["en", "zh"] = "en") -> Path:
    """Render and put in place. Raises UserError."""
    from venue_assets.report import CannotReport
    from venue_assets.report.files import write_report

    try:
        return write_report(home, subject, language=lang)
    except CannotReport as error:
        raise UserError(str(error)) from None


def open_page(path: Path) -> None:
    """Show a page in the browser of whoever runs this; says so where there is none."""
    if not webbrowser.open(path.resolve().as_uri()):
        say("No browser was found; open the file yourself")
