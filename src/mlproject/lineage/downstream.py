"""What came from some data, or from a version."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlproject.errors import ConfigError
from mlproject.examples.locations import as_uri, local_path
from mlproject.examples.spans import SpanPattern, has_placeholders
from mlproject.lineage.record import (
    baseline_of,
    copied_from,
    key_of,
    parent_of,
    source_uris,
    span_names,
    step_runs,
)
from mlproject.lineage.trace import version_node
from mlproject.lineage.values import Edge, Kind, Lineage, Node, Reader, RunFacts
from mlproject.registry.names import COPIED_FROM_TAG, SOURCE_DIGEST_TAG
from mlproject.registry.values import VersionInfo

_REFERENCE = re.compile(r"(?P<name>[^/@:]+)(/\d+|@\w+)?")
DIGEST = re.compile(r"[0-9a-f]{8,64}")
_IN_MLFLOW = 36  # characters of a digest that MLflow keeps
TRAINED, WARM, COMPARED, COPIED = "trained on", "warm start", "compared with", "copied from"


def came_from(reader: Reader, resolve: Callable[[str], VersionInfo], given: str) -> Lineage:
    """What came from data or from a version, whichever a person named.

    Args:
        reader: Reads MLflow.
        resolve: Finds the version of a reference (`Registry.resolve`).
        given: `MODEL/7`, `MODEL@alias` or `MODEL`; a URI, path or folder of data as it was
            recorded; a digest of a source or of a split, 8 hex digits of it or more; or a version
            of another registry, as URI/MODEL/7.

    Returns:
        The graph below it; of one node where nothing came from it.

    Raises:
        ConfigError: Nothing is given.
        RegistryError: It reads as a version, and there is none; the closest names are offered.
    """
    if not given.strip():
        raise ConfigError(
            "Looking for what came from something failed",
            received="nothing",
            expected="a URI, a path, a digest, or MODEL/VERSION",
        )
    versions = reader.versions()
    copies = [v for v in versions if v.tags.get(COPIED_FROM_TAG) == given]
    if copies:  # of a version of another registry, named as `benison copy` does
        root = Node(given, Kind.SOURCE, given)
        return _below(_Below(reader, root, versions), copies, COPIED)
    reference = _REFERENCE.fullmatch(given)
    is_version = reference and not DIGEST.fullmatch(given) and not Path(given).exists()
    if reference and is_version and any(v.name == reference["name"] for v in versions):
        return _came_from_version(reader, versions, resolve(given))
    found = _came_from_data(reader, versions, given)
    if reference and is_version and reference["name"] != given and not found.edges:
        resolve(given)
    return found


def _came_from_data(reader: Reader, versions: Sequence[VersionInfo], given: str) -> Lineage:
    """The versions that were trained on some data, or begun with or copied from such one."""
    if DIGEST.fullmatch(given):
        direct = _with_digest(reader, versions, given)
    else:
        direct = _with_uri(reader, versions, given)
    root = Node(f"data:{given}", Kind.DATA, given)
    return _below(_Below(reader, root, versions), direct, TRAINED)


def _below(graph: _Below, direct: Sequence[VersionInfo], meaning: str) -> Lineage:
    for version in direct:
        graph.add(graph.root.key, version, meaning)
    graph.follow(direct)
    return graph.lineage()


def _came_from_version(
    reader: Reader, versions: Sequence[VersionInfo], version: VersionInfo
) -> Lineage:
    """The versions that began with a version's weights, were compared with it or copied from it."""
    root = version_node(version, reader.aliases(version.name).get(version.version, ()), None)
    graph = _Below(reader, root, versions)
    graph.follow([version])
    for other in versions:
        if other.name == version.name and baseline_of(other) == version.version:
            graph.add(root.key, other, COMPARED)
    return graph.lineage()


