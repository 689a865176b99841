"""The Evaluation: candidate and baseline scored on the same rows, overall and by slice.

The artifact:

    metrics.parquet        a row for each slice and model: examples, auc, accuracy, log_loss
    predictions.parquet    a row for each eval row: label, candidate, champion
    figures/               ROC and PR, score distribution, bars by slice

Both models are asked raw rows through `serving_default`, in a Session: what is judged is what
will be served. Labels come from the transform's output, in the same row order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.errors import DataError, ServingError, closest
from mlproject.examples.reader import read_batches
from mlproject.metrics import OVERALL, MetricRow
from mlproject.raw_inputs import paddable, raw_arrays
from mlproject.saved_model import OUTPUT, open_signature
from mlproject.transformed import TransformedRows, open_transformed

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

BATCH_ROWS = 10_000
MAX_SLICE_VALUES = 1_000
METRICS_FILE = "metrics.parquet"
PREDICTIONS_FILE = "predictions.parquet"


@dataclass(frozen=True)
class Scored:
    """Every eval row's label and scores.

    Attributes:
        labels: `[rows]` 0 or 1.
        scores: Model (`candidate`, `champion`) -> `[rows] float32` probabilities.
        slices: Slice column -> `[rows]` values as text (an array, or a `pandas.Categorical`);
            missing is `(missing)`.
    """

    labels: np.ndarray
    scores: dict[str, np.ndarray]
    slices: dict[str, Any]


def score_examples(
    examples_dir: Path,
    transformed_dir: Path,
    label: str,
    models: dict[str, Path],
    slice_columns: tuple[str, ...],
    on_rows: Callable[[int], None] | None = None,
) -> Scored:
    """Scores the eval split with each model, row by row the same.

    Args:
        examples_dir: The Examples (raw rows).
        transformed_dir: The transform artifact, which holds the labels.
        label: The label's column there.
        models: `candidate`, and `champion` if there is one -> SavedModel folder.
        slice_columns: Raw columns to slice by.
        on_rows: Told the rows scored so far, over all models.

    Raises:
        DataError: A slice column is missing or has more than 1,000 distinct values, the label is
            not 0 or 1, or has one class only.
    """
    import numpy as np

    split_dir = examples_dir / "Split-eval"
    labels = _read_labels(open_transformed(transformed_dir, "eval"), label)
    slices = dict(_read_slices(split_dir, slice_columns))  # first: it fails in no time
    scores: dict[str, np.ndarray] = {}
    done = 0
    for name, model_dir in models.items():
        parts = []
        with open_signature(model_dir) as predict:
            inputs = predict.input_names  # type: ignore[attr-defined]
            for batch in read_batches(split_dir, columns=None, batch_rows=BATCH_ROWS):
                for arrays in _inputs(batch, inputs, name):
                    parts.append(_probabilities(predict(arrays), model_dir))
                done += batch.num_rows
                if on_rows:
                    on_rows(done)
        scores[name] = np.concatenate(parts)
        if len(scores[name]) != len(labels):
            raise DataError(
                "Scoring the eval split failed",
                received=f"{len(scores[name])} predictions for {len(labels)} labels",
                next_step="run again with --from transform",
            )
    return Scored(labels, scores, slices)


def compute_metrics(scored: Scored, min_examples: int) -> list[MetricRow]:
    """AUC, accuracy and log loss (scikit-learn's) of each model, overall and by slice.

    Args:
        scored: Labels, scores and slices.
        min_examples: Smaller slices get no metrics.

    Returns:
        Rows: overall first, then the slices by column and falling size.
    """
    import numpy as np
    import pandas as pd
    import sklearn

    rows: list[MetricRow] = []
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        everything = np.arange(len(scored.labels))
        rows += _metric_rows(OVERALL, everything, scored, 1)
        for column, values in scored.slices.items():
            groups = pd.Categorical(values)
            names = groups.categories
            counts = np.bincount(groups.codes, minlength=len(names))
            order = np.argsort(groups.codes, kind="stable")
            bounds = np.concatenate([[0], np.cumsum(counts)])
            for index in np.argsort(-counts, kind="stable"):
                members = order[bounds[index] : bounds[index + 1]]
                rows += _metric_rows(f"{column}={names[index]}", members, scored, min_examples)
    return rows


def write_evaluation(rows: list[MetricRow], scored: Scored, out_dir: Path) -> None:
    """Writes the metrics and the predictions as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: [getattr(row, name) for row in rows] for name in MetricRow.__annotations__}
    for name in ("auc", "accuracy", "log_loss"):
        columns[name] = pa.array(columns[name], pa.float64())
    pq.write_table(pa.table(columns), out_dir / METRICS_FILE)
    pq.write_table(pa.table({"label": scored.labels, **scored.scores}), out_dir / PREDICTIONS_FILE)


