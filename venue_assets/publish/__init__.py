"""What analysts open: publication sets of one DuckDB file and Parquet, made current by replacing one link."""
