"""The user of this process, as MLflow and the ledger name them."""

from __future__ import annotations

import getpass


def user_name() -> str:
    """The login name; `unknown` where the system has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
