"""What is known of a model and its data, as names and texts; what is not stated is empty. Pure."""

from __future__ import annotations

import json

from mlproject.report.about import About


def stated_model(about: About) -> dict[str, str]:
    """Name -> text of what is known of the model and its run."""
    versions = ", ".join(f"{name} {version}" for name, version in about.versions.items())
    return {
        "candidate": about.model,
        "MLflow run": about.mlflow_run_id,
        "created": about.created,
        "champion": (
            f"version {about.champion_version}" if about.champion_version else "there is none yet"
        ),
        "task": about.task,
        "label": about.label,
        "hyperparameters": ", ".join(
            f"{name} = {json.dumps(value, ensure_ascii=False, default=str)}"
            for name, value in about.hyperparameters.items()
        ),
        "git commit": about.git_commit,
        "digest of the module": about.module_digest,
        "versions": versions,
    }


def stated_data(about: About) -> dict[str, str]:
    """Name -> text of what is known of the data."""
    data = about.data
    stated = {"data": data.uri, "digest of the data": data.digest}
    if data.spans:
        stated["spans"] = ", ".join(data.spans)
    stated["rows"] = ", ".join(f"{split} {rows:,}" for split, rows in data.rows.items())
    return stated
