"""Names in the registry: aliases, tags of a version, and the folders of its artifacts."""

from mlproject.tracking.names import TAG

CHAMPION_ALIAS, PREVIOUS_ALIAS = "champion", "previous"
TRAIN_TAG, TRAIN_RUN_TAG = f"{TAG}train_fingerprint", f"{TAG}train_run"
BASELINE_TAG = f"{TAG}baseline_version"
RECIPE_TAG, BASE_TAG = f"{TAG}recipe", f"{TAG}base_version"
REGISTER_TAG, SAMPLE_TAG = f"{TAG}fingerprint", f"{TAG}sample"
BLESSING_TAG = "blessing"
OVERRIDE_TAG = f"{TAG}override"
SAVED_MODEL, EVIDENCE, KERAS_MODEL = "saved_model", "evidence", "model.keras"
SAMPLE_FILE = "sample.json"
