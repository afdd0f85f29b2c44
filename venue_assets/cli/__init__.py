"""The `venue` command. Thin: each command says what it did, where the result lies and what to do next.

app.py       the commands and their words
show.py      tables and progress on the terminal
demo.py      the demonstration: simulate, materialize, publish, reconcile
query.py     SQL over the lake
serve.py     the Dagster UI
doctor.py    what is wrong with this installation
"""

from venue_assets.cli.app import main

__all__ = ["main"]
