"""What the Dagster UI shows of a table: description, columns with unit and meaning, lineage, owner, kinds, checks."""

from __future__ import annotations

import dagster as dg

from venue_assets.home import Home
from venue_assets.lake.engine import CONTRACT
from venue_assets.publish.names import DICTIONARY_PAGES, REPORTS, entry_of_table
from venue_assets.tables.catalogue import Catalogue, Table
from venue_assets.tables.lineage import column_lineage

PUBLISHED = "published"
"""The asset that stands for what analysts open."""


def asset_spec(
    catalogue: Catalogue, table: Table, partitions: dg.PartitionsDefinition[str], home: Home, *, lineage: bool
) -> dg.AssetSpec:
    """A table as an asset. Its outputs are skippable: in a range one bad date must not take the good ones with it."""
    columns = [
        dg.TableColumn(
            n,
            c.type,
            _meaning(c.description, c.unit),
            dg.TableColumnConstraints(nullable=c.nullable, unique=table.key == (n,)),
        )
        for n, c in table.columns.items()
    ]
    sources = column_lineage(catalogue, table) if lineage else {}
    deps = {
        column: [dg.TableColumnDep(asset_key=of, column_name=name) for of, name in made_of]
        for column, made_of in sources.items()
    }
    reads = (f"{name} ({w.words})" if w.words else name for name, w in catalogue.lake_inputs(table).items())
    metadata: dict[str, object] = {
        "dagster/column_schema": dg.TableSchema(columns),
        "grain": f"{table.grain} within an event date",
        "key": ", ".join(table.key),
        "reads": ", ".join(reads) or "the landing",
        "dictionary": page(home, DICTIONARY_PAGES["en"], entry_of_table(table.layer, table.name)),
    }
    if deps:
        metadata["dagster/column_lineage"] = dg.TableColumnLineage(deps)
    if table.sql:
        metadata["sql"] = dg.MetadataValue.md(f"```sql\n{table.sql}\n```")
    return dg.AssetSpec(
        key=table.name,
        # Without partition mappings: Dagster would follow a window downstream and launch every later date.
        deps=list(catalogue.lake_inputs(table)),
        description=(f"{table.description}\n\nGrain: {table.grain} within an event date. Key: {', '.join(table.key)}."),
        group_name=table.layer,
        owners=[table.owner],
        kinds={"duckdb", "parquet", "sql" if table.sql else "python"},
        metadata=metadata,
        partitions_def=partitions,
        skippable=True,
    )


def page(home: Home, name: str, anchor: str = "") -> dg.PathMetadataValue:
    """The address of a page beside the reports, for the address bar: a click copies it.

    A path and no link, because no browser follows a link from a site to a file.
    """
    address = (home.published / REPORTS / name).absolute().as_uri()
    return dg.MetadataValue.path(f"{address}#{anchor}" if anchor else address)


def published_spec(catalogue: Catalogue, partitions: dg.PartitionsDefinition[str]) -> dg.AssetSpec:
    """The publication as an asset: it reads every table."""
    return dg.AssetSpec(
        key=PUBLISHED,
        # It reads every table; the arrows from those that no other table reads are enough to see that.
        deps=[name for name in catalogue.tables if catalogue.downstream(name) == [name]],
        description=(
            "What analysts open, all of one publication: `published/venue.duckdb` with every table in a schema per "
            "layer, the star schema and a view per metric; the star as Parquet; behaviour events and primary metrics "
            "as CSV; a Power BI project; the data dictionary. Reports are rendered from it when somebody asks: "
            "`venue report`. A date is published when all its tables fit together; readers of the "
            "earlier publication keep it as long as they have it open."
        ),
        group_name="published",
        owners=["team:analytics"],
        kinds={"duckdb", "parquet"},
        partitions_def=partitions,
        skippable=True,
    )


def check_specs(table: Table) -> list[dg.AssetCheckSpec]:
    """The contract's check and those of the table's own."""
    return [
        dg.AssetCheckSpec(name, asset=table.name, description=check.description.strip(), blocking=check.blocking)
        for name, check in {"contract": CONTRACT, **table.checks}.items()
    ]


def _meaning(description: str, unit: str) -> str:
    return f"{description} [{unit}]" if unit else description
