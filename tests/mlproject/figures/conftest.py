"""The figures that a test saved: each is a picture and no blank page, and its texts are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from mlproject.figures import canvas


class Drawn(list[Figure]):
    """Figures in the order in which they were saved."""

    def texts(self, place: int = 0) -> list[str]:
        """The texts of a figure."""
        return [text.get_text() for text in self[place].findobj(Text) if text.get_text()]

    def says(self, part: str, place: int = 0) -> bool:
        """Whether a text of a figure has a part."""
        return any(part in text for text in self.texts(place))


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """The figures that were saved, and checked to be pictures."""
    seen = Drawn()
    save = canvas.save

    def keep(figure: Figure, path: Path) -> None:
        seen.append(figure)
        save(figure, path)
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert 400 <= image.width <= 1300
            assert 100 <= image.height <= 2200
            assert np.asarray(image.convert("L")).std() > 3

    monkeypatch.setattr(canvas, "save", keep)
    return seen


@pytest.fixture
def png(tmp_path: Path) -> Path:
    return tmp_path / "figure.png"
