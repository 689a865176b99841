"""TensorFlow Lite models that answer as the SavedModel does; files that are whole or not there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlproject.errors import ConfigError, ServingError
from serving.exports.placing import check_free, moved_away, placed_file
from serving.exports.tflite import BUILT_IN, SELECT, Arrays, convert_tflite

ROW = {"fare": np.array([2.5], np.float32), "way": np.array([b"Cash"], object)}
ROWS = {
    "fare": np.array([1.0, np.nan, 3.0], np.float32),
    "way": np.array([b"Card", b"", b"Barter"], object),
}


@pytest.fixture(scope="session")
def lite_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """SavedModels by name, each in a folder of its own.

    plain: fare float32 -> 3 fare, of built-in operations.
    vocabulary: fare float32, way string -> fare + its line in a file of words (-1 for none),
        and a hash bucket, which only TensorFlow has.
    random: fare float32 -> fare + noise; signature `words` gives the noise as text.
    """
    import tensorflow as tf

    root = tmp_path_factory.mktemp("lite-models")
    words = root / "words.txt"
    words.write_text("Cash\nCard\n", encoding="utf-8")
    fare = tf.TensorSpec([None], tf.float32, name="fare")
    way = tf.TensorSpec([None], tf.string, name="way")

    class Vocabulary(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = tf.Variable(2.0)
            self.table = tf.lookup.StaticHashTable(
                tf.lookup.TextFileInitializer(
                    str(words),
                    tf.string,
                    tf.lookup.TextFileIndex.WHOLE_LINE,
                    tf.int64,
                    tf.lookup.TextFileIndex.LINE_NUMBER,
                ),
                default_value=-1,
            )

        @tf.function(input_signature=[fare, way])
        def score(self, fare: Any, way: Any) -> Any:
            known = tf.where(tf.math.is_nan(fare), 0.0, fare)
            line = tf.cast(self.table.lookup(way), tf.float32)
            bucket = tf.strings.to_hash_bucket_fast(way, 10)
            return {"score": self.weight * known + line, "bucket": bucket}

    @tf.function(input_signature=[fare])
    def plain(fare: Any) -> Any:
        return {"tripled": 3.0 * fare}

    @tf.function(input_signature=[fare])
    def random(fare: Any) -> Any:
        # Not tf.random.uniform: under a global seed, which another test of this process may have
        # set, TensorFlow Lite draws the same numbers.
        noise = tf.raw_ops.RandomUniform(shape=tf.shape(fare), dtype=tf.float32)
        return {"noisy": fare + 1.0 + noise}

    @tf.function(input_signature=[fare])
    def words_of(fare: Any) -> Any:
        return {"word": tf.strings.as_string(random(fare)["noisy"])}

    vocabulary = Vocabulary()
    for name, (module, signatures) in {
        "vocabulary": (vocabulary, {"serving_default": vocabulary.score}),
        "plain": (tf.Module(), {"serving_default": plain}),
        "random": (tf.Module(), {"serving_default": random, "words": words_of}),
    }.items():
        tf.saved_model.save(module, str(root / name), signatures=signatures)
    return {path.name: path for path in root.iterdir() if path.is_dir()}


def ask(content: bytes, request: Arrays) -> dict[str, np.ndarray]:
    import tensorflow as tf

    runner = tf.lite.Interpreter(model_content=content).get_signature_runner("serving_default")
    return dict(runner(**request))


def test_a_model_of_simple_operations_needs_built_in_ones_only(
    lite_models: dict[str, Path],
) -> None:
    model = convert_tflite(lite_models["plain"], "serving_default", [{"fare": ROWS["fare"]}])
    assert (model.ops, model.rows, model.difference, model.first_rows) == (BUILT_IN, 3, 0.0, 1)
    assert ask(model.content, {"fare": ROW["fare"]})["tripled"].tolist() == [7.5]


def test_a_vocabulary_in_a_file_goes_along(lite_models: dict[str, Path], tmp_path: Path) -> None:
    from mlproject.saved_model import open_signature

    model = convert_tflite(lite_models["vocabulary"], "serving_default", [ROW, ROWS])
    assert (model.ops, model.rows) == (SELECT, 4)
    with open_signature(lite_models["vocabulary"]) as predict:
        wanted = predict(ROWS)
    found = ask(model.content, ROWS)
    assert found["score"].tolist() == wanted["score"].tolist() == [3.0, -1.0, 5.0]
    assert found["bucket"].tolist() == wanted["bucket"].tolist()


@pytest.mark.parametrize("signature", ["serving_default", "words"])
def test_a_model_that_answers_otherwise_is_refused(
    lite_models: dict[str, Path], signature: str
) -> None:
    with pytest.raises(ServingError, match="answers other than the SavedModel"):
        convert_tflite(lite_models["random"], signature, [{"fare": ROWS["fare"][[0, 2]]}])


def test_what_cannot_be_compared_is_refused(lite_models: dict[str, Path]) -> None:
    with pytest.raises(ServingError, match="cannot be compared"):
        convert_tflite(lite_models["plain"], "serving_default", [])
    with pytest.raises(ServingError, match="has no signature 'other'"):
        convert_tflite(lite_models["plain"], "other", [{"fare": ROWS["fare"]}])


def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "model.tflite"
    with pytest.raises(FileNotFoundError), placed_file(target, replace=False) as aside:
        shutil.copyfile(tmp_path / "nowhere", aside)
    assert list(target.parent.iterdir()) == []
    with placed_file(target, replace=False) as aside:
        aside.write_bytes(b"whole")
    assert target.read_bytes() == b"whole"
    with pytest.raises(ConfigError, match="--replace"):
        check_free(target, replace=False)
    with placed_file(target, replace=True) as aside:
        aside.write_bytes(b"again")
    assert [path.name for path in target.parent.iterdir()] == ["model.tflite"]
    assert target.read_bytes() == b"again"
    with pytest.raises(ConfigError, match="is a folder"):
        check_free(tmp_path, replace=True)


def test_a_folder_that_could_not_be_replaced_comes_back(tmp_path: Path) -> None:
    target = tmp_path / "3"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(FileNotFoundError), moved_away(target, replace=True):
        target.rmdir()  # it is not there now
    assert (target / "old").exists()
    with moved_away(target, replace=True):
        target.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["3"]
    assert not (target / "old").exists()
