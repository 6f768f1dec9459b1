"""What the batch benchmark measures: a task, its data, and those who do it."""

#: By name, where each contender and ceiling is: a module here and its function.
RUNS = {
    "pandas": ("with_pandas", "run"),
    "polars": ("with_polars", "run"),
    "duckdb": ("with_duckdb", "run"),
    "pyspark": ("with_spark", "run"),
    "read and write": ("ceilings", "read_and_write"),
    "booster": ("ceilings", "booster_alone"),
}
