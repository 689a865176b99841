"""The project of `examples/taxi`, unchanged, on the real file: 15,002 trips in Chicago."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import REPOSITORY, Done, Product

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NEIGHBOUR = REPOSITORY.parent / "shared" / "data" / "chicago_taxi" / "data.csv"
TAXI = REPOSITORY / "examples" / "taxi"


@pytest.fixture(scope="module")
def real_data() -> Path:
    file = Path(os.environ.get("BENISON_TEST_DATA") or NEIGHBOUR)
    if not file.is_file():
        pytest.skip(f"no file {file}; set BENISON_TEST_DATA to the Chicago taxi data.csv")
    return file


@pytest.fixture(scope="module")
def real(real_data: Path, make_product: Callable[..., Product]) -> tuple[Product, Done]:
    product = make_product("real")
    done = product.run("train", str(TAXI), "--data", str(real_data), "--json")
    return product, done


def test_the_example_is_blessed_on_the_real_file(real: tuple[Product, Done]) -> None:
    product, done = real
    assert done.code == 0, done.err
    outcome = done.outcome
    assert outcome["status"] == "blessed"
    assert outcome["metrics"]["auc"] >= 0.93
    assert outcome["metrics"]["accuracy"] >= 0.87
    overall = next(row for row in outcome["slices"] if row["slice"] == "overall")
    (ingest,) = product.runs(step="ingest")
    rows = [json.loads(i.dataset.profile)["num_rows"] for i in ingest.inputs.dataset_inputs]
    assert sum(rows) == 15_002
    assert overall["examples"] == min(rows)
    assert product.champion() == 1
    assert _prediction(outcome) > 0.5, "a credit card, 2.5 miles: a tip is likely"


def _prediction(outcome: dict[str, Any]) -> float:
    (value,) = outcome["sample"]["prediction"]
    return float(value)


def test_the_example_checks_against_the_real_file(real: tuple[Product, Done]) -> None:
    """The summary of the cached run: all that a person sees."""
    product, first = real
    data = first.err.splitlines()[0].partition(": ")[2]
    again = product.run("train", str(TAXI), "--data", data)
    assert again.code == 0, again.err
    assert "Nothing was run" in again.out
    assert "payment_type=Credit Card" in again.out
