"""The flow `deploy`: a registered model to its target, from Prefect's pages or a schedule.

Imports Prefect: for what runs the flow. The server outlives the flow run.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prefect import flow, get_run_logger

from flows.deployer import DeployRequest, place_of, prepare, remembered
from mlproject.settings import read_settings


@flow(name="deploy", persist_result=False, log_prints=False)
def deploy(what: str, target: str = "", unblessed: bool = False) -> dict[str, Any]:
    """Brings what is served of a model to what the registry says now.

    Args:
        what: `MODEL`, `MODEL/version`, or a project's folder.
        target: Instead of the one that its configuration names.
        unblessed: Whether a version by its number may be unblessed.
    """
    settings = read_settings()
    place = place_of(settings, get_run_logger().info)
    prepared = prepare(settings, DeployRequest(what, target, unblessed), place.say)
    return asdict(remembered(place, prepared).deploy(prepared.deployment))
