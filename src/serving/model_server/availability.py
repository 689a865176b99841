"""Which version to unload, and which to load next: TensorFlow Serving's availability-preserving
policy.

A version that is wanted no more stays until another that is wanted answers. Of those to load the
newest comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from serving.model_server.versions import ManagedVersion, State


def versions_to_unload(versions: Sequence[ManagedVersion], kept: Iterable[int]) -> list[int]:
    """The versions to unload now, the lowest first.

    Args:
        versions: The versions of one model.
        kept: Versions that stay though they are not aspired.
    """
    aspired = [version for version in versions if version.aspired]
    stay = set(kept)
    unwanted = sorted(
        version.version
        for version in versions
        if not version.aspired and version.answers and version.version not in stay
    )
    if not aspired or any(version.answers for version in aspired):
        return unwanted
    return unwanted[:-1]  # the newest goes on answering until something that is wanted does


def versions_to_load(versions: Sequence[ManagedVersion], now: float) -> list[ManagedVersion]:
    """The versions that may be loaded now, the newest first.

    Args:
        versions: The versions of one model.
        now: Seconds of the monotonic clock.
    """
    ready = [v for v in versions if v.aspired and v.state is State.START and v.due_at <= now]
    return sorted(ready, key=lambda version: -version.version)
