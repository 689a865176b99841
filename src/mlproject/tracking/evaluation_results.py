"""An Evaluation by MLflow's own evaluation API, so that MLflow's pages and programs know it.

`mlflow.models.evaluate` is given the predictions of up to 10,000 eval rows as a dataset, and the
metrics that Benison measured on all rows; `mlflow.validate_evaluation_results` is given those of
our thresholds that MLflow can state.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlproject.metrics import HIGHER_IS_BETTER
from mlproject.tracking.names import mlflow_key

DATASET_ROWS = 10_000
LABEL, PREDICTION = "label", "prediction"


def log_evaluation(run_id: str, metrics: Mapping[str, float], predictions: Path, name: str) -> None:
    """Logs metrics to a run as an evaluation of static predictions.

    Args:
        run_id: The MLflow run.
        metrics: Metric -> value on all rows.
        predictions: A Parquet file with columns `label` and `candidate`.
        name: Name of the dataset in MLflow.
    """
    import mlflow
    from mlflow.data.pandas_dataset import from_pandas
    from mlflow.models import evaluate, make_metric

    frame = _frame(predictions)
    # An "extra metric" that gives what was measured: no metric is computed twice, or otherwise.
    measured = [
        make_metric(
            eval_fn=_gives(value),
            greater_is_better=HIGHER_IS_BETTER.get(metric, True),
            name=mlflow_key(metric).replace("/", "_"),
        )
        for metric, value in metrics.items()
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hints of MLflow about integer columns
        dataset = from_pandas(
            frame, targets=LABEL, predictions=PREDICTION, name=name, source=predictions.as_uri()
        )
        with mlflow.start_run(run_id=run_id):
            evaluate(
                data=dataset,
                extra_metrics=measured,
                evaluators="default",
                evaluator_config={"log_model_explainability": False},
            )


def validate_evaluation(evaluation: Mapping[str, Any]) -> dict[str, str]:
    """What MLflow says of those of our thresholds that it can state, as tags of a run.

    Args:
        evaluation: `candidate`, `baseline`, `thresholds` and `not_mapped`, as in
            `evaluation.mlflow_results.MlflowEvaluation`.
    """
    from mlflow.models import MetricThreshold
    from mlflow.models.evaluation import EvaluationResult
    from mlflow.models.evaluation.validation import (
        ModelValidationFailedException,
        validate_evaluation_results,
    )

    thresholds = {name: MetricThreshold(**t) for name, t in evaluation["thresholds"].items()}
    baseline = evaluation["baseline"]
    tags = {"not_stated_to_mlflow": "; ".join(evaluation["not_mapped"]) or "none"}
    if not thresholds:
        return {"mlflow_validation": "no threshold that MLflow can state", **tags}
    said = "passed"
    try:
        validate_evaluation_results(
            thresholds,
            EvaluationResult(metrics=dict(evaluation["candidate"]), artifacts={}),
            EvaluationResult(metrics=dict(baseline), artifacts={}) if baseline else None,
        )
    except ModelValidationFailedException as err:
        said = f"failed: {err}"
    return {"mlflow_validation": f"{said} ({', '.join(thresholds)})", **tags}


def _frame(predictions: Path) -> Any:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(predictions)
    batch = next(file.iter_batches(batch_size=DATASET_ROWS, columns=[LABEL, "candidate"]))
    scores = batch.column(1)
    if pa.types.is_fixed_size_list(scores.type):
        table = scores.flatten().to_numpy().reshape(len(scores), -1)
        predicted = table.argmax(axis=1)
    else:
        predicted = scores.to_numpy()
    return pd.DataFrame({LABEL: batch.column(0).to_numpy(), PREDICTION: predicted})


def _gives(value: float) -> Any:
    def measured(predictions: Any, targets: Any = None, metrics: Any = None) -> float:
        del predictions, targets, metrics
        return value

    return measured
