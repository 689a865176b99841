"""From a version back to its data, and on to its deployments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from mlproject.errors import RegistryError
from mlproject.lineage.record import baseline_of, copied_from, key_of, parent_of, step_runs
from mlproject.lineage.steps import (
    STEP_KINDS,
    code_nodes,
    data_nodes,
    parameter_node,
    run_facts,
    said,
    state_of,
    step_node,
    version_title,
)
from mlproject.lineage.values import GONE, Edge, Kind, Lineage, Node, Reader, RunFacts
from mlproject.promotion.entries import Entry
from mlproject.registry.names import (
    BASE_TAG,
    BASELINE_TAG,
    BLESSING_TAG,
    COPIED_FROM_RUN_TAG,
    MODEL_DIGEST_TAG,
    STAGE_TAG,
)
from mlproject.registry.values import VersionInfo
from mlproject.tracking.names import STEP_TAG

MOST_ANCESTORS = 6
_CACHED = "cached, made in "
# What goes into each step, by kind; what is not there is passed over.
_INTO: Mapping[Kind, tuple[Kind, ...]] = {
    Kind.EXAMPLES: (Kind.DATA,),
    Kind.STATISTICS: (Kind.EXAMPLES,),
    Kind.SCHEMA: (Kind.STATISTICS,),
    Kind.VALIDATION: (Kind.STATISTICS, Kind.SCHEMA),
    Kind.TRANSFORM: (Kind.EXAMPLES, Kind.SCHEMA, Kind.MODULE),
    Kind.TUNING: (Kind.TRANSFORM,),
    Kind.TRAINING: (Kind.TRANSFORM, Kind.TUNING, Kind.PARAMETERS, Kind.MODULE),
    Kind.EVALUATION: (Kind.TRAINING, Kind.EXAMPLES),
    Kind.INFRA: (Kind.TRAINING,),
    Kind.BLESSING: (Kind.EVALUATION, Kind.INFRA, Kind.VALIDATION),
}
_AFTER = (Kind.EXPORT, Kind.SERVING)


def trace(reader: Reader, version: VersionInfo) -> Lineage:
    """What a version was made of, and where it went.

    Args:
        reader: Reads MLflow.
        version: The version.

    Returns:
        The graph. What nothing is recorded of is left out; a run or version that is named and is
        not there any more is a node whose state is `gone`.
    """
    versions = {v.version: v for v in reader.versions(version.name)}
    ancestors = _ancestors(version, versions)
    line = [version, *(v for v in ancestors if isinstance(v, VersionInfo))]
    children = reader.children(version.run_id) if version.run_id else []
    wanted = dict.fromkeys(
        run_id
        for v in line
        for run_id in (v.run_id, *(step_runs(v).values() if v is version else _data_runs(v)))
        if run_id
    )
    runs = dict(reader.runs(wanted))
    children += _made_elsewhere(reader, version, runs.get(version.run_id or ""))
    runs |= {run.run_id: run for run in children}
    graph = _Graph(version, reader.aliases(version.name))
    graph.add_steps(_steps_of(version, children), runs)
    graph.add_ancestors(ancestors, runs)
    graph.add_comparison(versions)
    graph.add_source(version)
    graph.add_deployments(reader)
    return graph.lineage()


def version_node(version: VersionInfo, aliases: tuple[str, ...], run: RunFacts | None) -> Node:
    """The node of a version."""
    facts = {
        "aliases": ", ".join(aliases),
        "stage": version.tags.get(STAGE_TAG, ""),
        "blessing": version.tags.get(BLESSING_TAG, ""),
        "model digest": version.tags.get(MODEL_DIGEST_TAG, ""),
        "made": run.started if run else "",
    }
    title = version_title(version)
    url = run.url if run else ""
    return Node(title, Kind.VERSION, title, said(facts), version.run_id or "", url)


class _Graph:
    """Gathers the nodes and edges around one version."""

    def __init__(self, version: VersionInfo, aliases: Mapping[int, tuple[str, ...]]) -> None:
        self._version = version
        self._aliases = aliases
        self._root = key_of(version.name, version.version)
        self._nodes: dict[str, Node] = {}
        self._edges: dict[tuple[str, str], Edge] = {}

    def add_steps(self, steps: Mapping[str, str], runs: Mapping[str, RunFacts]) -> None:
        """Adds the version, its data, code, parameters and steps."""
        version = self._version
        own = runs.get(version.run_id or "")
        self._add(version_node(version, self._aliases.get(version.version, ()), own))
        of_data = _of_data(version, steps.get("ingest"), runs)
        made: list[Node] = [*data_nodes(version, of_data), *code_nodes(version, own)]
        made += [
            step_node(step, version, run_id, runs.get(run_id))
            for step, run_id in steps.items()
            if step in STEP_KINDS
        ]
        trained = runs.get(steps.get("train", "")) or own
        parameters = parameter_node(trained) if trained else None
        made += [parameters] if parameters else []
        for node in made:
            self._add(node)
        if version.run_id:
            self._add_pipeline(version.run_id, own)
        self._join(made)

    def _add_pipeline(self, run_id: str, own: RunFacts | None) -> None:
        facts = said(run_facts(run_id, own))
        title = own.name if own and own.name else "pipeline run"
        url = own.url if own else ""
        node = Node(f"run:{run_id}", Kind.PIPELINE, title, facts, run_id, url, state_of(own))
        self._add(node)
        self._edge(node.key, self._root)

    def _join(self, made: list[Node]) -> None:
        """Draws the edges between the nodes of one version."""
        by_kind: dict[Kind, list[Node]] = {}
        for node in made:
            by_kind.setdefault(node.kind, []).append(node)
        used = set()
        for node in made:
            for kind in _INTO.get(node.kind, ()):
                if kind is Kind.STATISTICS and ("schema", "reviewed") in node.facts:
                    continue  # a person wrote it
                for before in by_kind.get(kind, ()):
                    self._edge(before.key, node.key)
                    used.add(before.key)
        for node in made:
            if node.kind in _AFTER:
                self._edge(self._root, node.key)
            elif node.key not in used or node.kind is Kind.TRAINING:
                self._edge(node.key, self._root)

    def add_ancestors(
        self, ancestors: list[VersionInfo | Node], runs: Mapping[str, RunFacts]
    ) -> None:
        """Adds the versions that training began with, each with its data."""
        training = next((n.key for n in self._nodes.values() if n.kind is Kind.TRAINING), None)
        below = training or self._root
        for ancestor in ancestors:
            node = ancestor if isinstance(ancestor, Node) else self._parent(ancestor, runs)
            if node.key in self._nodes:
                self._edge(node.key, below, "warm start")
                return
            self._add(node)
            self._edge(node.key, below, "warm start")
            if isinstance(ancestor, VersionInfo):
                ingest = step_runs(ancestor).get("ingest")
                for data in data_nodes(ancestor, _of_data(ancestor, ingest, runs)):
                    self._add(data)
                    self._edge(data.key, node.key)
            below = node.key

    def _parent(self, version: VersionInfo, runs: Mapping[str, RunFacts]) -> Node:
        aliases = self._aliases.get(version.version, ())
        node = version_node(version, aliases, runs.get(version.run_id or ""))
        return replace(node, kind=Kind.PARENT)

    def add_comparison(self, versions: Mapping[int, VersionInfo]) -> None:
        """Adds the version that the evaluation compared it with."""
        number = baseline_of(self._version)
        if number is None:
            return
        key = key_of(self._version.name, number)
        if key not in self._nodes:
            known = versions.get(number)
            if known is None:
                self._add(_lost_version(Kind.BASELINE, key))
            else:
                node = version_node(known, self._aliases.get(number, ()), None)
                self._add(replace(node, kind=Kind.BASELINE))
        evaluation = next((n.key for n in self._nodes.values() if n.kind is Kind.EVALUATION), None)
        self._edge(key, evaluation or self._root, "compared with")

    def add_source(self, version: VersionInfo) -> None:
        """Adds the version that this one is a copy of; it may be of another registry."""
        source = copied_from(version)
        if source is None:
            return
        registry, name, number = source
        title, tags = key_of(name, number), version.tags
        facts = {
            "registry": registry,
            "run there": tags.get(COPIED_FROM_RUN_TAG, ""),
            "parent model there": tags.get(BASE_TAG, ""),
            "compared there with": tags.get(BASELINE_TAG, ""),
        }
        node = Node(f"source:{registry}/{title}", Kind.SOURCE, title, said(facts))
        self._add(node)
        self._edge(node.key, self._root, "copied from")

    def add_deployments(self, reader: Reader) -> None:
        """Adds what the ledger says about the version."""
        key, state = f"deployments:{self._root}", ""
        try:
            facts = tuple(_changes(self._version, reader.entries(self._version.name)))
        except RegistryError as err:
            facts, state = (("state", str(err)),), GONE
        if facts:
            title = state and "the ledger cannot be read"
            title = title or f"{len(facts)} {'entries' if len(facts) > 1 else 'entry'}"
            self._add(Node(key, Kind.DEPLOYMENTS, title, facts, state=state))
            self._edge(self._root, key)

    def lineage(self) -> Lineage:
        """The whole."""
        return Lineage(self._root, tuple(self._nodes.values()), tuple(self._edges.values()))

    def _add(self, node: Node) -> None:
        self._nodes.setdefault(node.key, node)

    def _edge(self, source: str, target: str, meaning: str = "") -> None:
        if source != target:
            self._edges.setdefault((source, target), Edge(source, target, meaning))


def _made_elsewhere(reader: Reader, version: VersionInfo, own: RunFacts | None) -> list[RunFacts]:
    """The runs of cached steps of a version whose tags do not name them (of an older platform)."""
    known, found = step_runs(version), []
    cached: dict[str, set[str]] = {}
    for tag, text in (own.tags if own else {}).items():
        step = tag.removeprefix(f"{STEP_TAG}.")
        if step != tag and step not in known and text.startswith(_CACHED):
            cached.setdefault(text.removeprefix(_CACHED), set()).add(step)
    for run_id, steps in cached.items():
        found += [run for run in reader.children(run_id) if run.tags.get(STEP_TAG) in steps]
    return found


def _steps_of(version: VersionInfo, children: list[RunFacts]) -> dict[str, str]:
    """Step -> its run, in the steps' order: as the version says, else as its pipeline does."""
    found = {run.tags[STEP_TAG]: run.run_id for run in children if STEP_TAG in run.tags}
    found |= step_runs(version)
    return {step: found[step] for step in STEP_KINDS if step in found}