def read_metrics(evaluation_dir: Path) -> list[MetricRow]:
    """Reads the metrics of an evaluation artifact."""
    import pyarrow.parquet as pq

    return [MetricRow(**row) for row in pq.read_table(evaluation_dir / METRICS_FILE).to_pylist()]


def _metric_rows(
    name: str, members: np.ndarray, scored: Scored, min_examples: int
) -> list[MetricRow]:
    from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

    labels = scored.labels[members]
    rows = []
    for model, scores in scored.scores.items():
        if len(members) < min_examples:
            rows.append(MetricRow(name, model, len(members), None, None, None))
            continue
        picked = scores[members].astype("float64")
        both = 0 < labels.sum() < len(labels)
        rows.append(
            MetricRow(
                slice=name,
                model=model,
                examples=len(members),
                auc=float(roc_auc_score(labels, picked)) if both else None,
                accuracy=float(accuracy_score(labels, picked >= 0.5)),
                log_loss=float(log_loss(labels, picked, labels=[0, 1])),
            )
        )
    return rows


def _inputs(
    batch: pa.RecordBatch, names: tuple[str, ...], model: str
) -> Iterator[dict[str, np.ndarray]]:
    missing = [name for name in names if name not in batch.schema.names]
    if missing:
        raise DataError(
            f"Scoring the eval split with the {model} failed",
            received=f"no column {', '.join(missing)} in the data",
            expected="every raw feature that the model was trained on",
            next_step="keep the column, or start a new registered model (another project name)",
        )
    for piece in paddable(batch, names):
        yield raw_arrays(piece, names)


def _probabilities(outputs: dict[str, np.ndarray], model_dir: Path) -> np.ndarray:
    import numpy as np

    values = outputs.get(OUTPUT, next(iter(outputs.values())))
    flat = np.asarray(values, dtype=np.float32).reshape(len(values), -1)
    if flat.shape[1] != 1 or not np.isfinite(flat).all() or flat.min() < 0 or flat.max() > 1:
        raise ServingError(
            f"The predictions of {model_dir} cannot be evaluated",
            received=f"shape {np.asarray(values).shape}, range {flat.min()} to {flat.max()}",
            expected="one finite probability between 0 and 1 for each row",
            next_step="end the model with one sigmoid output",
        )
    return flat[:, 0]


def _read_labels(transformed: TransformedRows, label: str) -> np.ndarray:
    import numpy as np

    parts = []
    for columns in transformed.columns():
        if label not in columns:
            raise DataError(
                "Reading the labels failed",
                received=f"no column '{label}' among the outputs of preprocessing_fn",
                expected=closest(label, columns),
                next_step="set `training.label` in project.yaml",
            )
        parts.append(columns[label].reshape(len(columns[label])))
    labels = np.concatenate(parts)
    values = np.unique(labels)
    if not np.isin(values, (0, 1)).all():
        raise DataError(
            f"The label '{label}' cannot be evaluated",
            received=f"values {', '.join(str(v) for v in values[:5])}",
            expected="0 and 1",
        )
    if len(values) < 2:
        raise DataError(
            f"The label '{label}' has one class only in the eval split",
            received=f"{len(labels)} rows, all {values[0]}",
            expected="both 0 and 1",
            next_step="give more data, or another split (`data.splits` in project.yaml)",
        )
    return labels.astype("int64")


def _read_slices(split_dir: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Each slice column as a `pandas.Categorical`: a code a row, not a text a row."""
    import pyarrow as pa

    if not columns:
        return
    first = next(read_batches(split_dir, columns=None, batch_rows=1))
    for column in columns:
        if column not in first.schema.names:
            raise DataError(
                "Slicing the eval split failed",
                received=f"evaluation.slices: {column}",
                expected=f"a column of the data ({closest(column, first.schema.names)})",
                next_step="mend `evaluation.slices` in project.yaml",
            )
        kind = first.schema.field(column).type
        if pa.types.is_list(kind) or pa.types.is_binary(kind):
            raise DataError(
                f"Slicing the eval split by '{column}' failed",
                received=f"a column of {'lists' if pa.types.is_list(kind) else 'bytes'}",
                expected="a column of text or numbers",
                next_step="drop it from `evaluation.slices` in project.yaml",
            )
        parts = [
            batch.column(0).cast(pa.string()).fill_null("(missing)")
            for batch in read_batches(split_dir, columns=[column], batch_rows=100_000)
        ]
        values = pa.chunked_array(parts).dictionary_encode().to_pandas().array
        if len(values.categories) > MAX_SLICE_VALUES:
            raise DataError(
                f"Slicing the eval split by '{column}' failed",
                received=f"{len(values.categories):,} distinct values",
                expected=f"at most {MAX_SLICE_VALUES:,}",
                next_step="bucket the column, or drop it from `evaluation.slices` in project.yaml",
            )
        yield column, values
