"""Lineage: what a model version was made of and where it went, and what came from some data.

values.py       nodes, edges and the whole; what is read of an MLflow run
record.py       what the tags of a version say
trace.py        from a version back to its data, and to its deployments
steps.py        the nodes of a version's steps
downstream.py   from data, or from a version, to the versions that came from it
text.py         the lines of the tree
layout.py       where the boxes of the picture stand
svg.py          the picture
page.py         the picture in a page, with every fact

Everything is read from MLflow (`registry/lineage_reader.py`); nothing else is asked.
"""

from mlproject.lineage.downstream import came_from
from mlproject.lineage.trace import trace
from mlproject.lineage.values import Edge, Kind, Lineage, Node

__all__ = [
    "Edge",
    "Kind",
    "Lineage",
    "Node",
    "came_from",
    "trace",
]
