"""`benison explain`: what each feature of one row adds to its prediction."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.options import add_model, add_verbose
from mlproject.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from mlproject.explanation import Attribution

BAR_CELLS = 20
NAME_CELLS, VALUE_CELLS = 40, 28
PICTURES = (".png", ".html")


def add_parser(commands: Any) -> None:
    """Adds `explain`.

    Args:
        commands: The subparsers of `benison`.
    """
    leaf = commands.add_parser(
        "explain",
        help="say what each feature of a row adds to its prediction",
        description="Integrated gradients against a typical row of the model's data, Shapley "
        "values for features that have no gradient. No server is needed.",
    )
    add_model(leaf)
    leaf.add_argument("row", nargs="?", help="a row as JSON: '{\"trip_miles\": 2.5}'")
    leaf.add_argument("--sample", action="store_true", help="the version's sample row instead")
    leaf.add_argument(
        "--class",
        dest="output",
        type=int,
        metavar="N",
        help="the class to explain (default: the predicted one)",
    )
    leaf.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="points of the path integral (default: as many as it needs, up to 512)",
    )
    leaf.add_argument("--json", action="store_true", help="print the explanation as JSON")
    leaf.add_argument("--out", metavar="FILE", help="write a picture too: .png or .html")
    add_verbose(leaf)
    leaf.set_defaults(run=explain)


def explain(args: argparse.Namespace) -> int:
    """Explains the prediction of one row by a registered model."""
    import tempfile

    from flows.logs import quiet
    from mlproject.registry import SAVED_MODEL, Registry
    from mlproject.settings import read_settings

    given = _read_row(args)
    out = _picture(args.out)
    settings = read_settings()
    with (
        quiet(settings.home, "explain", args.verbose),
        tempfile.TemporaryDirectory(prefix="benison-explain-") as folder,
    ):
        from mlproject.explanation import integrated_gradients
        from mlproject.explanation.model import require_signatures
        from mlproject.saved_model import TRANSFORM_FEATURES
        from serving.row_arrays import row_arrays

        registry = Registry(settings)
        version = registry.resolve(args.model)
        model = registry.download(version, SAVED_MODEL, Path(folder))
        require_signatures(model)
        asked = registry.sample(version) if given is None else given
        (row,) = row_arrays(model, TRANSFORM_FEATURES, [("The row", asked)])
        found = integrated_gradients(model, row, output=args.output, steps=args.steps)
        title = f"{version.name}/{version.version}"
        if out is not None:
            _draw(found, title, out)
    if args.json:
        print(json.dumps({"model": version.name, "version": version.version, **found.as_dict()}))
    else:
        print("\n".join(table(found, title)))
        if out is not None:
            print(out)
    return 0


def table(attribution: Attribution, title: str) -> list[str]:
    """The explanation as lines of text: each feature with its value, what it adds, and a bar.

    Args:
        attribution: The explanation.
        title: What was explained.
    """
    from mlproject.explanation.page import baseline_words, shown

    shares = attribution.shares
    cells = [
        (_cut(s.feature, NAME_CELLS), _cut(shown(s.value), VALUE_CELLS), f"{s.attribution:+.4g}")
        for s in shares
    ]
    header = ("feature", "value", "adds")
    widths = [max(len(row[place]) for row in [header, *cells]) for place in range(3)]
    most = max((abs(s.attribution) for s in shares), default=0.0)
    lines = [_line(header, widths)]
    for share, row in zip(shares, cells, strict=True):
        length = round(BAR_CELLS * abs(share.attribution) / most) if most else 0
        bar = ("+" if share.attribution >= 0 else "-") * length
        lines.append(f"{_line(row, widths)}  {bar}".rstrip())
    what = "" if attribution.output is None else f" of class {attribution.output}"
    facts = [
        (f"prediction{what}", f"{attribution.prediction:.6g}"),
        ("baseline", f"{attribution.baseline:.6g}, {baseline_words(attribution)}"),
        ("gap", f"{attribution.gap:+.2g}, {_method(attribution)}"),
    ]
    width = max(len(name) for name, _ in facts)
    return [title, *lines, "", *(f"{name:<{width}}  {text}" for name, text in facts)]


def _method(attribution: Attribution) -> str:
    shapley = "Shapley values of all coalitions"
    if attribution.permutations:
        shapley = f"Shapley values from {attribution.permutations} orders of the features"
    if not attribution.steps:
        return shapley
    return f"integrated gradients in up to {attribution.steps} steps; {shapley}"


def _line(cells: tuple[str, str, str], widths: list[int]) -> str:
    name, value, number = cells
    return f"{name:<{widths[0]}}  {value:<{widths[1]}}  {number:>{widths[2]}}"


def _cut(text: str, most: int) -> str:
    line = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return line if len(line) <= most else line[: most - 1] + "\u2026"


def _read_row(args: argparse.Namespace) -> Mapping[str, Any] | None:
    """The row of the command line; None for the version's sample."""
    if (args.row is None) != args.sample:
        raise ConfigError(
            "Reading the row failed",
            received="both a row and --sample" if args.sample else "neither a row nor --sample",
            expected="one of them",
        )
    if args.row is None:
        return None
    try:
        value = json.loads(args.row)
    except (ValueError, RecursionError) as err:
        raise ConfigError(
            "Reading the row failed", received=args.row, expected=f"JSON; {err}"
        ) from err
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        raise ConfigError(
            "Reading the row failed",
            received=args.row[:200],
            expected='one object, such as {"trip_miles": 2.5}',
        )
    return value


def _picture(name: str | None) -> Path | None:
    if name is None:
        return None
    out = Path(name).absolute()
    if out.suffix.lower() not in PICTURES:
        raise ConfigError(
            "Writing the picture failed", received=name, expected="a file ending in .png or .html"
        )
    return out


def _draw(attribution: Attribution, title: str, out: Path) -> None:
    from mlproject.explanation.page import write_page
    from mlproject.figures.attribution import attribution_waterfall

    try:
        if out.suffix.lower() == ".png":
            attribution_waterfall(attribution, out, title)
        else:
            write_page(attribution, title, out)
    except OSError as err:
        raise StorageError(
            "Writing the picture failed",
            received=str(err),
            expected="a file in a folder that exists and can be written",
        ) from err
