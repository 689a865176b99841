"""What a step says for the record: parameters, metrics and datasets, kept with its artifact.

A step never talks to MLflow. It leaves this file and a folder of figures in its artifact, and
`tracking.py` logs them once the artifact is published; so a tracking server that goes away costs
no finished work, and the next run logs what was missed.

    <artifact>/record.json     the Record
    <artifact>/figures/        pictures, tables and texts, logged as MLflow artifacts
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

RECORD = "record.json"
FIGURES = "figures"


@dataclass(frozen=True)
class Dataset:
    """A dataset that a step read.

    Attributes:
        name: Its name in MLflow.
        uri: Where it lies.
        digest: Hash of its content (hex).
        rows: Number of rows.
        context: `training`, `evaluation` or the split's name.
        columns: Column name -> type.
        spans: Span, as people name it -> number of its rows, and their digest.
    """

    name: str
    uri: str
    digest: str
    rows: int
    context: str
    columns: Mapping[str, str] = field(default_factory=dict)
    spans: Mapping[str, tuple[int, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """Everything that a step wants logged.

    Attributes:
        params: Parameter -> value.
        metrics: Metric -> value (last value).
        curves: Metric -> values by epoch, from epoch 0.
        tags: Tag -> text.
        datasets: Datasets that the step read.
        tables: File name (`x.json`) -> rows, logged as an MLflow table.
        predictions: Parquet file of the artifact with the columns `label` and `candidate`, which
            the metrics were measured on: MLflow's evaluation API is told. Empty for none.
        evaluation: What MLflow is to validate (`evaluation.mlflow_results`); empty for nothing.
    """

    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[Dataset, ...] = ()
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    predictions: str = ""
    evaluation: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Writes `record.json` in an artifact's folder."""
        (folder / RECORD).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Record:
        """Reads an artifact's record; an empty one if it has none."""
        file = folder / RECORD
        if not file.exists():
            return cls()
        values = json.loads(file.read_text(encoding="utf-8"))
        values["datasets"] = tuple(Dataset(**d) for d in values["datasets"])
        return cls(**values)


def figures_folder(out_dir: Path) -> Path:
    """The folder for a step's figures, made if needed."""
    folder = out_dir / FIGURES
    folder.mkdir(exist_ok=True)
    return folder
