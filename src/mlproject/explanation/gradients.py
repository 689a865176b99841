"""Integrated gradients: what each feature of one row adds to its prediction.

Float features: the gradient along the straight path from the baseline to the row, times the way
gone (M. Sundararajan, A. Taly, Q. Yan, Axiomatic Attribution for Deep Networks, 2017,
https://arxiv.org/abs/1703.01365), by Gauss-Legendre quadrature. Integer and string features, mostly
ids of an embedding, have no path between two values: they get their Shapley values
(coalitions.py), in a game in which all float features together are one more player. What that
player gains when it joins a coalition is shared among the float features by the integrated
gradients of that same move, so that

    sum of attributions = prediction - baseline's prediction

holds up to the quadrature's error, which is told. A move's error is known: its gain is. The points
of its path are doubled, from 16 up to 512, while the error is over 0.5 % of the range of the
predictions on the way (each kink of a ReLU costs some). Where the mean error is still over it then,
gradients cannot explain the model (one that rounds or compares its inputs has none): the float
features become players of their own, which adds up exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.errors import ConfigError, ServingError
from mlproject.explanation.attribution import Attribution, Share, sum_to_raw
from mlproject.raw_inputs import MISSING_INT

if TYPE_CHECKING:
    import numpy as np

SEED = 42


def integrated_gradients(
    saved_model_dir: Path,
    row: Mapping[str, np.ndarray],
    *,
    output: int | None = None,
    steps: int | None = None,
    baseline_rows: Sequence[Mapping[str, np.ndarray]] | None = None,
    seed: int = SEED,
) -> Attribution:
    """Explains the prediction of one row.

    Args:
        saved_model_dir: The exported model.
        row: Raw feature -> `[1, ...]`, as `serving_default` takes it.
        output: The class to explain; the predicted one if left out.
        steps: Points of the path integral, exactly; left out, as many as the tolerance needs.
        baseline_rows: Rows, like `row`, to compare with; the model's warm-up requests if left out.
        seed: Of the orders of the features, where they are too many to count all.

    Raises:
        ConfigError: There is no such class, or `steps` is below 1.
        ServingError: The model cannot be loaded or explained, or gives no number.
    """
    from mlproject.explanation.baseline import baseline_of
    from mlproject.explanation.model import TransformedModel
    from mlproject.explanation.moves import explain
    from mlproject.saved_model.origins import read_origins
    from mlproject.warmup import read_warmup_requests

    if steps is not None and steps < 1:
        raise ConfigError(
            "Explaining the row failed", received=f"{steps} steps", expected="1 or more"
        )
    model = TransformedModel(saved_model_dir)
    rows = read_warmup_requests(saved_model_dir) if baseline_rows is None else baseline_rows
    there, base = model.transform(row), baseline_of(model, rows)
    predictions = model.predict(there)[0]
    place = _output(predictions, output)
    baseline = float(model.predict(base)[0, place])
    _check_finite(float(predictions[place]), "the row", "features that were left out")
    _check_finite(baseline, "the baseline", "rows to compare with, or train the model again")
    added = explain(model, there, base, place, steps, seed)
    shares = tuple(
        Share(
            name,
            _plain(there[name][0]),
            added.attributions.get(name, 0.0),
            added.parts[name].tolist() if name in added.parts else None,
        )
        for name in model.specs
    )
    return Attribution(
        prediction=float(predictions[place]),
        baseline=baseline,
        output=place if len(predictions) > 1 else None,
        transformed=shares,
        raw=sum_to_raw(shares, read_origins(saved_model_dir), _raw_values(row)),
        steps=added.steps,
        permutations=added.permutations,
        baseline_rows=sum(len(next(iter(r.values()))) for r in rows),
    )


def _output(predictions: np.ndarray, wanted: int | None) -> int:
    """The output to explain: the one that is asked for, or the predicted class."""
    if wanted is None:
        return int(predictions.argmax())
    if len(predictions) == 1 or not 0 <= wanted < len(predictions):
        raise ConfigError(
            "There is no such class to explain",
            received=str(wanted),
            expected="no class: the model gives one number"
            if len(predictions) == 1
            else f"0 to {len(predictions) - 1}",
        )
    return wanted


def _check_finite(prediction: float, what: str, missing: str) -> None:
    if not math.isfinite(prediction):
        raise ServingError(
            f"The model gave no number for {what}",
            received=str(prediction),
            expected="a value for every feature that the schema requires",
            next_step=f"give the {missing}",
        )


def _raw_values(row: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The values of a raw row; None for those that are missing."""
    return {name: _without_stand_ins(_plain(array[0])) for name, array in row.items()}


def _without_stand_ins(value: Any) -> Any:
    if isinstance(value, list):
        return None if all(_without_stand_ins(item) is None for item in value) else value
    missing = value in ("", MISSING_INT) or (isinstance(value, float) and math.isnan(value))
    return None if missing else value


def _plain(value: Any) -> Any:
    """A value as JSON takes it."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    plain = value.tolist() if hasattr(value, "tolist") else value
    return [_plain(item) for item in plain] if isinstance(plain, list) else _text(plain)


def _text(value: Any) -> Any:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
