"""The figures of explanations: what they show, and what they say when there is nothing to show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlproject.explanation import Attribution, Importance, Share
from mlproject.figures.attribution import attribution_waterfall
from mlproject.figures.importance import MAX_FEATURES, importance_bars


def attribution(*shares: Share, baseline: float = 0.25) -> Attribution:
    total = baseline + sum(share.attribution for share in shares)
    return Attribution(total, baseline, None, shares, (), 16, None, 32)


def test_importances_are_drawn_from_the_most_important_down(drawn: Any, tmp_path: Path) -> None:
    found = [
        Importance("little", 0.01, -0.01, 0.03),
        Importance("much", 0.2, 0.15, 0.25),
        Importance("alone", 0.1, None, None),
        Importance("unjudged", None, None, None),
    ]
    importance_bars(found, "auc", tmp_path / "figure.png")
    said = drawn.texts()
    names = [text for text in said if text in {"little", "much", "alone", "unjudged"}]
    assert names == ["much", "alone", "little"]
    assert {"+0.2", "+0.1", "+0.01", "loss of auc"} <= set(said)
    assert any("Grey: the interval holds 0. 1 could not be judged." in text for text in said)


def test_of_many_features_the_first_are_drawn(drawn: Any, tmp_path: Path) -> None:
    found = [Importance(f"f{n}", n / 100, n / 100, n / 100) for n in range(MAX_FEATURES + 5)]
    importance_bars(found, "rmse", tmp_path / "figure.png")
    said = drawn.texts()
    assert "f44" in said
    assert "f4" not in said
    assert any(f"The first {MAX_FEATURES} of {MAX_FEATURES + 5} features." in t for t in said)


@pytest.mark.parametrize("found", [[], [Importance("a", None, None, None)]])
def test_importances_that_could_not_be_judged_say_so(
    found: list[Importance], drawn: Any, tmp_path: Path
) -> None:
    importance_bars(found, "auc", tmp_path / "figure.png")
    assert "could not be judged" in drawn.texts()


def test_the_waterfall_goes_from_the_baseline_to_the_prediction(drawn: Any, tmp_path: Path) -> None:
    found = attribution(
        Share("company", "Flash $ Cab", -0.125),
        Share("fare", 10.25, 0.5),
        Share("miles", None, 0.0),
        Share("a + b", {"a": 1, "b": 2}, 0.01),
    )
    attribution_waterfall(found, tmp_path / "figure.png", "taxi/3")
    said = drawn.texts()
    rows = ["baseline", "fare = 10.25", r"company = Flash \$ Cab", "a + b", "miles  (missing)"]
    assert [text for text in said if text in rows] == rows
    assert {"taxi/3", "0.25", "+0.5", "-0.125", "0.635"} <= set(said)
    (axes,) = drawn[0].axes
    bars = [(patch.get_x(), patch.get_width()) for patch in axes.patches]
    wanted = [(0.25, 0.5), (0.75, -0.125), (0.625, 0.01), (0.635, 0.0)]
    np.testing.assert_allclose(bars, wanted, atol=1e-9)


def test_the_rest_of_many_features_is_one_bar(drawn: Any, tmp_path: Path) -> None:
    found = attribution(*(Share(f"f{n}", n, n / 100) for n in range(1, 41)))
    attribution_waterfall(found, tmp_path / "figure.png")
    said = drawn.texts()
    assert "21 other features" in said
    assert "+2.31" in said  # the sum of the 21 smallest
    assert "f40 = 40" in said
    assert "f21 = 21" not in said


def test_a_row_like_the_baseline_is_drawn(drawn: Any, tmp_path: Path) -> None:
    attribution_waterfall(attribution(), tmp_path / "figure.png")
    assert {"baseline", "prediction"} <= set(drawn.texts())


@pytest.mark.parametrize("shape", [(8, 8), (8, 6, 3)])
def test_of_an_image_a_map_tells_what_each_value_adds(
    shape: tuple[int, ...], drawn: Any, tmp_path: Path
) -> None:
    parts = np.zeros(shape)
    parts[2, 5] = 0.25
    parts[7, 0] = -0.5
    image = Share("pixels_xf", np.zeros(shape).tolist(), float(parts.sum()), parts.tolist())
    listed = Share("list_xf", [1.0, 2.0], 0.5, [0.25, 0.25])
    attribution_waterfall(attribution(image, listed), tmp_path / "figure.png")
    _, axes = drawn[0].axes
    (picture,) = axes.images
    shown = picture.get_array()
    assert shown.shape == shape[:2]
    channels = shape[2] if len(shape) == 3 else 1
    assert (shown[2, 5], shown[7, 0]) == (0.25 * channels, -0.5 * channels)
    assert picture.get_clim() == (-0.5 * channels, 0.5 * channels)
    assert any(text.startswith("pixels_xf, up to ") for text in drawn.texts())
