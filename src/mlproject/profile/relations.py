"""How features go together: correlations, Cramér's V, and what each says about the label.

All on a sample of the rows (`rows.read_rows`). A row counts for a pair where both values are there.

- Pearson: the linear correlation, -1 to 1. Spearman: Pearson's of the ranks (of all values of a
  column), -1 to 1.
- Cramér's V of two categorical features, 0 to 1, bias-corrected (Bergsma 2013,
  https://doi.org/10.1016/j.jkss.2012.10.002).
- Association with the label: the mutual information of feature and label as a share of the
  label's entropy (Theil's uncertainty coefficient, 0 to 1). Numbers are cut into 20 parts of equal
  size, texts into their 50 most frequent values and the rest, a missing feature is a value of its
  own. What chance alone gives, (r - 1)(c - 1) / 2n nats (Miller and Madow 1955), is taken off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mlproject.profile.codes import Codes, Floats, any_codes, category_codes, numeric_columns
from mlproject.profile.contingency import cramers_v, uncertainty_coefficient
from mlproject.profile.correlation import pearson, ranks

MAX_NUMERIC = 40
MAX_CATEGORICAL = 25
MAX_ASSOCIATED = 500  # features whose association is computed


@dataclass(frozen=True)
class Matrix:
    """A symmetric measure of pairs.

    Attributes:
        names: The features.
        values: `[names, names]`; NaN where a pair has no value.
        left_out: Features that there was no room for.
    """

    names: tuple[str, ...]
    values: Floats
    left_out: int = 0


@dataclass(frozen=True)
class Relations:
    """How the features of a sample go together.

    Attributes:
        rows: Rows of the sample.
        pearson, spearman: Of the numeric features that vary.
        cramers_v: Of the categorical features.
        label: The label.
        association: Feature -> share of the label's entropy (0 to 1), the largest first.
        note: Why there is no association, where there is none.
    """

    rows: int
    pearson: Matrix
    spearman: Matrix
    cramers_v: Matrix
    label: str | None = None
    association: tuple[tuple[str, float], ...] = ()
    note: str = ""


def relate(sample: pa.Table, label: str | None, note: str = "") -> Relations:
    """Find how the columns of a sample go together.

    Args:
        sample: Columns of numbers and texts.
        label: The label, a column of the sample; None to leave its association out.
        note: Why it is left out.
    """
    numeric = numeric_columns(sample)
    spread = {n: v for n, v in numeric.items() if np.nanmax(v) > np.nanmin(v)}
    some = dict(list(spread.items())[:MAX_NUMERIC])
    stacked = np.stack(list(some.values()), axis=1) if some else np.zeros((0, 0))
    names, left = tuple(some), len(spread) - len(some)
    categories = category_codes(sample, numeric)
    chosen = dict(list(categories.items())[:MAX_CATEGORICAL])
    found: tuple[tuple[str, float], ...] = ()
    if label is not None:
        found, note = _associations(sample, numeric, label)
    return Relations(
        rows=sample.num_rows,
        pearson=Matrix(names, pearson(stacked), left),
        spearman=Matrix(names, pearson(ranks(stacked)), left),
        cramers_v=_cramers_v(chosen, len(categories) - len(chosen)),
        label=label,
        association=found,
        note=note,
    )


def _associations(
    sample: pa.Table, numeric: Mapping[str, Floats], label: str
) -> tuple[tuple[tuple[str, float], ...], str]:
    wanted = any_codes(sample, numeric, label)
    if wanted is None or wanted.max(initial=-1) < 1:
        return (), f"'{label}' has fewer than two values"
    found = {}
    for name in [n for n in sample.column_names if n != label][:MAX_ASSOCIATED]:
        own = any_codes(sample, numeric, name)
        if own is not None:
            own = np.where(own < 0, own.max(initial=-1) + 1, own)
            found[name] = uncertainty_coefficient(own, wanted)
    return tuple(sorted(found.items(), key=lambda pair: -pair[1])), ""


def _cramers_v(codes: Mapping[str, Codes], left_out: int) -> Matrix:
    names = tuple(codes)
    values = np.full((len(names), len(names)), np.nan)
    for row, one in enumerate(names):
        values[row, row] = 1.0
        for column, two in enumerate(names[:row]):
            values[row, column] = values[column, row] = cramers_v(codes[one], codes[two])
    return Matrix(names, values, left_out)
