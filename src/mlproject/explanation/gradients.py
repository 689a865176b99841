"""Integrated gradients: what each feature of one row adds to its prediction.

Float features: the gradient along the straight path from the baseline to the row, times the way
gone (M. Sundararajan, A. Taly, Q. Yan, Axiomatic Attribution for Deep Networks, 2017,
https://arxiv.org/abs/1703.01365), by Gauss-Legendre quadrature. Integer and string features, mostly
ids of an embedding, have no path between two values: they get their Shapley values
(coalitions.py), in a game in which all float features are one more player. What that player gains
when it joins a coalition is shared among the float features by the integrated gradients of that
same move, so that

    sum of attributions = prediction - baseline's prediction

holds up to the quadrature's error, which is told. The points of the path are doubled, from 16 up
to 256, where a move's error is over `TOLERANCE` of the range of the predictions on the way; if 256
do not do (a model that rounds or compares its inputs is no smooth function of them), the float
features become players of their own, which is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.errors import ConfigError, ServingError
from mlproject.explanation.attribution import Attribution, Share, sum_to_raw
from mlproject.explanation.coalitions import Joins, joins_of
from mlproject.raw_inputs import MISSING_INT

if TYPE_CHECKING:
    import numpy as np

    from mlproject.explanation.model import Rows, TransformedModel

TOLERANCE = 1e-3
FLOAT_NOISE = 1e-6  # of float32 predictions, relative
FIRST_STEPS, MAX_STEPS = 16, 256
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
        ServingError: The model cannot be loaded or explained, or gives no number for the row.
    """
    from mlproject.explanation.baseline import baseline_of
    from mlproject.explanation.model import TransformedModel
    from mlproject.saved_model.origins import read_origins
    from mlproject.warmup import read_warmup_requests

    if steps is not None and steps < 1:
        raise ConfigError("Explaining the row failed", received=f"{steps} steps", expected="1 up")
    model = TransformedModel(saved_model_dir)
    rows = read_warmup_requests(saved_model_dir) if baseline_rows is None else baseline_rows
    there, base = model.transform(row), baseline_of(model, rows)
    output, classes = _output(model, there, base, output)
    path = _Path(model, there, base, output)
    found = path.explain(steps, seed)
    features = tuple(
        Share(name, _plain(there[name]), found.attributions.get(name, 0.0)) for name in model.specs
    )
    raw_values = {name: _raw_value(array) for name, array in row.items()}
    return Attribution(
        prediction=found.prediction,
        baseline=found.baseline,
        output=output if classes > 1 else None,
        transformed=features,
        raw=sum_to_raw(features, read_origins(saved_model_dir), raw_values),
        steps=found.steps,
        permutations=found.permutations,
        baseline_rows=sum(len(next(iter(r.values()))) for r in rows),
    )


@dataclass(frozen=True)
class _Found:
    attributions: dict[str, float]
    prediction: float
    baseline: float
    steps: int
    permutations: int | None


class _Path:
    """From the baseline to the row: every feature that differs, each on its own way."""

    def __init__(self, model: TransformedModel, there: Rows, base: Rows, output: int) -> None:
        import numpy as np

        self._model, self._there, self._base, self._output = model, there, base, output
        moved = [n for n in there if not np.array_equal(there[n], base[n])]
        self._smooth = tuple(n for n in moved if there[n].dtype.kind == "f")
        self._jumping = tuple(n for n in moved if n not in self._smooth)

    def explain(self, steps: int | None, seed: int) -> _Found:
        """The attributions; of float features by gradients, unless these do not add up."""
        found = self._by_gradients(steps, seed) if self._smooth else None
        if found is None:
            found = self._by_joins([(n,) for n in (*self._smooth, *self._jumping)], None, seed)
        return found

    def _by_gradients(self, steps: int | None, seed: int) -> _Found | None:
        players = [self._smooth, *((name,) for name in self._jumping)]
        return self._by_joins(players, steps or 0, seed)

    def _by_joins(self, players, steps, seed):  # type: ignore[no-untyped-def]
        raise NotImplementedError
