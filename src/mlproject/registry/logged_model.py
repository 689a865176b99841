"""The MLflow model of a version: the SavedModel, its evidence, and a flavour that MLflow loads."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from mlproject.registry.names import EVIDENCE, KERAS_MODEL, SAMPLE_FILE, SAVED_MODEL
from mlproject.registry.values import Registration


def log_model(registration: Registration, model_id: str) -> str:
    """Fills a LoggedModel of the run; returns the model's URI."""
    import pandas as pd
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType, Array

    # MLflow takes no missing value in a "long", and no whole numbers (int64) in a "double";
    # what pandas makes of a column of integers is either. An Array takes no NaN for a missing
    # list, and cuts the NULs at the end of bytes. The flavour checks these itself.
    types = {"string": "string", "bytes": "binary"}
    columns = {c.name: types.get(c.type, AnyType()) for c in registration.columns}
    output = "float" if registration.output == "float" else Array(DataType.float)
    signature = ModelSignature(
        inputs=Schema([ColSpec(t, name, required=False) for name, t in columns.items()]),
        outputs=Schema([ColSpec(output, "predictions")]),
    )
    example = _input_example(registration)
    with tempfile.TemporaryDirectory() as folder:
        evidence = Path(folder) / EVIDENCE
        evidence.mkdir()
        write_evidence(registration, evidence)
        parts = {SAVED_MODEL: registration.saved_model, EVIDENCE: evidence}
        if registration.keras_model is not None:
            parts[KERAS_MODEL] = registration.keras_model
        logged = Model.log(
            artifact_path=None,
            flavor=_Untried,
            validate_serving_input=False,
            model_id=model_id,
            python_model=str(Path(__file__).parents[1].joinpath("pyfunc_model.py")),
            # URIs: MLflow would take a `%20` in a plain path for a space.
            artifacts={name: path.absolute().as_uri() for name, path in parts.items()},
            signature=signature,
            input_example=pd.DataFrame([example]) if example else None,
            pip_requirements=[
                f"{package}=={installed(package)}"
                for package in ("mlflow", "tensorflow", "numpy", "pandas")
            ],
            run_id=registration.run_id,
        )
    return str(logged.model_uri)


def write_evidence(registration: Registration, folder: Path) -> None:
    """Writes the files of evidence of a version, its sample row among them."""
    for name, file in registration.evidence.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / name)
    text = json.dumps(dict(registration.sample), indent=1)
    (folder / SAMPLE_FILE).write_text(text, encoding="utf-8")


def _input_example(registration: Registration) -> dict[str, Any]:
    """The sample as MLflow's flavour takes it; MLflow has no place for bytes in a list."""
    types = {c.name: c.type for c in registration.columns}
    example = {
        n: v for n, v in registration.sample.items() if types.get(n) not in (None, "bytes list")
    }
    for name, value in example.items():
        if types[name] == "bytes" and value is not None:
            encoded = isinstance(value, Mapping)
            example[name] = base64.b64decode(value["b64"]) if encoded else str(value).encode()
    return example


class _Untried:
    """MLflow's pyfunc flavour, for a log that leaves out MLflow's own trial of the model.

    The trial would import TensorFlow in a step that needs none; the step `serve` tries the model.
    """

    @staticmethod
    def save_model(*, validate_serving_input: bool, **options: Any) -> None:
        """Saves as pyfunc does, which does not know the option that its caller reads."""
        del validate_serving_input
        import mlflow.pyfunc

        mlflow.pyfunc.save_model(**options)
