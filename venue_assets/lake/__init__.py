"""Where partitions live and which engine computes them: landing index, Parquet store, DuckDB engine, freshness."""
