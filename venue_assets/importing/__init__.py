"""Importing files of counts, visits and orders into the landing, as `venue import` does.

    source.py       what every reader yields, and which reader a file needs
    typed_tables.py Parquet and XLSX
    counting.py     counts: flows joined, totals, what has landed already
    landed.py       what a gateway has landed before
    importer.py     import_file: from files to segments

How a file is written, how CSV is read and what a row becomes is decided in `edge_collector.foreign_files`, which
gateways share.
"""

from venue_assets.importing.importer import ImportResult, import_file

__all__ = ["ImportResult", "import_file"]
