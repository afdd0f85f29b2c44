"""The `venue` command. Thin: each command says what it did, where the result lies and what to do next.

app.py          `venue` itself: which commands there are, and how wrong input or a full disk ends
arguments.py    what people type: dates, ranges, tables, shared options; UserError
making.py       commands that make landed records: demo, simulate, import
running.py      commands that compute: materialize, status, rerun, publish
report.py       the command that renders a report: report
looking.py      commands that look: query, ui, doctor
experiment/     commands about experiments: list, size, show, simulate
landing.py      commands about the landing service: landing, landing token

demo.py         the demonstration: simulate, keep apart what is not its own, reconcile
demo_report.py  what the demonstration shows at its end
standing.py     how every date stands, layer by layer
empty_dates.py  dates for which nothing landed: computed, refused or withdrawn
query.py        SQL over the lake, and nothing but reading it
rows.py         the rows of an answer, as a table, CSV or JSON
serve.py        the Dagster UI
doctor.py       what is wrong with this installation
disk.py         whether folders can be written, and how much room there is
show.py         tables, progress and sentences on the terminal
"""

from venue_assets.cli.app import main

__all__ = ["main"]
