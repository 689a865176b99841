"""The nodes of the steps that a version was made in, and of its data. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from mlproject.lineage.record import (
    copied_from,
    key_of,
    rows_by_split,
    source_uris,
    span_names,
)
from mlproject.lineage.values import GONE, DatasetFacts, Kind, Node, RunFacts
from mlproject.registry.names import (
    BLESSING_TAG,
    CODE,
    EVIDENCE,
    GIT_COMMIT_TAG,
    INFRA_TAG,
    MODEL_DIGEST_TAG,
    MODULE_DIGEST_TAG,
    OVERRIDE_TAG,
    REASONS_TAG,
    SCHEMA_DIGEST_TAG,
    SOURCE_DIGEST_TAG,
    STATISTICS,
)
from mlproject.registry.values import VersionInfo
from mlproject.schema import SCHEMA_FILE
from mlproject.tracking.names import FINGERPRINT_TAG, STEP_TAG, TAG
from mlproject.webpage.text import count, number

STEP_KINDS: Mapping[str, Kind] = {
    "ingest": Kind.EXAMPLES,
    "statistics": Kind.STATISTICS,
    "schema": Kind.SCHEMA,
    "validate": Kind.VALIDATION,
    "transform": Kind.TRANSFORM,
    "tune": Kind.TUNING,
    "train": Kind.TRAINING,
    "evaluate": Kind.EVALUATION,
    "infra_validate": Kind.INFRA,
    "bless": Kind.BLESSING,
    "export": Kind.EXPORT,
    "serve": Kind.SERVING,
}
# Step -> name of a fact and the tag of the version that it stands in.
_OF_VERSION: Mapping[str, Mapping[str, str]] = {
    "schema": {"digest": SCHEMA_DIGEST_TAG},
    "infra_validate": {"verdict": INFRA_TAG},
    "bless": {"verdict": BLESSING_TAG, "reasons": REASONS_TAG, "override": OVERRIDE_TAG},
}
# Step -> name of a fact and the tag of the step's run, where the version does not say it.
_OF_RUN: Mapping[str, Mapping[str, str]] = {
    "infra_validate": {"verdict": f"{TAG}infra"},
    "bless": {"verdict": BLESSING_TAG, "reasons": f"{TAG}reasons"},
}
_NOT_FACTS = ("system/", "seconds", "blessed")  # of the machine, and what a verdict says
_OF_OTHERS = ("champion_", "difference_")
_KEPT = {"schema": SCHEMA_FILE, "statistics": STATISTICS}
SOURCE_DIGEST = "source digest"


def step_node(step: str, version: VersionInfo, run_id: str, run: RunFacts | None) -> Node:
    """The node of a step of a version.

    Args:
        step: The step.
        version: The version.
        run_id: The run that made its artifact.
        run: What is known of that run; None where MLflow no longer has it.
    """
    kind = STEP_KINDS[step]
    facts = {n: version.tags.get(tag, "") for n, tag in _OF_VERSION.get(step, {}).items()}
    if run is not None:
        facts |= {n: facts.get(n) or run.tags.get(t, "") for n, t in _OF_RUN.get(step, {}).items()}
        facts |= _measured(run, step == "evaluate")
        facts["fingerprint"] = run.tags.get(FINGERPRINT_TAG, "")
    elsewhere = run is None and copied_from(version) is not None
    facts |= run_facts(run_id, run)
    if elsewhere:
        facts["state"] = "a run of the registry that it was copied from"
    if step in _KEPT:
        facts["kept in"] = _kept(version, _KEPT[step])
    return Node(
        key=f"{step}:{run_id}",
        kind=kind,
        title=facts.pop("verdict", "") or kind.value,
        facts=said(facts),
        run_id=run_id,
        url=run.url if run else "",
        state="" if elsewhere else state_of(run),
    )


def _measured(run: RunFacts, measures_first: bool) -> dict[str, str]:
    """Parameters and metrics of a step's run; of an evaluation its own values come first.

    The parameters of a training are left out: they have a node of their own.
    """
    params = {} if run.tags.get(STEP_TAG) == "train" else dict(run.params)
    metrics = {n: number(v) for n, v in run.metrics.items() if not n.startswith(_NOT_FACTS)}
    if not measures_first:
        return params | metrics
    derived = [n for n in metrics if n.startswith(_OF_OTHERS) or n.endswith(("_low", "_high"))]
    own = {n: text for n, text in metrics.items() if n not in derived}
    return own | params | {n: metrics[n] for n in derived}


def run_facts(run_id: str, run: RunFacts | None) -> dict[str, str]:
    """When a run was, and how it ended where that is not well."""
    if run is None:
        return {"run": run_id, "state": "MLflow no longer has this run"}
    facts = {"run": run_id, "at": run.started}
    if run.status != "FINISHED":
        facts["status"] = run.status
    if run.deleted:
        facts["state"] = "the run was deleted; MLflow can restore it"
    return facts


def state_of(run: RunFacts | None) -> str:
    """`gone` for a run that MLflow lost or deleted."""
    return GONE if run is None or run.deleted else ""


def said(facts: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The facts that say something."""
    return tuple((name, str(value)) for name, value in facts.items() if value not in ("", None))


