"""The target `gcs`: versions as files below a base path that running servers watch.

BENISON_DEPLOY_BASE_PATH names the root: `gs://bucket/prefix`, or a folder (a volume that servers
share). `<root>/<model>` is a base path for `--model_base_path`; `<root>/<model>.config` is for
`--model_config_file` with `--model_config_file_poll_wait_seconds`, and says which versions are
served: a server that reads it follows rollbacks and labels. One that watches the base path alone
serves the largest number there, so the challenger is pushed only with `deployment.canary`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlproject.artifacts import translate_os_errors
from mlproject.errors import ServingError
from mlproject.whole_file import write_whole
from serving.model_config import ModelConfig, to_text
from serving.targets.base import BASE_PATH_VARIABLE, Deployment, Place, TargetStatus
from serving.targets.json_record import read_json_record
from serving.targets.rollout import specific
from serving.targets.shelf import Shelf, open_shelf
from serving.targets.tf_serving_config import served_by_tf_serving

NAME, RECORD = "gcs", "gcs.json"


def open_target(place: Place) -> FilesTarget:
    """The target `gcs` of a home."""
    return FilesTarget(place)


class FilesTarget:
    """Pushes versions to a base path.

    Args:
        place: Home, environment and where progress goes.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    def deploy(self, deployment: Deployment) -> TargetStatus:
        """See `base.Target`; what servers make of it they do themselves."""
        shelf = open_shelf(self._place, self._place.say)
        served = served_by_tf_serving(deployment)
        model = served.model
        # The champion last: a server that takes the newest finds it whole, and the rest in place.
        for version in sorted(served.versions, key=lambda v: v.number):
            put = shelf.put(model, version)
            state = "pushed" if put else "was there"
            self._place.say(f"{model}/{version.number}: {state}, {shelf.root}/{model}")
        address = shelf.write_config(model, to_text([_config(served, f"{shelf.root}/{model}")]))
        self._remember(shelf, served, address)
        return self.status(model)

    def status(self, model: str) -> TargetStatus:
        """See `base.Target`: what lies in the base path. No server is asked."""
        record = self._record(model)
        if record is None:
            return TargetStatus(model, NAME, "absent", detail="never pushed from this machine")
        shelf = open_shelf(self._place, self._place.say)
        facts = {"base_path": f"{shelf.root}/{model}", "config": record["config"]}
        if record["root"] != shelf.root:
            return TargetStatus(
                model,
                NAME,
                "absent",
                detail=f"it was pushed to {record['root']}; {BASE_PATH_VARIABLE} is {shelf.root}",
                facts=facts,
            )
        versions = shelf.versions(model)
        default = int(record["default_version"])
        lost = sorted(set(record["versions"]) - set(versions))
        above = [number for number in versions if number > default]
        return TargetStatus(
            model,
            NAME,
            "failed" if lost else "running",
            versions=versions,
            default_version=default,
            labels=record["labels"],
            detail="; ".join([*_lost(lost), *_above(model, above, default)]),
            facts=facts,
        )

    def reload(self, deployment: Deployment) -> TargetStatus:
        """See `base.Target`: the same as a deployment."""
        return self.deploy(deployment)

    def stop(self, model: str) -> None:
        """Refuses: servers are not this target's, and files are removed when it is asked."""
        raise ServingError(
            f"Stopping '{model}' failed: its servers are not run from here",
            received="--target gcs",
            expected="--prune N, which removes all but the N newest versions of the champion's age",
            next_step=f"benison deployment stop {model} --target gcs --prune 2",
        )

    def prune(self, model: str, keep: int) -> tuple[int, ...]:
        """Removes all but the newest versions up to the default one, and what is above it.

        What is deployed stays, whatever `keep` says.
        """
        record = self._record(model)
        if record is None:
            return ()
        shelf = open_shelf(self._place, self._place.say)
        versions, default = shelf.versions(model), int(record["default_version"])
        kept = {number for number in versions if number <= default}
        kept = {*sorted(kept)[-keep:], *record["versions"]}
        removed = tuple(number for number in versions if number not in kept)
        for number in removed:
            shelf.remove(model, number)
        return removed

    def logs(self, model: str, lines: int) -> str:
        """See `base.Target`; there is no server here that writes any."""
        return ""

    def _remember(self, shelf: Shelf, served: Deployment, config: str) -> None:
        folder = self._place.folder(served.model)
        value = {
            "root": shelf.root,
            "versions": list(served.numbers),
            "default_version": served.default_version,
            "labels": dict(served.labels),
            "config": config,
        }
        with translate_os_errors("Keeping what was pushed", folder):
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / RECORD, json.dumps(value, indent=1))

    def _record(self, model: str) -> Mapping[str, Any] | None:
        names = ("root", "versions", "default_version", "labels", "config")
        return read_json_record(
            self._place.folder(model) / RECORD, lambda value: {name: value[name] for name in names}
        )


def _config(served: Deployment, base_path: str) -> ModelConfig:
    return ModelConfig(served.model, base_path, specific(served.numbers), dict(served.labels))


def _lost(lost: list[int]) -> list[str]:
    return [f"gone from the base path: version {number}" for number in lost]


def _above(model: str, above: list[int], default: int) -> list[str]:
    if not above:
        return []
    return [
        f"servers that take the newest serve version {above[-1]}, not {default}: "
        f"`benison deployment stop {model} --target {NAME} --prune 2` removes it"
    ]
