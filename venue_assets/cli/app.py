"""`venue` itself: which commands there are, and how wrong input ends. What they do is done elsewhere."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Annotated, Any, Final

import typer

from edge_collector.foreign_files.column_map import MapError
from edge_collector.pseudonym import KeyProblem
from edge_collector.site import SiteError
from venue_assets.cli import disk, experiment, landing, looking, making, report, running, show, status
from venue_assets.cli.arguments import UserError
from venue_assets.home import VARIABLE, Home
from venue_assets.tables import CatalogueError

app = typer.Typer(
    name="venue",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(asked: bool) -> None:
    if asked:
        show.say(f"venue {metadata.version('venue-assets')}")
        raise typer.Exit


@app.callback()
def venue(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """A physical place run on data: landed records become tables, tables become published figures.

    Example: [bold]venue demo --no-ui[/], then [bold]venue status[/]; [bold]venue COMMAND --help[/] shows more
    """


# In the order in which `venue --help` lists them.
for _name, _command in (
    ("demo", making.demo),
    ("simulate", making.simulate),
    ("import", making.import_),
    ("materialize", running.materialize),
    ("status", status.status),
    ("rerun", running.rerun),
    ("query", looking.query),
    ("publish", running.publish),
    ("report", report.report),
    ("ui", looking.ui),
    ("doctor", looking.doctor),
):
    app.command(_name)(_command)
app.add_typer(experiment.app, name="experiment")
app.add_typer(landing.app, name="landing")

_USAGE_ERROR: Final[type[Any]] = typer.BadParameter.__mro__[1]
"""What is raised for options that do not exist or do not fit. Typer keeps it where its version of click lies."""


def main() -> None:
    """Run the command. Wrong input ends with exit code 2 and one clear sentence, a disk that refuses with 1 and one."""
    try:
        sys.exit(app(standalone_mode=False))
    except _USAGE_ERROR as error:
        # Without any argument the help was shown already, and there is nothing more to say.
        if message := error.format_message().replace("Value error, ", "").strip():
            show.problem(f"{message.rstrip('.')}; see: {error.ctx.command_path if error.ctx else 'venue'} --help")
    except (UserError, SiteError, MapError, KeyProblem, CatalogueError) as error:
        show.problem(str(error))
    except FileNotFoundError as error:
        show.problem(
            f"{error.filename}: no such file or folder; look at the path, or set {VARIABLE} to your data folder"
        )
    except (FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        show.problem(f"{error.filename}: {error.strerror}; look at the path, or set {VARIABLE} to your data folder")
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except Exception as error:
        if not (sentence := disk.explained(error, Home.of_environment())):
            raise
        show.problem(sentence)
        sys.exit(1)
    sys.exit(2)
