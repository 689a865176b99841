"""Helpers for `preprocessing_fn` where tf.Transform has none ready: `from mlproject import
preprocessing as pp`.

Each is a few lines over tf.Transform's analyzers and TensorFlow's operations, so that it lives in
the transform graph and nowhere else: the same in analysis, in training and in serving. A missing
value has one meaning for all of them (`columns.py`); some keep it, the others leave none.
`docs/preprocessing.md` lists them.
"""

from mlproject.preprocessing.categories import (
    count_encode,
    frequency_encode,
    group_rare,
    hash_encode,
    ordinal_encode,
)
from mlproject.preprocessing.columns import MISSING_INT, densify, missing_indicator
from mlproject.preprocessing.combinations import cross, polynomial
from mlproject.preprocessing.dates import DATE_PARTS, date_parts
from mlproject.preprocessing.iso8601 import parse_iso8601
from mlproject.preprocessing.missing import fill_missing, impute
from mlproject.preprocessing.names import transformed_name
from mlproject.preprocessing.numeric import (
    bucketize,
    clip_outliers,
    cyclic,
    robust_scale,
    signed_log1p,
    z_score,
)
from mlproject.preprocessing.text import (
    bag_of_words,
    split_words,
    text_length,
    tf_idf,
    token_ids,
)

__all__ = [
    "DATE_PARTS",
    "MISSING_INT",
    "bag_of_words",
    "bucketize",
    "clip_outliers",
    "count_encode",
    "cross",
    "cyclic",
    "date_parts",
    "densify",
    "fill_missing",
    "frequency_encode",
    "group_rare",
    "hash_encode",
    "impute",
    "missing_indicator",
    "ordinal_encode",
    "parse_iso8601",
    "polynomial",
    "robust_scale",
    "signed_log1p",
    "split_words",
    "text_length",
    "tf_idf",
    "token_ids",
    "transformed_name",
    "z_score",
]
