"""What figures mean and how they are asked for: the registry of metrics, and the star schema that they are computed on.

    metrics.yaml  metrics.py    every metric once: label, unit, definition, SQL, DAX; other labels
    star/         star.py       the star schema: one SQL beside one contract per table, over the published layers
    query.py                    a question (metrics, by dimensions, where) as one SQL statement
    headline.py                 the key figures of a date as plain numbers, for the plots of the Dagster UI

Nothing here reads or writes data: publication, Power BI, report and dictionary are generated from it.
"""
