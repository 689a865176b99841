"""One image file: opened with checks, turned upright, and made pixels of one size.

Pixels are 8 bits deep; deeper ones lose their lower bits. Transparency is dropped for 1 and 3
channels. Of an animation the first frame counts. Resizing is Pillow's bilinear filter, which
averages over all pixels that fall together, so that a smaller image has no jagged edges; the image
is stretched to the size asked for.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from mlproject.examples.request import ImageOptions

MAX_FILE_BYTES = 32 << 20
MAX_PIXELS = 1 << 26
"""Of a decoded image, 8192 x 8192; a file that claims more is taken for a decompression bomb."""

_FORMATS = ("PNG", "JPEG", "BMP", "GIF")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# What Pillow raises on damaged files of these formats.
_DECODE_ERRORS = (
    Image.DecompressionBombError,
    ArithmeticError,
    EOFError,
    LookupError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

Pixels = npt.NDArray[np.uint8]


class BadImage(Exception):  # noqa: N818 - a finding, which the policy turns into an error or not
    """A file that is not a whole image that can be used."""


def read_image(path: Path) -> bytes:
    """An image file's bytes.

    Raises:
        BadImage: It is too large.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise BadImage(f"it has more than {MAX_FILE_BYTES:,} bytes")
    return content


def decode_image(content: bytes) -> Image.Image:
    """Decode an image to its last pixel, and turn it as its EXIF orientation says.

    Raises:
        BadImage: It is no PNG, JPEG, BMP or GIF, is damaged, or has too many pixels.
    """
    if not content:
        raise BadImage("it is empty")
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise BadImage(f"it has {width:,} x {height:,} pixels, more than {MAX_PIXELS:,}")
            image.load()
            return ImageOps.exif_transpose(image)
    except UnidentifiedImageError as err:
        raise BadImage(f"it is not a {', '.join(_FORMATS[:-1])} or {_FORMATS[-1]} file") from err
    except _DECODE_ERRORS as err:
        raise BadImage(str(err) or type(err).__name__) from err


def pixels_of(image: Image.Image, options: ImageOptions) -> Pixels:
    """The pixels of an image in the size and the channels asked for.

    Returns:
        `[height, width, channels] uint8`.

    Raises:
        BadImage: Its pixels have no 8-bit equivalent.
    """
    image = _eight_bits(image).convert(_MODES[options.channels])
    size = (options.width, options.height)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8).reshape(options.height, options.width, options.channels)


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits, which `convert` would clip at 255
        deep = np.asarray(image)
        return Image.fromarray((deep.clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode == "F":
        raise BadImage("its pixels are floating-point numbers")
    return image
