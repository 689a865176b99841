"""EngineSettings: where pipelines run, read from the environment and nowhere else.

| variable | meaning | default |
| --- | --- | --- |
| `BENISON_ENGINE` | `local` or `beam` | `local` |
| `BENISON_BEAM_OPTIONS` | Beam's own options, as on a command line | none |

The options hold hosts and may hold secrets: they are in no `repr`, no message, no log and no tag.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from mlproject.errors import ConfigError, closest

ENGINES = ("beam", "local")


@dataclass(frozen=True)
class EngineSettings:
    """An engine and what it needs to know.

    Attributes:
        name: `local`: in this process. `beam`: on the runner that the options name.
        runner: Name of the Beam runner ("DaskRunner"), or "" for `local`.
        workers: Workers to wait for and to plan for (`--num_workers`), or 0: as they come.
        temp_dir: Folder or URI that this process and every worker can write, for what passes
            between them; "" for `local`.
        runner_options: Beam's options, as on a command line; not shown anywhere.
    """

    name: str = "local"
    runner: str = ""
    workers: int = 0
    temp_dir: str = field(default="", repr=False)
    runner_options: tuple[str, ...] = field(default=(), repr=False)

    @property
    def is_local(self) -> bool:
        """True where everything runs in this process."""
        return self.name == "local"

    @property
    def label(self) -> str:
        """What may stand in a log or a tag: `local`, or `beam: DaskRunner`."""
        return self.name if self.is_local else f"{self.name}: {self.runner.rpartition('.')[2]}"


LOCAL = EngineSettings()


def read_engine_settings(env: Mapping[str, str], default_temp_dir: str) -> EngineSettings:
    """Reads the engine's settings; imports no Beam, and connects to nothing.

    Whether Beam knows the runner and the options is for `mlproject.engine.check_engine`.

    Args:
        env: The environment variables.
        default_temp_dir: The temporary folder where the options have no `--temp_location`.

    Raises:
        ConfigError: The engine is unknown, the options cannot be split into words, `beam` has
            no runner, or `local` has options.
    """
    name = env.get("BENISON_ENGINE") or "local"
    if name not in ENGINES:
        raise ConfigError(
            "Reading the setting BENISON_ENGINE failed",
            received=f"'{name}'",
            expected=closest(name, ENGINES),
            next_step="see docs/scale.md",
        )
    options = _split(env.get("BENISON_BEAM_OPTIONS") or "")
    if name == "local":
        if options:
            raise ConfigError(
                "The setting BENISON_BEAM_OPTIONS has no use",
                received=f"{len(options)} options and the engine 'local'",
                expected="options with BENISON_ENGINE=beam only",
                next_step="set BENISON_ENGINE=beam, or unset BENISON_BEAM_OPTIONS",
            )
        return LOCAL
    parser = _OptionParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--runner", default="")
    parser.add_argument("--num_workers", type=int, default=0)
    parser.add_argument("--temp_location", default=default_temp_dir)
    known, _ = parser.parse_known_args(options)
    if not known.runner:
        raise ConfigError(
            "The engine 'beam' has no runner",
            received="BENISON_BEAM_OPTIONS without --runner",
            expected="--runner=DaskRunner, FlinkRunner, SparkRunner, DataflowRunner or another",
            next_step="set BENISON_BEAM_OPTIONS; docs/scale.md says what each runner needs",
        )
    if known.num_workers < 0:
        parser.error("argument --num_workers: negative")
    return EngineSettings(name, known.runner, known.num_workers, known.temp_location, options)


class _OptionParser(argparse.ArgumentParser):
    """A parser that raises, and that repeats no value: it may be a host or a secret."""

    def error(self, message: str) -> NoReturn:
        raise bad_option(message)


def bad_option(message: str) -> ConfigError:
    """What argparse said of an option, without the value that it says it of."""
    option, _, said = message.removeprefix("argument ").partition(":")
    return ConfigError(
        "Reading the setting BENISON_BEAM_OPTIONS failed",
        received=option.strip() + (f" ({said.split(':')[0].strip()})" if said else ""),
        expected="a value that this option takes",
        next_step="see Beam's documentation of the runner",
    )


def _split(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as err:
        raise ConfigError(
            "Reading the setting BENISON_BEAM_OPTIONS failed",
            received=f"text that is no command line ({err})",
            expected="options separated by spaces, quotes closed",
        ) from err