def data_nodes(version: VersionInfo, runs: Mapping[str, RunFacts]) -> Iterator[Node]:
    """The data of a version, split by split: URI, digest, rows and spans.

    Where it lay says the version itself: MLflow keeps one place for rows of the same digest, that
    of their first run.

    Args:
        version: The version.
        runs: The runs that may know its data: of the step `ingest`, or the version's own.
    """
    uris, rows, spans = source_uris(version), rows_by_split(version), span_names(version)
    source = version.tags.get(SOURCE_DIGEST_TAG, "")
    found = _datasets(runs)
    for split in dict.fromkeys([*found, *rows]) or uris:
        dataset = found.get(split)
        uri = uris.get(split) or uris.get("") or (dataset.uri if dataset else "")
        digest = dataset.digest if dataset else ""
        of_split = rows.get(split, dataset.rows if dataset else None)
        facts = {
            "uri": uri,
            "digest": digest,
            "rows": count(of_split) if of_split is not None else "",
            "spans": ", ".join(spans),
            **{f"span {n}": dataset.spans[n] for n in spans if dataset and n in dataset.spans},
            SOURCE_DIGEST: source,
        }
        yield Node(
            key=f"data:{split}:{digest or source}:{uri}",
            kind=Kind.DATA,
            title=f"{split or 'all'}: {_last_part(uri) or 'unknown place'}",
            facts=said(facts),
        )
    if not (found or rows or uris) and source:
        facts = {SOURCE_DIGEST: source, "spans": ", ".join(spans)}
        yield Node(f"data:{source}", Kind.DATA, "data of unknown place", said(facts))


def code_nodes(version: VersionInfo, own: RunFacts | None) -> Iterator[Node]:
    """The module file of a version, with the commit that it was trained from."""
    tags = own.tags if own else {}
    digest = version.tags.get(MODULE_DIGEST_TAG) or tags.get(MODULE_DIGEST_TAG, "")
    commit = version.tags.get(GIT_COMMIT_TAG) or tags.get("mlflow.source.git.commit", "")
    folder = tags.get("mlflow.source.name", "")
    if digest or commit:
        facts = {"digest": digest, "git commit": commit, "folder": folder}
        facts["kept in"] = _kept(version, CODE)
        title = f"of {_last_part(folder)}" if folder else "module file"
        yield Node(f"code:{digest}:{commit}", Kind.MODULE, title, said(facts))


def parameter_node(run: RunFacts) -> Node | None:
    """The parameters of the training (or of a run of somebody's own)."""
    facts = said({n: text for n, text in run.params.items() if not n.startswith(TAG)})
    if not facts:
        return None
    title = f"{len(facts)} parameters"
    key = f"parameters:{run.run_id}"
    return Node(key, Kind.PARAMETERS, title, facts, run.run_id, run.url, state_of(run))


def version_title(version: VersionInfo) -> str:
    """`taxi/7`."""
    return key_of(version.name, version.version)


def _kept(version: VersionInfo, what: str) -> str:
    """Where a version keeps a thing; empty where it was registered without evidence."""
    if MODEL_DIGEST_TAG not in version.tags:
        return ""
    return f"models:/{version.name}/{version.version}/artifacts/{EVIDENCE}/{what}"


def _last_part(uri: str) -> str:
    return unquote(uri.rstrip("/").rpartition("/")[2])


def _datasets(runs: Mapping[str, RunFacts]) -> dict[str, DatasetFacts]:
    found: dict[str, DatasetFacts] = {}
    for run in runs.values():
        for dataset in run.datasets:
            found.setdefault(dataset.context or dataset.name, dataset)
    return found
