"""The flags of the model server, held against those of tensorflow_model_server."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from mlproject.errors import ConfigError
from serving.model_config import VersionPolicy
from serving.model_server.flags import FlagError, parse_flags, usage, warnings_of
from serving.model_server.startup import (
    TOKEN_VARIABLE,
    channel_arguments,
    manager_options,
    model_configs,
    read_token,
    server_options,
)


def flags(*argv: str) -> argparse.Namespace:
    return parse_flags(argv)


def test_the_defaults_are_those_of_tensorflow_serving() -> None:
    args = flags()
    assert (args.port, args.rest_api_port, args.model_name) == (8500, None, "default")
    assert (args.rest_api_timeout_in_ms, args.max_num_load_retries) == (30_000, 5)
    assert (args.load_retry_interval_micros, args.file_system_poll_wait_seconds) == (60_000_000, 1)
    assert (args.enable_model_warmup, args.enable_batching) == (True, False)
    assert (args.num_load_threads, args.saved_model_tags) == (0, "serve")
    assert args.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (["--enable_batching"], True),
        (["--enable_batching=true"], True),
        (["--enable_batching=1"], True),
        (["--enable_batching", "false"], False),
        (["--enable_batching=0"], False),
    ],
)
def test_a_boolean_flag_stands_alone_or_with_its_value(argv: list[str], wanted: bool) -> None:
    assert flags(*argv, "--port=1").enable_batching is wanted


def test_a_value_comes_after_a_sign_or_a_space() -> None:
    args = flags("--port=9000", "--model_name", "taxi", "--file_system_poll_wait_seconds=-1")
    assert (args.port, args.model_name, args.file_system_poll_wait_seconds) == (9000, "taxi", -1)


def test_port_zero_is_off_and_auto_is_any() -> None:
    args = flags("--port=0", "--rest_api_port=auto")
    assert (args.port, args.rest_api_port) == (None, 0)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--prot=1"], "did you mean '--port'"),
        (["--noenable_batching"], "did you mean '--enable_batching'"),
        (["stray"], "unknown argument: stray"),
        (["--port=many"], "--port"),
        (["--port=70000"], "--port"),
        (["--enable_batching=maybe"], "--enable_batching"),
        (["--model_name"], "--model_name"),
        (["--max_connections=0"], "--max_connections"),
        (["--drain_seconds=nan"], "--drain_seconds"),
        (["--enable_batch"], "unknown argument"),
    ],
)
def test_a_flag_that_cannot_be_read_is_named(argv: list[str], said: str) -> None:
    with pytest.raises(FlagError, match=said):
        flags(*argv)


def test_what_is_not_honoured_is_said_when_it_is_asked_for() -> None:
    assert list(warnings_of(flags("--flush_filesystem_caches=false", "--port=1"))) == []
    lines = list(warnings_of(flags("--flush_filesystem_caches=true", "--use_alts_credentials")))
    assert [line.split()[0] for line in lines] == [
        "--flush_filesystem_caches",
        "--use_alts_credentials",
    ]
    assert all("no effect here" in line for line in lines)


def test_the_usage_names_every_flag_and_what_is_lost() -> None:
    text = " ".join(usage().split())
    assert "--allow_version_labels_for_unavailable_models" in text
    assert "--token_file" in text
    assert "has no effect: the file system keeps its caches" in text


def test_rest_is_left_out_where_it_would_take_the_port_of_grpc(
    caplog: pytest.LogCaptureFixture,
) -> None:
    options = server_options(flags("--port=8500", "--rest_api_port=8500"), {})
    assert (options.grpc_port, options.rest_port) == (8500, None)
    assert "http_port cannot be same as grpc_port" in caplog.text
    assert not options.rest_tls
    assert server_options(flags("--rest_api_enable_tls"), {}).rest_tls
    both_free = server_options(flags("--port=auto", "--rest_api_port=auto"), {})
    assert (both_free.grpc_port, both_free.rest_port) == (0, 0)


def test_a_config_file_goes_before_a_base_path(tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    file.write_text(
        'model_config_list { config { name: "a" base_path: "/a" model_platform: "tensorflow" } }'
    )
    args = flags("--model_base_path=/b", f"--model_config_file={file}")
    assert [config.base_path for config in model_configs(args)] == ["/a"]


def test_a_base_path_and_a_version_make_one_model() -> None:
    (config,) = model_configs(flags("--model_base_path=/b", "--model_version=3"))
    assert (config.name, config.base_path) == ("default", "/b")
    assert config.policy == VersionPolicy("specific", versions=(3,))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "Both server_options.model_base_path and server_options.model_config_file are empty"),
        (["--model_base_path=relative"], "to have an absolute path"),
        (["--model_config_file=/nowhere"], "/nowhere"),
    ],
)
def test_models_that_cannot_be_served_are_refused(argv: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        model_configs(flags(*argv))


def test_a_broken_config_file_is_told_in_the_words_of_tensorflow_serving(tmp_path: Path) -> None:
    file = tmp_path / "bad.config"
    file.write_text("improperly formatted file")
    with pytest.raises(ConfigError, match=f"Invalid protobuf file: '{file}'") as caught:
        model_configs(flags(f"--model_config_file={file}"))
    assert "Error parsing text-format tensorflow.serving.ModelServerConfig" in str(caught.value)


def test_options_carry_what_the_flags_say(tmp_path: Path) -> None:
    monitoring = tmp_path / "monitoring"
    monitoring.write_text("prometheus_config { enable: true }")
    args = flags(
        "--rest_api_timeout_in_ms=1500",
        "--grpc_channel_arguments=grpc.max_connection_age_ms=2000,grpc.lb_policy_name=grpclb",
        f"--monitoring_config_file={monitoring}",
        "--max_connections=7",
        "--request_read_timeout_s=2",
        "--load_retry_interval_micros=-1",
        "--tensorflow_session_parallelism=2",
        "--saved_model_tags=serve,gpu",
    )
    options = server_options(args, {TOKEN_VARIABLE: "s3cret"})
    assert options.rest_timeout_s == 1.5
    assert options.metrics_path == "/monitoring/prometheus/metrics"
    assert (options.http.max_connections, options.http.read_timeout_s) == (7, 2)
    assert options.grpc_arguments[0] == ("grpc.max_connection_age_ms", 2000)
    assert options.token == "s3cret"
    assert "s3cret" not in repr(options)
    manager = manager_options(args)
    assert manager.load_retry_interval_s == 0
    assert (manager.session.intra_op_threads, manager.session.inter_op_threads) == (2, 2)
    assert manager.session.tags == ("serve", "gpu")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--port=0"], "nothing to listen on"),
        (["--batching_parameters_file=/b"], "without setting server_options.enable_batching"),
        (["--grpc_channel_arguments=lonely"], "key=value"),
        (["--monitoring_config_file=/nowhere"], "/nowhere"),
        (["--ssl_config_file=/nowhere"], "/nowhere"),
        (["--token_file=/nowhere"], "/nowhere"),
    ],
)
def test_options_that_cannot_be_had_are_refused(argv: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        server_options(flags(*argv), {})


def test_parallelism_is_given_once() -> None:
    argv = [f"--tensorflow_{which}_parallelism=1" for which in ("session", "intra_op", "inter_op")]
    with pytest.raises(ConfigError, match="You cannot configure all"):
        manager_options(flags(*argv))


def test_channel_arguments_are_numbers_where_they_can_be() -> None:
    assert channel_arguments("a=1,b=-2,c=x=y,d=") == (("a", 1), ("b", -2), ("c", "x=y"), ("d", ""))


def test_a_token_file_goes_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-the-file\n")
    file.chmod(0o600)
    assert read_token(str(file), {TOKEN_VARIABLE: "other"}) == "from-the-file"
    assert read_token("", {TOKEN_VARIABLE: "other"}) == "other"
    assert read_token("", {}) == ""


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("", 0o600, "empty"),
        ("two words", 0o600, "no HTTP header"),
        ("schlüssel", 0o600, "no HTTP header"),
        ("fine", 0o604, "every user of this machine"),
    ],
)
def test_a_token_that_would_not_protect_is_refused(
    tmp_path: Path, text: str, mode: int, said: str
) -> None:
    file = tmp_path / "token"
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    with pytest.raises(ConfigError, match=said) as caught:
        read_token(str(file), {})
    assert not text or text not in str(caught.value)
