"""Somebody else's files: how they are written, and what their rows become.

column_map.py   which of a file's columns holds what, as TOML
csv_lines.py    CSV line by line, so that a stray quote costs its own line only
cells.py        what one cell says, as text, number, time or identifier
drafts.py       what a row becomes, or why it is rejected

What does not belong here: reading data files from disk (a watched folder's are read by `sources.folder`, others by
`venue_assets.importing`), and who the records are numbered by.
"""
