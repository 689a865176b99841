"""Secrets of the home: made once, random, and for their owner alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from flows.kept_secret import ENCRYPTION_KEY, WEBHOOK_SECRET, kept_secret
from mlproject.errors import ConfigError


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    first = kept_secret(tmp_path / "home", WEBHOOK_SECRET)
    assert kept_secret(tmp_path / "home", WEBHOOK_SECRET) == first
    assert kept_secret(tmp_path / "home", ENCRYPTION_KEY) != first
    assert kept_secret(tmp_path / "other", WEBHOOK_SECRET) != first
    file = tmp_path / "home" / "secrets" / WEBHOOK_SECRET
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in file.parent.iterdir()) == [ENCRYPTION_KEY, WEBHOOK_SECRET]


def test_mlflow_takes_the_key(tmp_path: Path) -> None:
    from cryptography.fernet import Fernet

    cipher = Fernet(kept_secret(tmp_path, ENCRYPTION_KEY))
    assert cipher.decrypt(cipher.encrypt(b"words")) == b"words"


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    kept_secret(tmp_path, WEBHOOK_SECRET)
    (tmp_path / "secrets" / WEBHOOK_SECRET).chmod(0o644)
    with pytest.raises(ConfigError, match="others may read it"):
        kept_secret(tmp_path, WEBHOOK_SECRET)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 44])
def test_a_secret_that_was_damaged_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "secrets" / WEBHOOK_SECRET
    file.parent.mkdir()
    file.touch(0o600)
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="secret failed"):
        kept_secret(tmp_path, WEBHOOK_SECRET)
