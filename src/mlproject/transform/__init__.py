"""The TransformGraph: analysed over the train split, applied to every split.

The artifact:

    transform_graph/transform_fn/            SavedModel of the graph (tf.Transform's layout)
    transform_graph/transformed_metadata/
    transform_graph/metadata/schema.pbtxt    the raw schema
    Split-train/transformed-00000.parquet    the transformed rows, in the order of the Examples
    Split-eval/...                           (several files where workers wrote them)
    on_the_fly.json                          instead of the rows: where the Examples are

Analysis runs through Beam on large record batches; what it made of each span is kept, so that a
rolling window analyses only what is new. The graph is applied in this process, batch by batch:
measured several times cheaper than through Beam, with the same values. On a cluster every worker
does the same with its partitions.
"""

from mlproject.transform.analysis import AnalyzerCache, analyze_examples
from mlproject.transform.application import TRANSFORMED_STEM, transform_examples
from mlproject.transform.graph import GRAPH_FOLDER, TransformGraph

TRANSFORMED_FILE = f"{TRANSFORMED_STEM}-00000.parquet"

__all__ = [
    "GRAPH_FOLDER",
    "TRANSFORMED_FILE",
    "AnalyzerCache",
    "TransformGraph",
    "analyze_examples",
    "transform_examples",
]
