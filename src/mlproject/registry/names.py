"""Names in the registry: aliases, tags of a version, and the folders of its artifacts."""

from mlproject.tracking.names import TAG

CHAMPION_ALIAS, CHALLENGER_ALIAS, PREVIOUS_ALIAS = "champion", "challenger", "previous"
STAGE_TAG = f"{TAG}stage"
TRAIN_TAG, TRAIN_RUN_TAG = f"{TAG}train_fingerprint", f"{TAG}train_run"
BASELINE_TAG = f"{TAG}baseline_version"
RECIPE_TAG, BASE_TAG = f"{TAG}recipe", f"{TAG}base_version"
REGISTER_TAG, SAMPLE_TAG = f"{TAG}fingerprint", f"{TAG}sample"
BLESSING_TAG, REASONS_TAG, INFRA_TAG = "blessing", f"{TAG}reasons", f"{TAG}infra"
OVERRIDE_TAG = f"{TAG}override"
MODULE_DIGEST_TAG, SCHEMA_DIGEST_TAG = f"{TAG}module_digest", f"{TAG}schema_digest"
GIT_COMMIT_TAG = f"{TAG}git_commit"  # with `-dirty` behind it; empty outside git

# The data. Of the JSON objects the keys are splits: {"eval": 3000, "train": 12000}.
SOURCE_DIGEST_TAG = f"{TAG}source_digest"
SOURCE_URI_TAG, ROWS_TAG = f"{TAG}source_uri", f"{TAG}rows"  # JSON objects
SPANS_TAG = f"{TAG}spans"  # JSON list of [number, version or null, dated], as ingest's value

# SHA-256 of what was registered, by `integrity.model_digest`.
MODEL_DIGEST_TAG, KERAS_DIGEST_TAG = f"{TAG}model_digest", f"{TAG}keras_digest"

# Of a copy: what was copied, as URI/NAME/VERSION without secrets, and the run that made it there.
COPIED_FROM_TAG, COPIED_FROM_RUN_TAG = f"{TAG}copied_from", f"{TAG}copied_from_run"

# `benison.run.train`: the MLflow run in which the step's artifact was made.
RUN_TAG = f"{TAG}run."

SAVED_MODEL, EVIDENCE, KERAS_MODEL = "saved_model", "evidence", "model.keras"

# Inside `evidence/`.
SAMPLE_FILE, CONFIG_FILE = "sample.json", "config.json"
CODE, STATISTICS = "code", "statistics"


def versions_filter(name: str) -> str:
    """The filter of MLflow's search for the versions of a registered model."""
    quote = '"' if "'" in name else "'"
    return f"name={quote}{name}{quote}"
