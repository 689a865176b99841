"""The Blessing: a verdict with reasons, from metrics, cases and thresholds. Pure."""

from mlproject.blessing.override import Override
from mlproject.blessing.page import blessing_page
from mlproject.blessing.values import Blessing, Check
from mlproject.blessing.verdict import bless

__all__ = ["Blessing", "Check", "Override", "bless", "blessing_page"]
