"""Write scikit-learn's bundled digits as PNG files: a folder for each digit.

1,797 handwritten digits of 8 x 8 pixels, from the test set of the UCI machine learning repository's
"Optical Recognition of Handwritten Digits". Nothing is downloaded: scikit-learn brings them along.

    <out>/<digit>/<n>.png      greyscale, 8 bits deep; n is the image's number, 0000 to 1796

scikit-learn's 17 grey levels (0 to 16) become 0 to 255, so that each level can be told from the
file. The same scikit-learn and Pillow give the same bytes. The folder is written aside and renamed
when it is whole; one that this script wrote before is replaced.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

DATA = Path(__file__).with_name("data")
LEVELS = 16
DIGITS = tuple(map(str, range(10)))


class OutError(ValueError):
    """The folder cannot be written; the message says what was received and expected."""


def write(out: str | os.PathLike[str]) -> int:
    """Write the images, all of them or none.

    Args:
        out: The folder; made if need be, replaced if it holds folders of digits and nothing else.

    Returns:
        The number of images.

    Raises:
        OutError: The folder holds something else, or is a file.
        OSError: It cannot be written.
    """
    out = Path(out)
    _check_replaceable(out)
    digits = load_digits()
    pixels = np.rint(digits.images * (255 / LEVELS)).astype(np.uint8)
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.with_name(f".{out.name}.{os.getpid()}.part")
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    try:
        for digit in DIGITS:
            (aside / digit).mkdir(parents=True)
        for number, (image, digit) in enumerate(zip(pixels, digits.target, strict=True)):
            Image.fromarray(image).save(aside / str(digit) / f"{number:04}.png")
        if out.exists():
            out.rename(old)  # a folder that is not empty cannot be renamed over
        aside.rename(out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return len(pixels)


def _check_replaceable(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise OutError(f"the output must be a folder. Received the file: {out}")
    strange = sorted({p.name for p in out.iterdir()} - set(DIGITS)) if out.exists() else []
    if strange:
        raise OutError(
            f"the output must be a new folder, or one with digits alone. {out} holds: {strange[0]}"
        )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:  # one line, without the usage
        self.exit(2, f"{self.prog}: error: {message}\n")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (2 for a folder that cannot be written)."""
    parser = _Parser(
        prog="generate.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=DATA, help="folder (default: %(default)s)")
    out = parser.parse_args(argv).out
    try:
        count = write(out)
    except OutError as err:
        print(f"generate.py: error: {err}", file=sys.stderr)
        return 2
    except OSError as err:
        print(f"generate.py: error: cannot write {out}: {err}", file=sys.stderr)
        return 2
    print(f"wrote {count:,} images to {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
