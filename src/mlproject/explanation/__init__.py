"""Why a model predicts what it predicts.

    importance.py    how much a metric loses where one raw feature is shuffled, over many rows
    gradients.py     integrated gradients: what each feature of one row adds to its prediction
    moves.py         the same between two transformed rows
    game.py          the way between them as a game: who moves, and what the prediction gains
    coalitions.py    Shapley's weights, for the features that have no gradient
    baseline.py      the row that a row is explained against
    model.py         the exported model, loaded for both of its halves: transform and predict
    scores.py        the metrics that an importance is measured by
    attribution.py   the values of one explanation
    page.py          one explanation as an HTML page

See docs/explanation.md. Importing this package imports no heavy library.
"""

from mlproject.explanation.attribution import Attribution, Share
from mlproject.explanation.gradients import integrated_gradients
from mlproject.explanation.importance import (
    IMPORTANCE_FILE,
    Importance,
    permutation_importance,
    read_importance,
    write_importance,
)

__all__ = [
    "IMPORTANCE_FILE",
    "Attribution",
    "Importance",
    "Share",
    "integrated_gradients",
    "permutation_importance",
    "read_importance",
    "write_importance",
]
