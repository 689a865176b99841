"""The recorded configuration as a scratch project runs it. Pure."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlproject.reproduction.recorded import Recorded, code_name


def scratch_config(recorded: Recorded, base: Path) -> dict[str, Any]:
    """The recorded configuration, with what was tuned in its place and its data found.

    Args:
        recorded: What the version was made of.
        base: The folder that relative paths of the data are meant from.

    Returns:
        The configuration, as JSON values.
    """
    values = copy.deepcopy(dict(recorded.config))
    values["tuning"] = None
    values["training"]["hyperparameters"] = dict(recorded.hyperparameters)
    values["module"] = code_name(recorded.config, values["module"])
    for section, key in (("schema", "path"), ("evaluation", "cases")):
        if (values.get(section) or {}).get(key):
            values[section][key] = code_name(recorded.config, values[section][key])
    for holder, key in _paths_of_data(values):
        if "://" not in holder[key]:
            holder[key] = str(base / holder[key])
    if recorded.span:
        values["data"]["span"] = recorded.span
    return values


def _paths_of_data(values: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Where the configuration holds a path of data: the mapping and the key in it."""
    data = values["data"]
    places = [(data, "path"), (data.get("sql") or {}, "file")]
    places += [(data.get("split_paths") or {}, split) for split in data.get("split_paths") or {}]
    places += [(values.get("validation") or {}, "serving_path")]
    return ((holder, key) for holder, key in places if holder.get(key))
