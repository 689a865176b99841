"""Every step's function, of all packages."""

from __future__ import annotations

from collections.abc import Mapping

import mlproject.steps
import serving.steps
from mlproject.execution import StepFunction

FUNCTIONS: Mapping[str, StepFunction] = {**mlproject.steps.FUNCTIONS, **serving.steps.FUNCTIONS}
