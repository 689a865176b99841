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
of its path are doubled, from 16 up to 512, while the error is over `TOLERANCE` of the range of the
predictions on the way (each kink of a ReLU costs some). Where the mean error is still over it then,
gradients cannot explain the model (one that rounds or compares its inputs has none): the float
features become players of their own, which adds up exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.errors import ConfigError, ServingError
from mlproject.explanation.attribution import Attribution, Share, sum_to_raw
from mlproject.explanation.coalitions import Joins, joins_of
from mlproject.explanation.game import Game, Player
from mlproject.raw_inputs import MISSING_INT

if TYPE_CHECKING:
    import numpy as np

    from mlproject.explanation.model import Rows, TransformedModel

TOLERANCE = 5e-3
FLOAT_NOISE = 1e-6  # of float32 predictions, relative
FIRST_STEPS, MAX_STEPS = 16, 512
SEED = 42
SMOOTH = 0  # the player of all float features


@dataclass(frozen=True)
class Added:
    """What each feature adds, and how it was found.

    Attributes:
        attributions: Transformed feature -> what it adds; features that do not move add 0.
        steps: Points of the path integral, at most; 0 without gradients.
        permutations: Orders drawn; None where all count.
    """

    attributions: Mapping[str, float]
    steps: int
    permutations: int | None


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
        Share(n, _plain(there[n][0]), added.attributions.get(n, 0.0)) for n in model.specs
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


def explain(
    model: TransformedModel, there: Rows, base: Rows, output: int, steps: int | None, seed: int
) -> Added:
    """What each transformed feature adds on the way from one row to another.

    Args:
        model: The model.
        there: The row, transformed: feature -> `[1, ...]`.
        base: The baseline, transformed.
        output: The output that is explained.
        steps: Points of the path integral; None for as many as needed.
        seed: Of the orders.
    """
    import numpy as np

    moved = [name for name in there if not np.array_equal(there[name], base[name])]
    smooth = tuple(name for name in moved if _has_path(there[name], base[name]))
    jumping = [(name,) for name in moved if name not in smooth]
    if smooth:
        game = Game(model, there, base, output, [smooth, *jumping])
        joins = joins_of(1 + len(jumping), seed)
        gains, tolerance = _gains(game, joins)
        integral = _integrate(game, joins, gains, smooth, steps, tolerance)
        if integral is not None:
            shares, used = integral
            values = _shapley(joins, gains)[1:]
            added = {name: float(v) for (name,), v in zip(jumping, values, strict=True)}
            return Added(shares | added, used, joins.permutations)
    alone = [(name,) for name in moved]
    if not alone:
        return Added({}, 0, None)
    joins = joins_of(len(alone), seed)
    gains, _ = _gains(Game(model, there, base, output, alone), joins)
    values = _shapley(joins, gains)
    added = {name: float(v) for (name,), v in zip(alone, values, strict=True)}
    return Added(added, 0, joins.permutations)


def _gains(game: Game, joins: Joins) -> tuple[np.ndarray, float]:
    """What each join gains, and how far an integral over it may be off."""
    import numpy as np

    values = game.values(np.concatenate([joins.before, joins.after()]))
    tolerance = max(TOLERANCE * np.ptp(values), FLOAT_NOISE * np.abs(values).max())
    before, after = np.split(values, 2)
    return after - before, float(tolerance)


def _shapley(joins: Joins, gains: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.bincount(joins.players, joins.weights * gains)


def _integrate(
    game: Game,
    joins: Joins,
    gains: np.ndarray,
    names: Player,
    steps: int | None,
    tolerance: float,
) -> tuple[dict[str, float], int] | None:
    """What each float feature adds, and the points used; None where gradients do not add up."""
    import numpy as np

    mine = joins.players == SMOOTH
    before, places = np.unique(joins.before[mine], axis=0, return_inverse=True)
    weights = np.bincount(places.reshape(-1), joins.weights[mine])
    wanted = np.empty(len(before))
    wanted[places.reshape(-1)] = gains[mine]
    sums = np.zeros((len(before), len(names)))
    used = steps or FIRST_STEPS
    todo = np.arange(len(before))
    while True:
        found = game.integrate(before[todo], SMOOTH, names, used)
        if found is None:
            return None
        sums[todo] = found
        errors = np.abs(sums.sum(axis=1) - wanted)
        todo = np.flatnonzero(errors > tolerance)
        if steps is not None or not len(todo):
            break
        if used >= MAX_STEPS:
            if weights @ errors > tolerance:
                return None
            break
        used *= 2
    return dict(zip(names, (weights @ sums).tolist(), strict=True)), used


def _has_path(there: np.ndarray, base: np.ndarray) -> bool:
    import numpy as np

    return there.dtype.kind == "f" and bool(np.isfinite(there).all() and np.isfinite(base).all())


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
