"""Small PNG figures for MLflow's artifact viewer, and the table that goes with them.

Each function saves one picture and returns nothing. They draw with matplotlib's object API, so
nothing global is touched and threads do not meet; matplotlib is imported by the first call.

    features.py    histograms of every feature, split beside split
    histogram.py   one numeric feature's histogram
    table.py       the same statistics as plain rows
    curves.py      learning curves
    scores.py      ROC, precision-recall, score distribution, calibration
    slices.py      one metric over the slices, candidate beside champion
    canvas.py      palette, layout and text that they share
"""

from mlproject.figures.curves import learning_curves
from mlproject.figures.features import feature_histograms
from mlproject.figures.scores import roc_and_pr, score_distribution
from mlproject.figures.slices import slice_bars
from mlproject.figures.table import statistics_table

__all__ = [
    "feature_histograms",
    "learning_curves",
    "roc_and_pr",
    "score_distribution",
    "slice_bars",
    "statistics_table",
]
