"""Small PNG figures for MLflow's artifact viewer, and the table that goes with them.

Each function saves one picture and returns nothing. They draw with matplotlib's object API, so
nothing global is touched and threads do not meet; matplotlib is imported by the first call.

Of the data:
    features.py    histograms of every feature, split beside split
    histogram.py   one numeric feature's histogram
    table.py       the same statistics as plain rows
Of the training:
    curves.py      learning curves
Of the Evaluation:
    evaluation.py  all the pictures that fit a task
    slices.py      one metric over the slices, candidate beside champion
    differences.py how far apart these two are by slice, with intervals
    slice_rows.py  the rows of such a picture
    chosen.py      the slices that it has room for
    scores.py      ROC, precision-recall, scores by class
    calibration.py how far probabilities can be taken at their word
    thresholds.py  precision, recall and F1 by threshold
    confusion.py   which classes are taken for which
    regression.py  predictions against the truth, residuals, sizes of error
    agreement.py   candidate against champion, row by row
    importance.py  what the metric loses where a feature is shuffled
    attribution.py what each feature adds to one prediction
    density.py     rows counted in cells
    rows.py        rows a chunk at a time, and samples of them
Shared:
    canvas.py      palette, layout and text
"""

from mlproject.figures.curves import learning_curves
from mlproject.figures.evaluation import evaluation_figures
from mlproject.figures.features import feature_histograms
from mlproject.figures.scores import roc_and_pr, score_distribution
from mlproject.figures.slices import slice_bars
from mlproject.figures.table import statistics_table

__all__ = [
    "evaluation_figures",
    "feature_histograms",
    "learning_curves",
    "roc_and_pr",
    "score_distribution",
    "slice_bars",
    "statistics_table",
]
