"""Expected calibration error: how far scores are from what happens, by bins of the score.

Source: Naeini, Cooper & Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian
Binning" (AAAI 2015); with 15 bins as in Guo et al., "On Calibration of Modern Neural Networks"
(ICML 2017). scikit-learn has no such score.
"""

from __future__ import annotations

import numpy as np

BINS = 15


def calibration_bins(confidence: np.ndarray) -> np.ndarray:
    """The bin of each score.

    Args:
        confidence: `[rows]`, 0 to 1.

    Returns:
        `[rows] int64`, 0 to 14: bins of equal width, closed on the left; 1 falls in the last.
    """
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1)


def calibration_error(happened: np.ndarray, confidence: np.ndarray) -> float:
    """The mean of |share that happened - mean confidence| over the bins, weighted by their rows.

    Args:
        happened: `[rows]`, 0 or 1: whether what was predicted with this confidence came true.
        confidence: `[rows]`, 0 to 1.

    Returns:
        0 (calibrated) to 1.
    """
    gaps = np.bincount(calibration_bins(confidence), happened - confidence, BINS)
    return float(np.abs(gaps).sum() / len(confidence))
