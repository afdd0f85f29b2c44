"""`venue experiment`: which tests there are, how large they must be, how they stand, and a loop to try them in.

listing.py      list
sizing.py       size; planning.py has its arithmetic, over what the lake knows
showing.py      show
simulating.py   simulate: the closed loop
shared.py       which experiment is meant, as of which date, and asking the lake about it
"""

from __future__ import annotations

import typer

from venue_assets.cli.experiment.listing import list_
from venue_assets.cli.experiment.showing import show_
from venue_assets.cli.experiment.simulating import simulate
from venue_assets.cli.experiment.sizing import size

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", add_completion=False)


@app.callback()
def experiment() -> None:
    """Tests of how a venue is run: which there are, how large they must be, how they stand.

    Example: [bold]venue experiment list[/]; [bold]venue experiment COMMAND --help[/] shows more
    """


# In the order in which `venue experiment --help` lists them.
for _name, _command in (("list", list_), ("size", size), ("show", show_), ("simulate", simulate)):
    app.command(_name)(_command)
