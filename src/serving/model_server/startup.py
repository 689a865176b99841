"""From the flags of the model server to what it serves and how."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.errors import ConfigError
from serving.model_config import ModelConfig, VersionPolicy, check, read_model_configs
from serving.model_server.listening import HttpLimits, ServerOptions
from serving.model_server.options import ManagerOptions, SessionOptions
from serving.model_server.tls import read_tls

if TYPE_CHECKING:
    from serving.model_server.batching_parameters import BatchingParameters

logger = logging.getLogger(__name__)

TOKEN_VARIABLE = "BENISON_SERVING_TOKEN"


def model_configs(args: argparse.Namespace) -> tuple[ModelConfig, ...]:
    """The models to serve.

    Args:
        args: The flags. As in TensorFlow Serving, a config file goes before a base path: its
            container image always passes both.

    Raises:
        ConfigError: There is neither, or what is there cannot be served.
    """
    if args.model_config_file:
        return read_model_configs(Path(args.model_config_file))
    if not args.model_base_path:
        raise ConfigError(
            "Both server_options.model_base_path and server_options.model_config_file are empty!",
            expected="--model_base_path=DIR with a folder per version in it, such as DIR/1",
        )
    policy = VersionPolicy()
    if args.model_version is not None:
        policy = VersionPolicy("specific", versions=(args.model_version,))
    configs = (ModelConfig(args.model_name, args.model_base_path, policy),)
    check(configs)
    return configs


def server_options(args: argparse.Namespace, environ: Mapping[str, str]) -> ServerOptions:
    """How the server listens.

    Args:
        args: The flags.
        environ: The environment, which may hold the bearer token.

    Raises:
        ConfigError: A file that a flag names cannot be used, or two flags do not fit together.
    """
    _check_together(args)
    return ServerOptions(
        host=args.host,
        rest_port=_rest_port(args),
        grpc_port=args.port,
        grpc_socket=args.grpc_socket_path,
        grpc_arguments=channel_arguments(args.grpc_channel_arguments),
        rest_threads=args.rest_api_num_threads,
        grpc_threads=args.grpc_max_threads,
        rest_timeout_s=args.rest_api_timeout_in_ms / 1000,
        cors=args.rest_api_enable_cors_support,
        max_request_bytes=args.max_request_bytes,
        http=HttpLimits(args.max_connections, args.request_read_timeout_s),
        tls=read_tls(Path(args.ssl_config_file)) if args.ssl_config_file else None,
        rest_tls=args.rest_api_enable_tls,
        token=read_token(args.token_file, environ),
        metrics_path=_metrics_path(args.monitoring_config_file),
        access_log=args.access_log,
        profiler=args.enable_profiler,
    )


def manager_options(args: argparse.Namespace) -> ManagerOptions:
    """How models are found, loaded and kept.

    Args:
        args: The flags.

    Raises:
        ConfigError: The batching parameters cannot be used, or two flags do not fit together.
    """
    return ManagerOptions(
        poll_wait_s=args.file_system_poll_wait_seconds,
        load_threads=args.num_load_threads,
        max_load_retries=args.max_num_load_retries,
        load_retry_interval_s=max(args.load_retry_interval_micros, 0) / 1e6,
        labels_for_unavailable=args.allow_version_labels_for_unavailable_models,
        any_labels_for_unavailable=(args.force_allow_any_version_labels_for_unavailable_models),
        enable_warmup=args.enable_model_warmup,
        warmup_iterations=max(args.num_request_iterations_for_warmup, 1),
        batching=_batching(args),
        default_label=args.default_version_label,
        session=_session(args),
    )


def read_token(file: str, environ: Mapping[str, str]) -> str:
    """The bearer token of a file, else of the environment; "" for none.

    Raises:
        ConfigError: The file cannot be read, others may read it, or it holds no usable token.
    """
    if not file:
        return _checked(environ.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE)
    try:
        mode = Path(file).stat().st_mode
        token = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(
            "Reading the token file failed", received=str(err), expected="a file with one token"
        ) from err
    if mode & 0o007:
        raise ConfigError(
            "Reading the token file failed",
            received=f"{file} can be used by every user of this machine",
            next_step=f"chmod 600 {file}",
        )
    if not token:
        raise ConfigError(
            "Reading the token file failed", received=f"{file}: it is empty", expected="a token"
        )
    return _checked(token, file)


def channel_arguments(text: str) -> tuple[tuple[str, int | str], ...]:
    """The pairs of `--grpc_channel_arguments`; a value that is a number is passed as one.

    Raises:
        ConfigError: One is no `key=value`.
    """
    pairs: list[tuple[str, int | str]] = []
    for part in filter(None, text.split(",")):
        key, sign, value = part.partition("=")
        if not key or not sign:
            raise ConfigError(
                "Reading --grpc_channel_arguments failed",
                received=f"'{part}'",
                expected="key=value pairs with commas, such as grpc.max_connection_age_ms=2000",
            )
        number = value.removeprefix("-").isdecimal() and abs(int(value)) < 2**31
        pairs.append((key, int(value) if number else value))
    return tuple(pairs)


def _session(args: argparse.Namespace) -> SessionOptions:
    both, intra, inter = (
        max(args.tensorflow_session_parallelism, 0),
        max(args.tensorflow_intra_op_parallelism, 0),
        max(args.tensorflow_inter_op_parallelism, 0),
    )
    if both and intra and inter:
        raise ConfigError(
            "Either configure server_options.tensorflow_session_parallelism or "
            "(server_options.tensorflow_intra_op_parallelism, "
            "server_options.tensorflow_inter_op_parallelism) separately. "
            "You cannot configure all."
        )
    if not intra and not inter:
        intra = inter = both
    tags = tuple(filter(None, args.saved_model_tags.split(",")))
    return SessionOptions(
        tags=tags,
        intra_op_threads=intra,
        inter_op_threads=inter,
        prefer_tflite=args.prefer_tflite_model or args.use_tflite_model,
        tflite_interpreters=max(args.num_tflite_pools, 0),
        check_method_names=args.enable_signature_method_name_check,
    )


def _batching(args: argparse.Namespace) -> BatchingParameters | None:
    from serving.model_server.batching_parameters import (
        BatchingParameters,
        read_batching_parameters,
    )

    if not args.enable_batching:
        return None
    if args.batching_parameters_file:
        return read_batching_parameters(Path(args.batching_parameters_file))
    return BatchingParameters()


def _check_together(args: argparse.Namespace) -> None:
    if args.port is None and args.rest_api_port is None and not args.grpc_socket_path:
        raise ConfigError(
            "The server has nothing to listen on",
            received="--port=0, no --rest_api_port and no --grpc_socket_path",
            expected="at least one of them",
        )
    if args.batching_parameters_file and not args.enable_batching:
        raise ConfigError(
            "server_options.batching_parameters_file is set without setting "
            "server_options.enable_batching to true.",
            next_step="add --enable_batching",
        )


def _rest_port(args: argparse.Namespace) -> int | None:
    if args.rest_api_port and args.rest_api_port == args.port:
        logger.error(
            "server_options.http_port cannot be same as grpc_port. Please use a different port "
            "for HTTP/REST API. Skipped exporting HTTP/REST API."
        )
        return None
    port: int | None = args.rest_api_port
    return port


def _metrics_path(file: str) -> str:
    from serving.model_server.metrics import read_metrics_path

    return (read_metrics_path(Path(file)) or "") if file else ""


def _checked(token: str, where: str) -> str:
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            "Reading the bearer token failed",
            received=f"characters in {where} that no HTTP header may hold",
            expected="printable ASCII characters without spaces",
        )
    return token
