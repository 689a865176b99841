"""Examples: raw data from its sources, split, as Parquet that every later step reads.

Nothing is imported here: `ingest`, `sources` and `columns` import in milliseconds,
pyarrow and pandas come in when data is read.
"""
