"""Folders of images in, Examples out."""

from __future__ import annotations

import io
import os
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from PIL import Image

from mlproject.errors import ConfigError, DataError
from mlproject.examples import image_file
from mlproject.examples.ingest import Examples, ingest
from mlproject.examples.reader import read_batches
from mlproject.examples.request import ImageOptions, IngestRequest

PER_CLASS = 20
PIXELS = ImageOptions(height=6, width=4, channels=3)


def picture(seed: int, height: int = 6, width: int = 4, channels: int = 3) -> npt.NDArray[np.uint8]:
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def save(path: Path, pixels: npt.NDArray[Any], **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """40 small PNG files in two class folders."""
    for seed in range(2 * PER_CLASS):
        label = "cat" if seed < PER_CLASS else "dog"
        save(tmp_path / "source" / label / f"{seed:03d}.png", picture(seed))
    return tmp_path / "source"


def run(source: Path, images: ImageOptions = PIXELS, **request: Any) -> Examples:
    out = source.parent / "out"
    out.mkdir()
    return ingest(IngestRequest(source=str(source), images=images, **request), out)


def rows(source: Path) -> dict[str, dict[str, Any]]:
    """The rows by file."""
    folders = (source.parent / "out").iterdir()
    found = [row for folder in folders for b in read_batches(folder) for row in b.to_pylist()]
    return {row["file"]: row for row in found}


def test_pixels_are_kept_row_by_row(source: Path) -> None:
    examples = run(source)
    assert examples.columns == (("image", "int list"), ("label", "string"), ("file", "string"))
    assert examples.skipped.count == 0
    found = rows(source)
    assert len(found) == 2 * PER_CLASS
    for seed in range(2 * PER_CLASS):
        label = "cat" if seed < PER_CLASS else "dog"
        row = found[f"{label}/{seed:03d}.png"]
        assert row["label"] == label
        assert row["image"] == picture(seed).reshape(-1).tolist()


def test_rows_keep_the_order_of_the_paths(source: Path) -> None:
    run(source)
    for folder in (source.parent / "out").iterdir():
        files = [file for batch in read_batches(folder) for file in batch["file"].to_pylist()]
        assert files == sorted(files)


def test_encoded_images_are_the_bytes_of_their_files(source: Path) -> None:
    examples = run(source, ImageOptions(keep="encoded"))
    assert examples.columns[0] == ("image", "bytes")
    for name, row in rows(source).items():
        assert row["image"] == (source / name).read_bytes()


def test_paths_lead_to_the_originals(source: Path) -> None:
    examples = run(source, ImageOptions(keep="path"), format="images")
    assert examples.columns[0] == ("image", "string")
    for name, row in rows(source).items():
        assert row["image"] == str(source.absolute() / name)


def test_images_of_other_sizes_are_resized(source: Path) -> None:
    save(source / "cat" / "large.png", np.full((60, 40, 3), 77, np.uint8))
    half = np.zeros((12, 4, 3), np.uint8)
    half[6:] = 200
    save(source / "cat" / "half.png", half)
    run(source)
    assert rows(source)["cat/large.png"]["image"] == [77] * 72
    shrunk = np.array(rows(source)["cat/half.png"]["image"]).reshape(6, 4, 3)
    assert shrunk[0].max() == 0
    assert shrunk[-1].min() == 200
    assert (np.diff(shrunk[:, 0, 0]) >= 0).all()


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.bmp", "a.gif"])
def test_other_formats_are_read(source: Path, name: str) -> None:
    save(source / "dog" / name, np.full((6, 4, 3), 128, np.uint8))
    run(source)
    assert np.abs(np.array(rows(source)[f"dog/{name}"]["image"]) - 128).max() <= 3


@pytest.mark.parametrize(
    ("channels", "expected"),
    [(1, [76]), (3, [255, 0, 0]), (4, [255, 0, 0, 255])],
)
def test_channels_are_converted(source: Path, channels: int, expected: list[int]) -> None:
    red = np.zeros((6, 4, 3), np.uint8)
    red[..., 0] = 255
    save(source / "dog" / "red.png", red)
    run(source, ImageOptions(height=6, width=4, channels=channels))
    assert rows(source)["dog/red.png"]["image"] == expected * 24


@pytest.mark.parametrize(
    ("mode", "value"),
    [("L", 100), ("LA", (100, 0)), ("RGBA", (100, 100, 100, 0)), ("P", 100), ("1", 255)],
)
def test_modes_are_converted(source: Path, mode: str, value: Any) -> None:
    image = Image.new(mode, (4, 6), value)
    if mode == "P":
        image.putpalette([level for level in range(256) for _ in range(3)])
    image.save(source / "dog" / "odd.png")
    run(source)
    grey = 255 if mode == "1" else 100
    assert rows(source)["dog/odd.png"]["image"] == [grey] * 72


def test_sixteen_bits_lose_the_lower_eight(source: Path) -> None:
    save(source / "dog" / "deep.png", np.full((6, 4), 0x80FF, np.uint16))
    run(source)
    assert rows(source)["dog/deep.png"]["image"] == [0x80] * 72


def test_exif_orientation_is_applied(source: Path) -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[:, :3] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate 90 degrees clockwise
    save(source / "dog" / "turned.jpg", pixels, exif=exif, quality=100, subsampling=0)
    run(source)
    upright = np.array(rows(source)["dog/turned.jpg"]["image"]).reshape(6, 4, 3)
    assert upright[:2].min() > 200  # what was left is on top
    assert upright[-2:].max() < 50


def png_of_size(width: int, height: int) -> bytes:
    """A PNG file that claims a size and has next to no pixels of it."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [b"IHDR" + head, b"IDAT" + zlib.compress(bytes(1_000)), b"IEND"]
    framed = [
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def encoded(pixels: npt.NDArray[np.uint8], kind: str) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind)
    return content.getvalue()


PNG = encoded(picture(0, 50, 50), "PNG")
BAD = {
    "empty": (b"", "it is empty"),
    "text": (b"hello", "it is not a PNG, JPEG, BMP or GIF file"),
    "html": (b"<html>404 not found</html>" * 99, "it is not a PNG"),
    "cut png": (PNG[:-500], ""),
    "cut jpeg": (encoded(picture(0, 50, 50), "JPEG")[:-300], "truncated"),
    "cut bmp": (encoded(picture(0, 50, 50), "BMP")[:-300], "truncated"),
    "cut gif": (encoded(picture(0, 50, 50), "GIF")[:-300], ""),
    "spoilt png": (PNG[:200] + bytes(50) + PNG[250:], ""),
    "bomb": (png_of_size(60_000, 60_000), "pixels"),
    "large": (png_of_size(9_000, 9_000), "it has 9,000 x 9,000 pixels, more than 67,108,864"),
    "no pixels": (png_of_size(100, 100), ""),
    "tiff": (encoded(picture(0), "TIFF"), "it is not a PNG"),
}


@pytest.mark.parametrize("keep", ["pixels", "encoded", "path"])
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_image_is_named(source: Path, kind: str, keep: Any) -> None:
    content, reason = BAD[kind]
    (source / "cat" / "bad.png").write_bytes(content)
    images = ImageOptions(height=6, width=4, keep=keep)
    with pytest.raises(DataError) as raised:
        run(source, images)
    assert f"'{source}/cat/bad.png' is not an image that can be used" in raised.value.failed
    assert reason in str(raised.value.received)
    assert "data.images.on_bad_file: skip" in str(raised.value.next_step)


@pytest.mark.parametrize("keep", ["pixels", "encoded", "path"])
def test_bad_images_are_skipped_and_counted(source: Path, keep: Any) -> None:
    for number, (content, _) in enumerate(BAD.values()):
        (source / "cat" / f"bad{number}.png").write_bytes(content)
    images = ImageOptions(height=6, width=4, keep=keep)
    examples = run(source, images, on_bad_file="skip")
    assert sum(rows for _, rows in examples.splits) == 2 * PER_CLASS
    assert examples.skipped.count == len(BAD)
    named = dict(examples.skipped.named)
    assert sorted(Path(path).name for path in named) == sorted(
        f"bad{i}.png" for i in range(len(BAD))
    )
    assert named[f"{source}/cat/bad0.png"] == "it is empty"


def test_a_name_that_is_not_utf8_is_bad(source: Path) -> None:
    shutil.copy(source / "cat" / "000.png", os.fsencode(source / "cat") + b"/\xff.png")
    examples = run(source, on_bad_file="skip")
    assert [reason for _, reason in examples.skipped.named] == ["its name is not UTF-8"]


def test_a_file_of_too_many_bytes_is_bad(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_file, "MAX_FILE_BYTES", 1_000)
    (source / "cat" / "bad.png").write_bytes(PNG)
    with pytest.raises(DataError, match="more than 1,000 bytes"):
        run(source)


def test_an_image_of_too_many_pixels_is_bad(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_file, "MAX_PIXELS", 2_000)
    (source / "cat" / "bad.png").write_bytes(PNG)
    with pytest.raises(DataError, match="50 x 50 pixels, more than 2,000"):
        run(source)


def test_no_good_image_at_all_is_refused_even_where_bad_ones_are_skipped(source: Path) -> None:
    for path in source.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="none of the other 39 images is"):
        run(source, on_bad_file="skip")


def test_a_folder_without_class_folders_is_refused(source: Path) -> None:
    with pytest.raises(DataError, match="not in class folders"):
        ingest(IngestRequest(source=str(source / "cat"), images=PIXELS), source)


def test_a_single_class_folder_is_refused(source: Path) -> None:
    with pytest.raises(DataError, match="not in class folders") as raised:
        ingest(IngestRequest(source=str(source / "cat" / "*.png"), images=PIXELS), source)
    assert "20 images that all lie in a folder 'cat'" in str(raised.value.received)


def test_flat_folders_as_given_splits_are_refused(source: Path) -> None:
    sources = (("train", str(source / "cat")), ("eval", str(source / "dog")))
    with pytest.raises(DataError, match="not in class folders"):
        ingest(IngestRequest(split_sources=sources, images=PIXELS), source)


def test_a_note_beside_the_class_folders_is_no_image(source: Path) -> None:
    (source / "README.md").write_text("about the images")
    assert sum(rows for _, rows in run(source, format="images").splits) == 2 * PER_CLASS


def test_given_splits_keep_their_labels(source: Path) -> None:
    shutil.copytree(source, source.parent / "held_out")
    out = source.parent / "out"
    out.mkdir()
    sources = (("train", str(source)), ("eval", str(source.parent / "held_out")))
    request = IngestRequest(split_sources=sources, images=ImageOptions(keep="encoded"))
    examples = ingest(request, out)
    assert examples.splits == (("train", 40), ("eval", 40))
    labels = [b["label"].to_pylist() for b in read_batches(out / "Split-eval")]
    assert labels == [["cat"] * PER_CLASS + ["dog"] * PER_CLASS]


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (ImageOptions(), "need a size"),
        (ImageOptions(height=6), "need a size"),
        (ImageOptions(height=6, width=-4), "need a size"),
        (ImageOptions(height=6, width=4, channels=2), r"channels is not known.*2"),
        (ImageOptions(height=5_000, width=5_000), "too large"),
        (ImageOptions(keep="pixel"), "did you mean 'pixels'"),  # type: ignore[arg-type]
    ],
)
def test_options_that_cannot_be_are_config_errors(
    source: Path, images: ImageOptions, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        run(source, images)


def test_labels_can_be_numbers(tmp_path: Path) -> None:
    for seed in range(40):
        save(tmp_path / "source" / str(seed % 2) / f"{seed}.png", picture(seed))
    declared = (("label", "int"), ("image", "float list"))
    examples = run(tmp_path / "source", column_types=declared)
    assert dict(examples.columns) == {"image": "float list", "label": "int", "file": "string"}
    assert {row["label"] for row in rows(tmp_path / "source").values()} == {0, 1}


def test_a_declared_type_that_does_not_fit_is_refused(source: Path) -> None:
    with pytest.raises(DataError, match="'label' of the images does not convert to int"):
        run(source, column_types=(("label", "int"),))


def test_threads_change_nothing(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = []
    for threads in (1, 7):
        monkeypatch.setattr(pa, "cpu_count", lambda threads=threads: threads)
        monkeypatch.setattr("mlproject.examples.image_source._RUN_FILES", 3)
        digests.append(run(source).split_digests)
        shutil.rmtree(source.parent / "out")
    assert digests[0] == digests[1]
