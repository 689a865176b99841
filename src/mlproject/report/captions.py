"""What each figure of an Evaluation shows, for those who see it for the first time. Pure."""

from __future__ import annotations

from collections.abc import Mapping

CAPTIONS: Mapping[str, str] = {
    "roc_and_pr": "How well the scores separate the classes, over all thresholds. The nearer to "
    "the upper left (ROC) or the upper right (precision-recall), the better.",
    "calibration": "How often it came true, by the probability that the model gave. Above the "
    "dotted line the model says too little, below it too much.",
    "scores": "Where the scores of each class lie. The less the classes overlap, the easier they "
    "are told apart.",
    "thresholds": "What precision, recall and F1 become when another threshold than 0.5 decides.",
    "confusion": "Which classes are taken for which.",
    "agreement": "Row by row: where the candidate and the champion say the same, and who is right "
    "where they do not.",
    "predicted_and_true": "The nearer the rows are to the dotted line, the better.",
    "residuals": "A line that leaves 0 shows values that the model over- or underestimates.",
    "error_quantiles": "How large the error is that a given share of the rows stays below.",
    "importance": "How much worse the metric gets when one feature's values are shuffled.",
}
_BY_SLICE = "The metric of each slice with its confidence interval."
_DIFFERENCES = (
    "Candidate minus champion on the same rows. Where the interval contains 0, the difference may "
    "be chance."
)


def caption_of(name: str) -> str:
    """The caption of a figure.

    Args:
        name: Its file name without the suffix.

    Returns:
        Its caption, or the name in words where the figure is not one of the platform's.
    """
    if name in CAPTIONS:
        return CAPTIONS[name]
    if name.endswith("_by_slice"):
        return _BY_SLICE
    if name.endswith("_differences"):
        return _DIFFERENCES
    return name.replace("_", " ")


def by_slice(name: str) -> bool:
    """Whether a figure has a line for each slice, so that it needs the whole width."""
    return name.endswith(("_by_slice", "_differences"))
