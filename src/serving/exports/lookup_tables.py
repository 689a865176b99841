"""A SavedModel whose vocabularies are constants of its graph, not files beside it.

tf.Transform's tables are filled from assets when a SavedModel is loaded. TensorFlow Lite's
converter (2.16) drops that, and the converted model fails with "hashtable need to be initialized
before using". A table of constants it takes along.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlproject.errors import ServingError


def with_constant_tables(saved_model: Path, signature: str, into: Path) -> Path:
    """A SavedModel of one signature that gives the same answers and has no assets.

    Args:
        saved_model: The SavedModel.
        signature: Its signature.
        into: An empty folder for the new one.

    Returns:
        `into`; or `saved_model` itself where it has no tables.

    Raises:
        ServingError: It does not load, or has a table of other than texts to whole numbers.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    try:
        loaded = tf.saved_model.load(str(saved_model))
    except (OSError, RuntimeError, ValueError, tf.errors.OpError) as err:
        raise _unusable(f"Loading the SavedModel {saved_model} failed", err) from err
    function = loaded.signatures[signature]
    specs = dict(function.structured_input_signature[1])
    # Variables become constants; a table's handle is left, an input of the frozen function.
    frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    inputs = [tensor.op.name for tensor in frozen.graph.inputs]
    handles = {inner.op.name: outer for outer, inner in function.graph.captures}
    module = tf.Module()
    tables = {name: _constant_table(handles[name]) for name in inputs if name in handles}
    if not tables:
        return saved_model
    module.tables = list(tables.values())
    graph = _renamed(frozen.graph.as_graph_def())
    names = [tensor.name for tensor in frozen.outputs]
    outputs = sorted(function.structured_outputs)  # as a function's flat outputs are ordered

    @tf.function(input_signature=[specs])
    def answer(given: Any) -> Any:
        own = tf.compat.v1.get_default_graph()
        fed = {
            name: own.capture(tables[name].resource_handle) if name in tables else given[name]
            for name in inputs
        }
        found = tf.graph_util.import_graph_def(graph, fed, return_elements=names, name="")
        return dict(zip(outputs, found, strict=True))

    tf.saved_model.save(module, str(into), signatures={signature: answer})
    return into


def _constant_table(handle: Any) -> Any:
    import tensorflow as tf

    try:
        keys, values = tf.raw_ops.LookupTableExportV2(
            table_handle=handle, Tkeys=tf.string, Tvalues=tf.int64
        )
    except (ValueError, tf.errors.OpError) as err:
        raise _unusable("A table of the model cannot be taken along", err) from err
    entries = tf.lookup.KeyValueTensorInitializer(keys, values)
    return tf.lookup.StaticHashTable(entries, default_value=-1)  # a look-up gives its own default


def _renamed(graph: Any) -> Any:
    """The graph with names of its own for its functions: those of the first one are still known."""
    names = {
        made.signature.name: f"frozen_{made.signature.name}" for made in graph.library.function
    }
    for made in graph.library.function:
        made.attr.pop("_GrapplerSpecializedFunc", None)  # which no SavedModel may have
        made.signature.name = names[made.signature.name]
    for nodes in (graph.node, *(made.node_def for made in graph.library.function)):
        for node in nodes:
            for value in node.attr.values():
                if value.func.name in names:
                    value.func.name = names[value.func.name]
    return graph


def _unusable(failed: str, err: Exception) -> ServingError:
    return ServingError(
        failed,
        received=" ".join(str(err).split())[:300],
        expected="tables from texts to whole numbers",
        next_step="export it as a saved_model instead",
    )
