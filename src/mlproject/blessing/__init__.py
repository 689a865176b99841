"""The Blessing: a verdict with reasons, from metrics, cases and thresholds. Pure."""

from mlproject.blessing.override import Override
from mlproject.blessing.verdict import Blessing, bless

__all__ = ["Blessing", "Override", "bless"]
