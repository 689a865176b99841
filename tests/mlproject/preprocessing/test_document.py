"""docs/preprocessing.md: its code block runs, and its table is whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlproject import preprocessing as pp

DOCUMENT = Path(__file__).parents[3] / "docs" / "preprocessing.md"
ROWS = 400


@pytest.fixture(scope="module")
def documented(analyzed: Callable[..., Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The outputs of the document's function over generated trips, and its names."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    module: dict[str, Any] = {}
    exec(compile(code, str(DOCUMENT), "exec"), module)
    random = np.random.default_rng(11)
    gap = random.random(ROWS) < 0.2
    fares = np.exp(random.normal(2, 1, ROWS))
    seconds = random.integers(-(2**30), 2**31, ROWS)
    times = [f"{time}Z" for time in seconds.astype("datetime64[s]")]
    times[3] = "yesterday"
    reviews = [" ".join(random.choice(["Good", "bad", "taxi", "the"], 3)) for _ in range(ROWS)]
    columns = {
        "fare": pa.array(fares),
        "miles": pa.array(fares / 3, mask=gap),
        "pickup_at": pa.array(times, mask=gap),
        "area": pa.array(random.integers(1, 9, ROWS), mask=gap),
        "company": pa.array(random.choice(["Blue", "Green cab"], ROWS).astype(object), mask=gap),
        "review": pa.array(np.array(reviews, object), mask=gap),
        "tip": pa.array(fares * random.choice([0, 0.3], ROWS), mask=gap),
    }
    transformed = analyzed(module["preprocessing_fn"], columns)
    return transformed.apply(), module | {"gap": gap, "columns": columns, "seconds": seconds}


def test_the_documented_function_gives_what_a_model_can_take(documented: Any) -> None:
    outputs, module = documented
    for name, values in outputs.items():
        assert name == "big_tip" or name.endswith("_xf")
        assert values.shape[0] == ROWS
        assert np.isfinite(values).all(), name
    assert outputs["hour_xf"].shape == (ROWS, 2)
    assert outputs["fare_powers_xf"].shape == (ROWS, 3)
    assert outputs["review_xf"].shape == (ROWS, module["LENGTH"])
    assert outputs["review_words_xf"].shape == (ROWS, module["WORDS"])
    assert outputs["company_xf"].max() < module["COMPANIES"] + 2


def test_the_documented_function_gives_the_values_it_says(documented: Any) -> None:
    outputs, given = documented
    gap, columns = given["gap"], given["columns"]
    assert (outputs["company_xf"] == 0).tolist() == gap.tolist()
    assert (outputs["area_xf"] > 0).tolist() == (~gap).tolist()
    unread = gap | (np.arange(ROWS) == 3)
    angle = given["seconds"] // 3_600 % 24 / 24 * 2 * np.pi
    circle = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    circle[unread] = 0
    np.testing.assert_allclose(outputs["hour_xf"], circle, atol=1e-6)
    fares = columns["fare"].to_numpy().astype("float32")
    logs = np.log1p(fares.astype("float64"))
    low, middle, high = np.sort(logs)[[ROWS // 4, ROWS // 2, ROWS * 3 // 4]]
    np.testing.assert_allclose(outputs["fare_xf"], (logs - middle) / (high - low), atol=1e-5)
    assert (outputs["miles_missing_xf"] == 1).tolist() == gap.tolist()
    assert outputs["miles_xf"][gap].tolist() == [0] * gap.sum()
    tips = columns["tip"].to_numpy(zero_copy_only=False) > 0.2 * columns["fare"].to_numpy()
    assert outputs["big_tip"].tolist() == tips.astype(int).tolist()


def test_the_table_has_every_helper_and_no_other() -> None:
    rows = re.findall(r"^\| `(\w+)\(", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    helpers = [name for name in pp.__all__ if callable(getattr(pp, name))]
    assert sorted(rows) == sorted(helpers)


def test_every_part_of_a_date_is_in_the_table() -> None:
    (row,) = re.findall(r"^\| `date_parts.*$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert [part for part in pp.DATE_PARTS if f"`{part}`" not in row] == []
