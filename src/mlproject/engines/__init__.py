"""Engines: which Beam runner a pipeline goes to, and Beam's bundles on Dask."""
