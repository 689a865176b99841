"""A transform graph, loaded and applied to tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

GRAPH_FOLDER = "transform_graph"


class TransformGraph:
    """A transform graph, loaded once.

    Args:
        graph_dir: The `transform_graph/` folder of the artifact.
    """

    def __init__(self, graph_dir: Path) -> None:
        import tensorflow_transform as tft
        from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader

        self.folder = graph_dir
        self.output = tft.TFTransformOutput(str(graph_dir))
        self.raw_specs: dict[str, Any] = self.output.raw_feature_spec()
        self._loader = SavedModelLoader(self.output.transform_savedmodel_dir)

    @property
    def trackable(self) -> Any:
        """The loaded SavedModel, to be tracked by a module that is exported with it."""
        return self._loader._imported

    def apply(self, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Applies the graph; outputs that need a feature which is not given are left out.

        Args:
            raw: Feature -> `Tensor` (FixedLen) or `SparseTensor` (VarLen).
        """
        return dict(self._loader.apply_transform_model(dict(raw)))

    def needed_features(self, available: Iterable[str], label: str) -> tuple[str, ...]:
        """The features that the graph needs at serving, in the schema's order.

        Args:
            available: Features that exist at serving.
            label: The output that is not wanted there.

        Returns:
            Those of the available features without which some other output cannot be computed.
        """
        there = [name for name in self.raw_specs if name in set(available)]
        wanted = self._computable(there) - {label}
        return tuple(n for n in there if wanted - self._computable(set(there) - {n}))

    def sources(self) -> dict[str, tuple[str, ...]]:
        """The raw features that each output is computed from, in the schema's order."""
        everything = set(self.raw_specs)
        outputs = self._computable(everything)
        lost = {n: outputs - self._computable(everything - {n}) for n in self.raw_specs}
        return {output: tuple(n for n in lost if output in lost[n]) for output in sorted(outputs)}

    def _computable(self, features: Iterable[str]) -> set[str]:
        """The outputs that need no other features than these."""
        unfed = set(self.raw_specs) - set(features)
        return set(self._loader._get_fetches_keys(self._loader._get_feeds(unfed)))
