"""What a person wants to know of a version before a decision, as MLflow keeps it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mlproject.registry.names import BLESSING_TAG, INFRA_TAG, REASONS_TAG
from mlproject.registry.registry import Registry
from mlproject.registry.values import VersionInfo
from mlproject.settings import Settings
from mlproject.tracking import Tracker, translate_mlflow_errors

MOST_METRICS = 20
PLAIN_WORDS = 500


@dataclass(frozen=True)
class Summary:
    """A version in short.

    Attributes:
        version: The version.
        blessing: Its verdict; empty for none.
        reasons: Why, as the blessing says.
        infra: The verdict of its trial in a server; empty for none.
        metrics: Of the pipeline run that made it: the 20 first, by name.
        url: That run's page in MLflow; empty where the run is gone.
    """

    version: VersionInfo
    blessing: str
    reasons: str
    infra: str
    metrics: Mapping[str, float]
    url: str

    def to_markdown(self) -> str:
        """A short page."""
        name, number = self.version.name, self.version.version
        lines = [f"**{_plain(name)}**, version **{number}**", ""]
        lines += [f"- blessing: {_plain(self.blessing) or 'none'}"]
        if self.reasons:
            lines += [f"- reasons: {_plain(self.reasons)}"]
        lines += [f"- trial in a server: {_plain(self.infra) or 'none'}"]
        if self.url:
            lines += [f"- [the run in MLflow]({self.url})"]
        if self.metrics:
            lines += ["", "| metric | value |", "| --- | ---: |"]
            lines += [f"| {_plain(name)} | {value:.6g} |" for name, value in self.metrics.items()]
        return "\n".join(lines)


def read_summary(settings: Settings, registry: Registry, version: VersionInfo) -> Summary:
    """A version in short; where its run is gone, without metrics.

    Raises:
        TrackingError: MLflow does not answer.
    """
    from mlflow.exceptions import MlflowException

    metrics: Mapping[str, float] = {}
    url = ""
    if version.run_id:
        with translate_mlflow_errors("Reading the version's run", settings):
            try:
                metrics = dict(registry.client.get_run(version.run_id).data.metrics)
                url = Tracker(settings, version.name).run_link(version.run_id)
            except MlflowException as err:
                if err.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
    return Summary(
        version=version,
        blessing=version.tags.get(BLESSING_TAG, ""),
        reasons=version.tags.get(REASONS_TAG, ""),
        infra=version.tags.get(INFRA_TAG, ""),
        metrics=dict(sorted(metrics.items())[:MOST_METRICS]),
        url=url,
    )


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: names and tags are anybody's words."""
    line = " ".join(text.split())[:PLAIN_WORDS]
    return re.sub(r"([\\`*_{}\[\]<>()#|!~])", r"\\\1", line)
