"""Asks a model the behavioural cases. Imports pyarrow at the top."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from mlproject.cases.file import check_task
from mlproject.cases.rows import changed_rows, check_columns, drawn_rows, shown, written_row
from mlproject.cases.sections import Cases, ChangedCase, DirectionalCase, GoldenCase
from mlproject.cases.values import CaseKind, CaseResult
from mlproject.errors import ConfigError, DataError, ServingError
from mlproject.evaluation.outputs import predictions_of
from mlproject.raw_inputs import paddable, raw_arrays
from mlproject.saved_model import Predict
from mlproject.sections.training import Task

ROUNDING = 1e-6  # predictions are float32: 0.3 is 0.30000001; a share of values above 1


def check_cases(
    cases: Cases, predict: Predict, rows: pa.RecordBatch, task: Task
) -> list[CaseResult]:
    """Asks a model every case.

    Args:
        cases: The cases.
        predict: The model's `serving_default`, of `open_signature` (it has `input_names`).
        rows: Raw rows of the eval split; those of cases with `rows` are drawn from them.
        task: The task.

    Returns:
        One result a case, in the order of the file.

    Raises:
        ConfigError: A case does not fit the task, the model or the data.
        DataError: The rows lack an input of the model.
    """
    check_task(cases, task)
    inputs: tuple[str, ...] = predict.input_names  # type: ignore[attr-defined]
    missing = [name for name in inputs if name not in rows.schema.names]
    if missing:
        raise DataError(
            "Asking the behavioural cases failed",
            received=f"no column {', '.join(missing)} in the eval split",
            expected="every raw feature that the model was trained on",
        )
    model = _Model(predict, inputs, task)
    results = [_golden(case, model, rows.schema) for case in cases.golden]
    for kind, changed in (("invariance", cases.invariance), ("directional", cases.directional)):
        for case in changed:
            results.append(_changed(case, kind, model, rows, cases.seed))  # type: ignore[arg-type]
    return results


class _Model:
    """A model that is asked batches of raw rows."""

    def __init__(self, predict: Predict, inputs: tuple[str, ...], task: Task) -> None:
        self._predict = predict
        self.inputs = inputs
        self.task = task

    def scores(self, batch: pa.RecordBatch) -> np.ndarray:
        """Predictions `[rows, outputs] float64`.

        Raises:
            ServingError: The model cannot be asked these rows.
        """
        parts = []
        for piece in paddable(batch, self.inputs):
            values = predictions_of(self._predict(raw_arrays(piece, self.inputs)))
            parts.append(values.reshape(piece.num_rows, -1).astype(np.float64))
        return np.concatenate(parts)

    def of_class(self, scores: np.ndarray, wanted: int | None, case: str) -> np.ndarray:
        """The predictions that a case is about: `[rows, 1]`, or all of them without a class.

        Raises:
            ConfigError: There is no such class.
        """
        if wanted is None or self.task == "regression":
            return scores
        if self.task == "binary":
            return scores if wanted == 1 else 1 - scores
        if wanted >= scores.shape[1]:
            raise ConfigError(
                f"The behavioural case '{case}' names a class that the model does not have",
                received=f"class {wanted}",
                expected=f"a class from 0 to {scores.shape[1] - 1}",
                next_step="mend the file of cases",
            )
        return scores[:, [wanted]]

    def most_probable(self, scores: np.ndarray) -> int:
        """The class of the first row."""
        return int(scores[0, 0] >= 0.5) if self.task == "binary" else int(np.argmax(scores[0]))


def _golden(case: GoldenCase, model: _Model, schema: pa.Schema) -> CaseResult:
    row = written_row(case.row, schema, model.inputs, case.name)
    try:
        scores = model.scores(row)
    except ServingError as err:
        return CaseResult(case.name, "golden", "unjudged", str(err))
    told = f"for {shown(row, 0, tuple(case.row))}"
    if not np.isfinite(scores).all():
        return CaseResult(case.name, "golden", "fail", f"predicted no finite number {told}")
    if case.expect is None and not case.has_range:
        model.of_class(scores, case.class_, case.name)
        found = model.most_probable(scores)
        passed, said = found == case.class_, f"predicted class {found} {told}"
        expected = f"class {case.class_}"
    else:
        value = float(model.of_class(scores, case.class_, case.name)[0, 0])
        low, high = case.bounds
        slack = ROUNDING * max(abs(value), 1.0)
        passed = low - slack <= value <= high + slack
        said, expected = f"predicted {value:.4g} {told}", _expected(case)
        if not passed:
            expected += f"; off by {max(low - value, value - high):.4g}"
    return CaseResult(case.name, "golden", "pass" if passed else "fail", f"{said}, {expected}")


def _expected(case: GoldenCase) -> str:
    whose = "" if case.class_ is None else f" of class {case.class_}"
    if case.expect is not None:
        return f"{case.expect:g} +- {case.tolerance:g}{whose} expected"
    bounds = (("at least", case.at_least), ("at most", case.at_most))
    parts = [f"{word} {bound:g}" for word, bound in bounds if bound is not None]
    return f"{' and '.join(parts)}{whose} expected"


def _changed(
    case: ChangedCase, kind: CaseKind, model: _Model, rows: pa.RecordBatch, seed: int
) -> CaseResult:
    check_columns(case.change, model.inputs, case.name, "an input of the model")
    if case.row is not None:
        batch = written_row(case.row, rows.schema, model.inputs, case.name)
    else:
        batch = drawn_rows(rows, case.rows or 0, case.where, seed, case.name)
        batch = pa.RecordBatch.from_arrays(
            [batch.column(batch.schema.get_field_index(n)) for n in model.inputs],
            names=list(model.inputs),
        )
    if batch.num_rows == 0:
        reason = f"no row of the eval split has {_where(case.where)}"
        return CaseResult(case.name, kind, "unjudged", reason)
    try:
        before = model.of_class(model.scores(batch), case.class_, case.name)
        tried = list(_tried(case, model, batch, before))
    except ServingError as err:
        return CaseResult(case.name, kind, "unjudged", str(err))
    return _verdict(case, kind, batch, before, tried)


def _tried(
    case: ChangedCase, model: _Model, batch: pa.RecordBatch, before: np.ndarray
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Each change that changes something: in words, the predictions, and the wrong movement."""
    for words, changed in changed_rows(batch, case):
        # What is equal to the row as it was (a value it has already) says nothing of the model.
        if changed.equals(batch):
            continue
        after = model.of_class(model.scores(changed), case.class_, case.name)
        with np.errstate(invalid="ignore"):  # infinity less infinity
            moved = after - before
        if isinstance(case, DirectionalCase):
            wrong = -moved if case.must_not == "lower" else moved
        else:
            wrong = np.abs(moved)
        # A prediction that is no finite number breaks every case.
        yield words, after, np.where(np.isfinite(moved), wrong, np.inf)


