"""Beam's options, checked before anything runs: the runner, every name, what the runner needs."""

from __future__ import annotations

import argparse
import re
from typing import Any, NoReturn

from mlproject.engines.settings import EngineSettings, bad_option
from mlproject.errors import ConfigError, closest

DASK_RUNNER = "DaskRunner"
# Each entry is satisfied by any one of its options.
_REQUIRED: dict[str, tuple[tuple[str, ...], ...]] = {
    DASK_RUNNER: (("dask_client_address", "dask_scheduler_file"),),
    "DataflowRunner": (("project",), ("region",), ("temp_location",)),
    "FlinkRunner": (("flink_master",),),
    "PortableRunner": (("job_endpoint",),),
    "SparkRunner": (("spark_master_url",),),
}


def build_options(settings: EngineSettings) -> Any:
    """The `PipelineOptions` of an engine, all of them understood.

    Args:
        settings: An engine that is not local.

    Raises:
        ConfigError: The runner or an option is unknown, a value is of the wrong kind, or an
            option that the runner needs is missing. No message holds a value.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    runner = runner_name(settings)
    if runner == DASK_RUNNER:
        _import_dask_options()
    parser = _all_options_parser()
    _, unknown = parser.parse_known_args(list(settings.runner_options))
    valid = {name for action in parser._actions for name in action.option_strings}
    for word in unknown:
        name = word.partition("=")[0]
        raise ConfigError(
            f"The engine '{settings.label}' has an option that Beam does not know",
            received=name if name.startswith("-") else "a value that belongs to no option",
            expected=closest(name, valid) if name.startswith("-") else "--name=value",
            next_step="correct BENISON_BEAM_OPTIONS",
        )
    words = {word.partition("=")[0] for word in settings.runner_options}
    for choices in _REQUIRED.get(runner, ()):
        if not words & {f"--{name}" for name in choices}:
            raise ConfigError(
                f"{runner} lacks an option that it needs",
                received=", ".join(sorted(w for w in words if w.startswith("--"))),
                expected=" or ".join(f"--{name}" for name in choices),
                next_step="add it to BENISON_BEAM_OPTIONS; docs/scale.md says what each runner "
                "needs",
            )
    return PipelineOptions(list(settings.runner_options))


def runner_name(settings: EngineSettings) -> str:
    """The runner by Beam's own spelling; a dotted path of a class stays as it is.

    Beam's own DaskRunner is no exception to be had by its path: it gives wrong results without a
    word (`mlproject.engines.dask_runner` says which).

    Raises:
        ConfigError: Beam has no such runner.
    """
    from apache_beam.options.pipeline_options import StandardOptions

    typed = settings.runner
    if "." in typed:
        return DASK_RUNNER if typed.endswith(f".{DASK_RUNNER}") else typed
    names: tuple[str, ...] = tuple(StandardOptions.KNOWN_RUNNER_NAMES)
    names = tuple(name.rpartition(".")[2] for name in names)
    names = tuple(dict.fromkeys([*names, DASK_RUNNER]))
    for name in names:
        if typed.lower() in (name.lower(), name.lower().removesuffix("runner")):
            return name
    raise ConfigError(
        "Beam has no such runner",
        received=f"--runner={typed}",
        expected=closest(typed, names) + ", or the dotted path of a runner's class",
        next_step="correct BENISON_BEAM_OPTIONS",
    )


def check_pipeline(settings: EngineSettings) -> None:
    """Makes an empty pipeline, which has Beam and the runner check the options; runs nothing.

    Raises:
        ConfigError: The runner's class cannot be imported, or Beam refuses the options.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
    from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator

    # Without dry_run Beam would ask Google's storage, and make a bucket where it misses one.
    options = PipelineOptions([*settings.runner_options, "--dry_run=True"])
    refused: list[str] = []
    if runner_name(settings) == "DataflowRunner":
        cloud = options.view_as(GoogleCloudOptions)
        refused = PipelineOptionsValidator(options, None).validate_gcs_path(cloud, "temp_location")
    try:
        if not refused:
            beam.Pipeline(options=options)
    except (ImportError, AttributeError) as err:
        raise ConfigError(
            "The runner cannot be imported",
            received=f"--runner={settings.runner} ({type(err).__name__})",
            expected="a class that this Python can import",
            next_step="install the runner's package here, or correct BENISON_BEAM_OPTIONS",
        ) from err
    except ValueError as err:
        refused = str(err).splitlines()[1:] or [type(err).__name__]
    if refused:
        raise ConfigError(
            f"Beam refuses the options of '{settings.label}'",
            # What stands in brackets is the value, which may be a host or a secret.
            received="; ".join(re.sub(r" ?\([^)]*\)", "", line).rstrip(".") for line in refused),
            expected="options that the runner can start with",
            next_step="correct BENISON_BEAM_OPTIONS",
        )


def _import_dask_options() -> None:
    """Registers Beam's options of Dask.

    Raises:
        ConfigError: Dask is not installed.
    """
    try:
        import distributed  # noqa: F401
        from apache_beam.runners.dask import dask_runner  # noqa: F401
    except ImportError as err:
        raise ConfigError(
            "Dask is not installed",
            received=f"--runner={DASK_RUNNER}",
            expected="the packages dask and distributed, here and on every worker",
            next_step="uv pip install dask distributed",
        ) from err


class _Parser(argparse.ArgumentParser):
    """Beam's parser of options, which raises where Beam's exits."""

    def error(self, message: str) -> NoReturn:
        raise bad_option(message)


def _all_options_parser() -> Any:
    from apache_beam.options import pipeline_options

    class Parser(_Parser, pipeline_options._BeamArgumentParser):
        """With Beam's `add_value_provider_argument`."""

    parser = Parser(allow_abbrev=False, add_help=False)
    kinds = {str(kind): kind for kind in pipeline_options.PipelineOptions.__subclasses__()}
    for kind in kinds.values():
        kind._add_argparse_args(parser)
    return parser
