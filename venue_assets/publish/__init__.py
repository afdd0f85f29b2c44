"""What analysts open: publication sets of one DuckDB file, Parquet and CSV, made current by replacing one link.

publication.py    when a new set is made and becomes current
record.py         which set there is, and what is in it
names.py          the names under which readers find things
collecting.py     which dates can be published: those whose tables fit together
building.py       one publication's files, in a folder that nobody reads yet
database.py       venue.duckdb: the layers, the record of the publication, settings; comments on all of it
parallel.py       several statements at a time on one database
star_tables.py    the schema `star`            metric_views.py   the schema `metric`
customers.py      star.dim_customer where only later dates came
small_cells.py    figures that rest on few people are left out, where site.toml says so
files.py          Parquet and CSV; a file in which nothing changed is linked, not written
safe_types.py     the column types that every reader takes
outdated.py       reports of dates that changed since they were rendered
front_page.py     the page that leads to the reports and to all else
pages.py          Power BI project and data dictionary, as their rooms write them
links.py          hard links and links by name, and what is done where there are none
allocations.py    the shares of bandits, signed for gateways
"""
