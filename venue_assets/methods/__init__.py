"""Methods: numerics as pure functions and classes, without Dagster and without files."""