def _of_data(
    version: VersionInfo, ingest: str | None, runs: Mapping[str, RunFacts]
) -> dict[str, RunFacts]:
    """The runs that know a version's data."""
    return {r: runs[r] for r in (ingest, version.run_id) if r and r in runs}


def _data_runs(version: VersionInfo) -> Iterator[str]:
    ingest = step_runs(version).get("ingest")
    if ingest:
        yield ingest


def _ancestors(
    version: VersionInfo, versions: Mapping[int, VersionInfo]
) -> list[VersionInfo | Node]:
    """The versions that training began with, the nearest first; cycles and lost ones end it."""
    found: list[VersionInfo | Node] = []
    seen = {version.version}
    number = parent_of(version)
    while number is not None:
        key = key_of(version.name, number)
        known = versions.get(number)
        if number in seen:
            found.append(Node(key, Kind.PARENT, key, (("state", "it is its own ancestor"),)))
            break
        if known is None:
            found.append(_lost_version(Kind.PARENT, key))
            break
        if len(found) == MOST_ANCESTORS:
            facts = (("more", f"benison lineage {key}"),)
            found.append(Node(f"earlier:{key}", Kind.PARENT, f"{key} and earlier", facts))
            break
        found.append(known)
        seen.add(number)
        number = parent_of(known)
    return found


def _lost_version(kind: Kind, key: str) -> Node:
    facts = (("state", "MLflow no longer has this version"),)
    return Node(key, kind, key, facts, state=GONE)


def _changes(version: VersionInfo, entries: tuple[Entry, ...]) -> Iterator[tuple[str, str]]:
    """When, and what the ledger says was done to a version, by whom and why."""
    for entry in entries:
        moves = [m for m in entry.moves if m.version == version.version]
        if moves or entry.version == version.version:
            what = ", ".join(f"{m.before} -> {m.after}" for m in moves)
            what = f"{entry.event}: {what}" if what else entry.event
            evidence = "".join(f"; {name} {text}" for name, text in entry.evidence.items())
            why = f": {entry.why}" if entry.why else ""
            when = entry.when.isoformat(timespec="seconds")
            yield when, f"{what}, by {entry.who}{why}{evidence}"
