"""The Schema: inferred from the statistics, or the project's reviewed file.

The artifact:

    schema.pbtxt     a TensorFlow Metadata Schema with the environments TRAINING and SERVING

    definition.py     the Schema itself: inferred, read, its environments
    file.py           the reviewed file: read, replaced whole
    text.py           its text, what did not change byte for byte
    check.py          what TFDV and tf.Transform could not use
    rules.py          a feature's rules in words
    diff.py           two schemas: widened, narrowed, changed
    conform.py        what the schema must become for the data
    accept.py         which of that is taken over, and with whose consent
    edit.py           single rules set and taken away
    thresholds.py     drift and skew for all features at once
"""

from mlproject.schema.definition import (
    SCHEMA_FILE,
    SERVING,
    TRAINING,
    feature_specs,
    infer_schema,
    is_in_environment,
    parse_schema,
    read_schema,
    serving_features,
    set_environments,
    write_schema,
)

__all__ = [
    "SCHEMA_FILE",
    "SERVING",
    "TRAINING",
    "feature_specs",
    "infer_schema",
    "is_in_environment",
    "parse_schema",
    "read_schema",
    "serving_features",
    "set_environments",
    "write_schema",
]
