"""The tables as a Dagster graph: assets, checks, partitions, jobs, the landing sensor and the instance they run on.

What does not belong here: how anything is computed.
"""
