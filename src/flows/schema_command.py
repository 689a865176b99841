"""`benison schema`: the reviewed schema inferred, shown, compared, accepted and changed.

Exit codes: 0 done, or the same; 5 `diff` found a difference; 2 usage, configuration, or a consent
that is missing (nothing was written); 1 error.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.options import add_data, add_project, add_verbose, data_of

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

    from mlproject.config import Project
    from mlproject.schema.diff import Change
    from mlproject.schema.file import ReviewedSchema

SAME, DIFFERENT = 0, 5


def add_parser(commands: Any) -> None:
    """Adds `schema` and its commands.

    Args:
        commands: The subparsers of `benison`.
    """
    schema = commands.add_parser("schema", help="what the data must look like: a reviewed file")
    leaves = schema.add_subparsers(dest="schema_command", required=True, metavar="COMMAND")

    leaf = leaves.add_parser("infer", help="write a schema that the newest data obeys")
    add_project(leaf)
    add_verbose(leaf)
    add_data(leaf)
    leaf.add_argument("--accept", action="store_true", help="replace the schema that is there")
    for comparison in ("drift", "skew"):
        leaf.add_argument(
            f"--{comparison}",
            type=float,
            metavar="THRESHOLD",
            help=f"{comparison} threshold for every feature, 0 to 1: js for numbers, linf for text",
        )
    leaf.set_defaults(run=infer)

    leaf = leaves.add_parser("show", help="print the schema as a table")
    add_project(leaf)
    add_verbose(leaf)
    leaf.add_argument("feature", nargs="*", metavar="FEATURE", help="only these")
    leaf.set_defaults(run=show)

    leaf = leaves.add_parser("diff", help="compare the schema with the newest data, or a file")
    add_project(leaf)
    add_verbose(leaf)
    add_data(leaf)
    _add_tighten(leaf)
    leaf.add_argument("--against", metavar="FILE", help="another schema.pbtxt instead of the data")
    leaf.set_defaults(run=diff)

    leaf = leaves.add_parser("accept", help="let the schema follow the newest data")
    add_project(leaf)
    add_verbose(leaf)
    add_data(leaf)
    _add_tighten(leaf)
    leaf.add_argument("feature", nargs="*", metavar="FEATURE", help="only these, which is consent")
    leaf.add_argument("--accept", action="store_true", help="consent to all that widens")
    leaf.set_defaults(run=accept)

    leaf = leaves.add_parser("set", help="change the rules of one feature")
    add_project(leaf)
    add_verbose(leaf)
    leaf.add_argument("feature", metavar="FEATURE")
    leaf.add_argument("rule", nargs="+", metavar="KEY=VALUE", help="KEY= takes the rule away")
    leaf.set_defaults(run=set_rules)


def infer(args: argparse.Namespace) -> int:
    """Writes the schema that the newest data suggests, asking the data alone."""
    from flows.logs import quiet
    from flows.newest_statistics import read_newest
    from mlproject.errors import ConfigError
    from mlproject.schema import infer_schema
    from mlproject.schema.accept import keep_review
    from mlproject.schema.diff import diff_schemas
    from mlproject.schema.file import read_reviewed
    from mlproject.schema.thresholds import set_thresholds
    from mlproject.settings import read_settings

    project = _project(args)
    before = read_reviewed(project)
    newest = read_newest(args.project, data_of(args), args.verbose, schema_free=True)
    with quiet(read_settings().home, "schema", args.verbose):
        schema = infer_schema(newest.statistics)
    if before.schema is not None:
        schema = keep_review(schema, before.schema)
    training_only = project.config.schema_.training_only
    for comparison in ("drift", "skew"):
        threshold = getattr(args, comparison)
        if threshold is not None:
            schema = set_thresholds(schema, comparison, threshold, training_only)
    if before.schema is not None:
        changes = diff_schemas(before.schema, schema)
        _print_changes(changes, before.path)
        if not changes:
            return SAME
        if not args.accept:
            raise ConfigError(
                "The schema was not inferred anew: there is a reviewed one",
                received=str(before.path),
                expected="--accept, to replace it by what the data alone says",
                next_step="benison schema accept takes over what the data breaks, and keeps the "
                "rest of the review",
            )
    _save(args, before, schema, project)
    return SAME


def show(args: argparse.Namespace) -> int:
    """Prints the schema as a table, the training-only columns of project.yaml among them."""
    from flows.schema_table import print_features, print_schema
    from mlproject.errors import ConfigError, closest
    from mlproject.schema import set_environments
    from mlproject.schema.file import read_reviewed
    from mlproject.schema.rules import read_rules

    project = _project(args)
    reviewed = read_reviewed(project)
    schema = set_environments(reviewed.known(), project.config.schema_.training_only)
    rules = read_rules(schema)
    unknown = [name for name in args.feature if name not in rules]
    if unknown:
        raise ConfigError(
            "Looking for a feature of the schema failed",
            received=f"'{unknown[0]}'",
            expected=closest(unknown[0], rules),
        )
    if args.feature:
        print_features([rules[name] for name in args.feature])
        return SAME
    print_schema(list(rules.values()))
    print(f"{len(rules)} features in {reviewed.path}{_unnamed(project)}")
    return SAME


def diff(args: argparse.Namespace) -> int:
    """Compares the reviewed schema with what the newest data says, or with a file."""
    from mlproject.schema import read_schema
    from mlproject.schema.diff import diff_schemas
    from mlproject.schema.file import read_reviewed

    project = _project(args)
    reviewed = read_reviewed(project)
    known = reviewed.known()
    after = read_schema(Path(args.against)) if args.against else _conformed(args, known, project)
    changes = diff_schemas(known, after)
    _print_changes(changes, reviewed.path)
    return DIFFERENT if changes else SAME


def accept(args: argparse.Namespace) -> int:
    """Takes the data's differences over, all or those of the features named."""
    from mlproject.errors import ConfigError
    from mlproject.schema.accept import take_features
    from mlproject.schema.diff import diff_schemas
    from mlproject.schema.file import read_reviewed

    project = _project(args)
    reviewed = read_reviewed(project)
    known = reviewed.known()
    after = _conformed(args, known, project)
    if args.feature:
        after = take_features(known, after, args.feature)
    changes = diff_schemas(known, after)
    _print_changes(changes, reviewed.path)
    if not changes:
        return SAME
    wider = [change for change in changes if change.needs_consent]
    if wider and not args.feature and not args.accept:
        names = ", ".join(dict.fromkeys(change.feature for change in wider))
        raise ConfigError(
            "The schema was not changed: it would let in what it refuses now",
            received=f"{len(wider)} such changes, of {names}",
            expected="the names of the features whose changes you accept, or --accept for all",
            next_step="look at the changes above; benison data bad-rows shows the rows behind them",
        )
    _save(args, reviewed, after, project)
    return SAME


