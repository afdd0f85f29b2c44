"""Column lineage: which columns of which inputs each column of a table is made of, read from the SQL itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlglot import exp, parse_one
from sqlglot.lineage import lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope

from venue_assets.tables.catalogue import Catalogue, Table


def column_lineage(catalogue: Catalogue, table: Table) -> Mapping[str, list[tuple[str, str]]]:
    """Per column of `table` the (input table, column) pairs that it is made of; references to the site are left out."""
    if table.sql is None:
        return {}
    schema: dict[str, object] = {
        name: {n: c.type for n, c in catalogue[name].columns.items()} | {"event_date": "DATE"}
        if name in catalogue.tables
        else dict(catalogue.references[name])
        for name in table.inputs
    }
    query = qualify(
        parse_one(table.sql, dialect="duckdb"), dialect="duckdb", schema=schema, validate_qualify_columns=False
    )
    _align_unions(query)
    # Trimmed selects are for people who look at the nodes, and take most of the time.
    nodes = lineage(None, query, schema, dialect="duckdb", scope=build_scope(query), trim_selects=False, copy=False)
    assert isinstance(nodes, dict)
    found = {}
    for column in table.columns:
        leaves = [
            (n.source.name, n.name.split(".")[-1].strip('"'))
            for n in nodes[column].walk()
            if isinstance(n.source, exp.Table)
        ]
        found[column] = sorted({leaf for leaf in leaves if leaf[0] in catalogue.tables})
    return found


def _align_unions(query: exp.Expr) -> None:
    """Gives the arms of each UNION BY NAME the same columns in the same order: lineage counts them by position."""
    for union in query.find_all(exp.SetOperation):
        if union.args.get("by_name"):
            names = union.named_selects
            for arm in _arms(union):
                own = {column.alias_or_name: column for column in arm.selects}
                arm.set("expressions", [own.get(name) or exp.alias_(exp.Null(), name) for name in names])


def _arms(query: exp.Expr) -> Iterator[exp.Select]:
    if isinstance(query, exp.SetOperation):
        yield from _arms(query.left)
        yield from _arms(query.right)
    else:
        assert isinstance(query, exp.Select)
        yield query
