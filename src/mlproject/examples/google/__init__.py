"""Google Cloud: objects of a bucket, and rows of BigQuery."""
