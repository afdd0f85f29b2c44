"""M, the language of Power Query: how each table of the star is loaded, from Parquet or over ODBC.

Paths are made of the parameter and constant names, and months come from listing a folder: a path that is computed
from another file's content would break scheduled refresh.

What does not belong here: the tables (semantic_layer/star), and what the model makes of the columns (model.py).
"""

from __future__ import annotations

from typing import Final

from venue_assets.semantic_layer.star import StarTable

FOLDER: Final = "Folder"
SOURCE: Final = "Source"
PARQUET: Final = "Parquet"
ODBC: Final = "DuckDB over ODBC"
PLACE: Final = r"C:\venue\published"
"""Where nobody's files lie: every reader sets the parameter to their own folder."""

M_TYPES: Final = {
    "BOOLEAN": "type logical",
    "INTEGER": "Int64.Type",
    "BIGINT": "Int64.Type",
    "DOUBLE": "type number",
    "DECIMAL(18,2)": "Currency.Type",
    "VARCHAR": "type text",
    "DATE": "type date",
    "TIMESTAMP": "type datetime",
}

PARAMETERS: Final = {
    FOLDER: f'"{PLACE}" meta [IsParameterQuery=true, Type="Text", IsParameterQueryRequired=true]',
    SOURCE: (
        f'"{PARQUET}" meta [IsParameterQuery=true, List={{"{PARQUET}", "{ODBC}"}}, DefaultValue="{PARQUET}", '
        'Type="Text", IsParameterQueryRequired=true]'
    ),
}

EMPTY: Final = "#table(type table [placeholder = text], {})"
"""The table that holds the measures has one hidden column and no row."""


def partition(table: StarTable) -> str:
    """The M of one table: its rows from either source, its columns with their types."""
    names = ", ".join(f'"{name}"' for name in table.columns)
    types = ",\n".join(f'        {{"{name}", {M_TYPES[c.type]}}}' for name, c in table.columns.items())
    select = ", ".join(f'""{name}""' for name in table.columns)
    return f"""\
let
{_files(table)}\
    Rows =
        if {SOURCE} = "{PARQUET}" then
            {_parquet(table)}
        else
            Odbc.Query(
                "driver={{DuckDB Driver}};database=" & {FOLDER} & "\\venue.duckdb;access_mode=READ_ONLY",
                "SELECT {select} FROM star.{table.name}"
            ),
    Chosen = Table.SelectColumns(Rows, {{{names}}}),
    Typed = Table.TransformColumnTypes(Chosen, {{
{types}
    }}, "en-US")
in
    Typed"""


def _files(table: StarTable) -> str:
    if not table.monthly:
        return ""
    return f"""\
    Months = Table.Sort(
        Table.SelectRows(Folder.Files({FOLDER} & "\\parquet\\{table.name}"), each [Extension] = ".parquet"),
        {{{{"Name", Order.Ascending}}}}
    ),
"""


def _parquet(table: StarTable) -> str:
    if table.monthly:
        return "Table.Combine(List.Transform(Months[Content], each Parquet.Document(_)))"
    return f'Parquet.Document(File.Contents({FOLDER} & "\\parquet\\{table.name}.parquet"))'
