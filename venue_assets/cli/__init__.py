"""The `venue` command. Thin: each command says what it did, where the result lies and what to do next.

app.py          `venue` itself: which commands there are, and how wrong input ends
arguments.py    what people type: dates, ranges, tables, shared options; UserError
making.py       commands that make landed records: demo, simulate, import
running.py      commands that compute: materialize, status, rerun, publish
looking.py      commands that look: query, ui, doctor

demo.py         the demonstration: simulate, keep apart what is not its own, reconcile
demo_report.py  what the demonstration shows at its end
standing.py     how every date stands, layer by layer
query.py        SQL over the lake
serve.py        the Dagster UI
doctor.py       what is wrong with this installation
show.py         tables, progress and sentences on the terminal
"""

from venue_assets.cli.app import main

__all__ = ["main"]