@dataclass
class _Below:
    """Gathers what is below a root."""

    reader: Reader
    root: Node
    versions: Sequence[VersionInfo]
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: dict[tuple[str, str, str], Edge] = field(default_factory=dict)
    aliases: dict[str, Mapping[int, tuple[str, ...]]] = field(default_factory=dict)

    def add(self, source: str, version: VersionInfo, meaning: str) -> None:
        """Adds a version below a node."""
        name, key = version.name, key_of(version.name, version.version)
        if name not in self.aliases:
            self.aliases[name] = self.reader.aliases(name)
        if key not in self.nodes and key != self.root.key:
            of_version = self.aliases[name].get(version.version, ())
            self.nodes[key] = version_node(version, of_version, None)
        self.edges.setdefault((source, key, meaning), Edge(source, key, meaning))

    def follow(self, first: Iterable[VersionInfo]) -> None:
        """Adds what came from versions, what came from that, and so on."""
        children = _children(self.versions, self.reader.registry)
        waiting = list(first)
        seen = {(v.name, v.version) for v in waiting}
        while waiting:
            version = waiting.pop(0)
            for child, meaning in children.get((version.name, version.version), ()):
                self.add(key_of(version.name, version.version), child, meaning)
                if (child.name, child.version) not in seen:
                    seen.add((child.name, child.version))
                    waiting.append(child)

    def lineage(self) -> Lineage:
        """The whole."""
        nodes = (self.root, *self.nodes.values())
        return Lineage(self.root.key, nodes, tuple(self.edges.values()), downstream=True)


def _children(
    versions: Sequence[VersionInfo], registry: str
) -> dict[tuple[str, int], list[tuple[VersionInfo, str]]]:
    found: dict[tuple[str, int], list[tuple[VersionInfo, str]]] = {}
    for version in versions:
        parent, source = parent_of(version), copied_from(version)
        if parent is not None:
            found.setdefault((version.name, parent), []).append((version, WARM))
        if source is not None and source[0] == registry:
            found.setdefault(source[1:], []).append((version, COPIED))
    return found


def _with_digest(reader: Reader, versions: Sequence[VersionInfo], given: str) -> list[VersionInfo]:
    """The versions whose source has a digest, or one of whose splits has it."""
    runs = reader.runs_with_digest(given[:_IN_MLFLOW])
    return [
        version
        for version in versions
        if version.tags.get(SOURCE_DIGEST_TAG, "").startswith(given)
        or runs.intersection([version.run_id or "", *step_runs(version).values()])
    ]


def _with_uri(reader: Reader, versions: Sequence[VersionInfo], given: str) -> list[VersionInfo]:
    """The versions whose data lay there; of those without a tag, MLflow's dataset inputs say it."""
    wanted = _Place(given)
    untagged = [version for version in versions if not source_uris(version)]
    runs = reader.runs(run for version in untagged for run in _runs_of_data(version))
    found = []
    for version in versions:
        uris = set(source_uris(version).values()) or _dataset_uris(version, runs)
        if any(wanted.holds(uri, span_names(version)) for uri in uris):
            found.append(version)
    return found


def _runs_of_data(version: VersionInfo) -> Iterator[str]:
    run = step_runs(version).get("ingest") or version.run_id
    if run:
        yield run


def _dataset_uris(version: VersionInfo, runs: Mapping[str, RunFacts]) -> set[str]:
    of_version = [runs[run] for run in _runs_of_data(version) if run in runs]
    return {dataset.uri for run in of_version for dataset in run.datasets}


class _Place:
    """Where data is, as a person gave it: a path or a URI, of a file or of a folder around it."""

    def __init__(self, given: str) -> None:
        self._uri = as_uri(given).rstrip("/")
        self._path = _path(self._uri)

    def holds(self, uri: str, spans: Sequence[str]) -> bool:
        """Whether recorded data is this, lies in this folder, or has this file as a span.

        Args:
            uri: Where the data lay, perhaps with placeholders for spans.
            spans: The names of the spans that were taken.
        """
        recorded = as_uri(uri).rstrip("/") if uri else ""
        path = _path(recorded)
        if path == self._path or path.startswith(f"{self._path}/"):
            return True
        if not has_placeholders(path):
            return False
        try:
            span = SpanPattern(path).span_of(self._path)
        except ConfigError:  # braces that are no placeholders
            return False
        return span is not None and str(span) in spans


def _path(uri: str) -> str:
    """The path of a `file://` URI without its escapes, so that they are compared as they read."""
    return local_path(uri) if uri.startswith("file:///") else uri
