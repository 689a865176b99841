"""What a person sees of deployments: one status, or a table of them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.targets.base import TargetStatus


def show_one(status: TargetStatus, as_json: bool) -> None:
    """Prints one status.

    Args:
        status: What a target says.
        as_json: Print it as JSON.
    """
    if as_json:
        print(json.dumps(asdict(status)))
        return
    served = ", ".join(_versions(status)) or "none"
    print(f"{status.model}: {status.state} ({status.target}), versions {served}")
    if status.rest_url:
        print(f"REST     {status.rest_url}/v1/models/{status.model}:predict")
    if status.grpc_address:
        print(f"gRPC     {status.grpc_address}")
    if status.detail:
        print(f"Note     {status.detail}")


def show_table(found: list[TargetStatus]) -> None:
    """Prints statuses as a table, and below it what there is to say of them."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    styles = {"running": "green", "starting": "cyan", "failed": "red"}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head, whole in (("model", False), ("state", True), ("versions", False), ("address", True)):
        table.add_column(head, no_wrap=whole, overflow="fold")
    table.add_column("server", no_wrap=True)
    for one in found:
        address = "\n".join(filter(None, [one.rest_url, one.grpc_address]))
        table.add_row(
            Text.assemble(one.model, (f"\n{one.target}", "dim")),
            Text(one.state, styles.get(one.state, "dim")),
            Text("\n".join(_versions(one))),
            Text(address),
            Text(_life(one)),
        )
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(table)
    for one in found:
        if one.detail:
            console.print(f"{one.model} ({one.target}): {one.detail}", soft_wrap=True)


def _versions(status: TargetStatus) -> list[str]:
    """The versions in words: `2 (stable, default)`."""
    words = []
    for number in status.versions:
        names = [label for label, version in status.labels.items() if version == number]
        names += ["default"] if number == status.default_version else []
        words.append(f"{number} ({', '.join(names)})" if names else str(number))
    return words


def _life(status: TargetStatus) -> str:
    facts = status.facts
    parts = []
    if facts.get("pid"):
        parts.append(f"process {facts['pid']}")
    if facts.get("uptime_s") is not None:
        parts.append(_duration(float(facts["uptime_s"])))
    if facts.get("restarts"):
        parts.append(f"restarts: {facts['restarts']}")
    return "\n".join(parts)


def _duration(seconds: float) -> str:
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length_s:
            return f"{seconds / length_s:.1f} {unit}"
    return f"{seconds:.0f} s"
