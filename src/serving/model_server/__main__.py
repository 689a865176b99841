"""Run the model server on its own: `python -m serving.model_server --model_base_path=...`."""

from __future__ import annotations

import sys

from serving.model_server.program import run

if __name__ == "__main__":
    sys.exit(run())