def set_rules(args: argparse.Namespace) -> int:
    """Changes the rules of one feature."""
    from mlproject.schema.diff import diff_schemas
    from mlproject.schema.edit import edit_feature
    from mlproject.schema.file import read_reviewed

    project = _project(args)
    reviewed = read_reviewed(project)
    known = reviewed.known()
    training_only = project.config.schema_.training_only
    after = edit_feature(known, args.feature, args.rule, training_only)
    changes = diff_schemas(known, after)
    _print_changes(changes, reviewed.path)
    if changes:
        _save(args, reviewed, after, project)
    return SAME


def _conformed(args: argparse.Namespace, known: Schema, project: Project) -> Schema:
    """The reviewed schema as it must become for the newest data to obey it."""
    from flows.logs import quiet
    from flows.newest_statistics import read_newest
    from mlproject.schema import set_environments
    from mlproject.schema.conform import conform_schema, tighten_schema
    from mlproject.settings import read_settings

    newest = read_newest(args.project, data_of(args), args.verbose)
    environments = list(known.default_environment)
    asked = set_environments(known, ())
    with quiet(read_settings().home, "schema", args.verbose):
        after = conform_schema(asked, newest.statistics, types_declared=newest.types_declared)
        if args.tighten:
            after = tighten_schema(after, newest.statistics)
    del after.default_environment[:]
    after.default_environment.extend(environments)
    return after


def _save(
    args: argparse.Namespace, before: ReviewedSchema, schema: Schema, project: Project
) -> None:
    from flows.logs import quiet
    from mlproject.schema.file import save_reviewed
    from mlproject.settings import read_settings

    with quiet(read_settings().home, "schema", args.verbose):
        save_reviewed(before, schema, project)
    print(f"Written  {before.path}{_unnamed(project)}")


def _print_changes(changes: Sequence[Change], path: Path) -> None:
    from flows.schema_table import print_changes

    if changes:
        print_changes(changes)
    else:
        print(f"No difference to {path}")


def _unnamed(project: Project) -> str:
    """What is still to do where project.yaml does not name the file: no run would read it."""
    if project.schema_path is not None:
        return ""
    return "; no run reads it before project.yaml says `schema: {path: schema.pbtxt}`"


def _project(args: argparse.Namespace) -> Project:
    from mlproject.config import load_project

    return load_project(Path(args.project), data_of(args))


def _add_tighten(leaf: argparse.ArgumentParser) -> None:
    leaf.add_argument(
        "--tighten",
        action="store_true",
        help="also where the schema allows more than the data has",
    )
