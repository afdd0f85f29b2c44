"""Importing files of counts, visits and orders into the landing, as `venue import` does.

    source.py       what every reader yields, and which reader a file needs
    typed_tables.py Parquet and XLSX
    counting.py     counts: flows joined, totals, what has landed already
    landed.py       what a gateway has landed before
    importer.py     import_file: from files to segments

How a file is written is told by its column map (`edge_collector.column_map`), CSV is read by
`edge_collector.csv_lines`, what a row becomes is decided in `edge_collector.drafts`; gateways share all three.
"""

from venue_assets.importing.importer import ImportResult, import_file

__all__ = ["ImportResult", "import_file"]
