"""The venue system: landed records become tables, tables become published figures.

tables/ what is computed, graph/ how Dagster runs it, lake/ where it lies, publish/ what analysts open,
simulate/ a venue with known truth, importing/ files of other systems, cli/ the `venue` command.
"""
