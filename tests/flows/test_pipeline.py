"""Opening a pipeline run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TAXI = Path(__file__).parents[2] / "examples" / "taxi"
PROGRAM = "import sys; from flows.pipeline import *; open_request(Request(sys.argv[1]))"


def test_two_that_open_a_new_store_at_once_do_not_meet(tmp_path: Path) -> None:
    environment = {**os.environ, "BENISON_HOME": str(tmp_path / "home")}
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-c", PROGRAM, str(TAXI)]
    both = [
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    errors = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