def _verdict(
    case: ChangedCase,
    kind: CaseKind,
    batch: pa.RecordBatch,
    before: np.ndarray,
    tried: list[tuple[str, np.ndarray, np.ndarray]],
) -> CaseResult:
    if not tried:
        reason = f"the change leaves all {batch.num_rows} rows as they are"
        return CaseResult(case.name, kind, "unjudged", reason)
    wrong = np.stack([moved for _, _, moved in tried])  # [changes, rows, outputs]
    size = np.maximum(np.abs(before), 1.0)
    slack = np.where(np.isfinite(size), ROUNDING * size, 0.0)
    failed = ~(wrong <= case.tolerance + slack)
    variant, place, output = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    verb = "moved"
    if isinstance(case, DirectionalCase):
        verb = "fell" if case.must_not == "lower" else "rose"
    asked = f"{batch.num_rows} row{'s' if batch.num_rows > 1 else ''}"
    if not failed.any():
        most = max(0.0, float(wrong.max()))
        changes = f"{len(tried)} change{'s' if len(tried) > 1 else ''}"
        reason = f"{asked}, {changes}: {verb} by {most:.3g} at most ({case.tolerance:g} allowed)"
        return CaseResult(case.name, kind, "pass", reason)
    words, after, _ = tried[variant]
    values = f"{before[place, output]:.4g} -> {after[place, output]:.4g}"
    count = int(failed.any(axis=(0, 2)).sum())
    reason = (
        f"{count} of {asked} {verb} by more than {case.tolerance:g}; most by "
        f"{float(wrong[variant, place, output]):.4g} ({values}) with {words} in "
        f"{shown(batch, int(place), tuple(case.change))}"
    )
    return CaseResult(case.name, kind, "fail", reason)


def _where(where: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in where.items()) or "any values"
