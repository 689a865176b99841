"""Datasets of a record as MLflow's dataset inputs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mlproject.record import Dataset, Record

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

_MLFLOW_TYPES = {"int": "long", "float": "double", "string": "string", "bytes": "binary"}


def dataset_inputs(record: Record) -> list[DatasetInput]:
    """What a step read, with its type, digest and number of rows."""
    from mlflow.entities import Dataset as MLflowDataset
    from mlflow.entities import DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    return [
        DatasetInput(
            MLflowDataset(
                name=item.name,
                digest=item.digest[:36],
                source_type=_source_type(item.uri),
                source=json.dumps({"uri": item.uri}),
                schema=json.dumps(
                    {
                        "mlflow_colspec": [
                            {"name": n, "required": False, **_mlflow_type(t)}
                            for n, t in item.columns.items()
                        ]
                    }
                ),
                profile=json.dumps({"num_rows": item.rows} | _spans(item)),
            ),
            [InputTag(MLFLOW_DATASET_CONTEXT, item.context)],
        )
        for item in record.datasets
    ]


def _spans(item: Dataset) -> dict[str, Any]:
    """Rows and digest of each span; nothing where the data has none."""
    spans = {name: {"num_rows": r, "digest": d} for name, (r, d) in item.spans.items()}
    return {"spans": spans} if spans else {}


def _mlflow_type(column_type: str) -> dict[str, Any]:
    """A column's type as MLflow writes it in a data set's schema."""
    scalar = _MLFLOW_TYPES[column_type.removesuffix(" list")]
    if column_type.endswith(" list"):
        return {"type": "array", "items": {"type": scalar}}
    return {"type": scalar}


def _source_type(uri: str) -> str:
    """Where a data set lies, in MLflow's words: `local`, `gs`, or the kind of the database."""
    scheme = uri.partition("://")[0]
    return "local" if scheme == "file" else scheme.partition("+")[0]
