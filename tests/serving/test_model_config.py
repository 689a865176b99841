"""TensorFlow Serving's model config: read, refused with a reason, and written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mlproject.errors import ConfigError
from serving.model_config import (
    ModelConfig,
    VersionPolicy,
    from_proto,
    model_config,
    parse_proto,
    read_model_configs,
    to_text,
)

TWO_MODELS = """
model_config_list: {
  config: {
    name: 'fare' base_path: "/models/fare" model_platform: "tensorflow"
    model_version_policy { specific { versions: 2 versions: 1 versions: 2 } }
    version_labels { key: "stable" value: 1 }
    version_labels { key: "canary" value: 2 }
  }
  config {
    name: "tip", base_path: "gs://bucket/tip", model_type: TENSORFLOW
    model_version_policy: { all: {} }
  }
}
"""


def entry(**fields: str) -> str:
    given = {"name": '"m"', "base_path": '"/m"', "model_platform": '"tensorflow"'} | fields
    inner = " ".join(f"{name}: {value}" for name, value in given.items() if value)
    return f"config {{ {inner} }}"


def parse(*entries: str) -> tuple[ModelConfig, ...]:
    return from_proto(parse_proto(f"model_config_list {{ {' '.join(entries)} }}"))


def test_a_file_of_two_models_is_read(tmp_path: Path) -> None:
    (tmp_path / "models.config").write_text(TWO_MODELS)
    assert read_model_configs(tmp_path / "models.config") == (
        ModelConfig(
            "fare",
            "/models/fare",
            VersionPolicy("specific", versions=(2, 1)),
            {"canary": 2, "stable": 1},
        ),
        ModelConfig("tip", "gs://bucket/tip", VersionPolicy("all")),
    )


@pytest.mark.parametrize("text", ["", "model_config_list {}"])
def test_a_file_may_name_no_model(tmp_path: Path, text: str) -> None:
    (tmp_path / "models.config").write_text(text)
    assert read_model_configs(tmp_path / "models.config") == ()


@pytest.mark.parametrize(
    ("policy", "read"),
    [
        ("", VersionPolicy()),
        ("model_version_policy {}", VersionPolicy()),
        ("model_version_policy { latest {} }", VersionPolicy()),
        ("model_version_policy { latest { num_versions: 0 } }", VersionPolicy()),
        ("model_version_policy { latest { num_versions: 3 } }", VersionPolicy("latest", 3)),
        ("model_version_policy { specific {} }", VersionPolicy("specific")),
    ],
)
def test_policies_have_upstreams_defaults(policy: str, read: VersionPolicy) -> None:
    text = entry()[:-1] + policy + "}"
    assert parse(text)[0].policy == read


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        (VersionPolicy(), (10,)),
        (VersionPolicy("latest", 2), (10, 9)),
        (VersionPolicy("latest", 9), (10, 9, 1)),
        (VersionPolicy("all"), (10, 9, 1)),
        (VersionPolicy("specific", versions=(1, 4, 10)), (10, 1)),
        (VersionPolicy("specific"), ()),
    ],
)
def test_a_policy_chooses_from_what_is_there(
    policy: VersionPolicy, chosen: tuple[int, ...]
) -> None:
    assert policy.chosen([9, 1, 10]) == chosen
    assert policy.chosen([]) == ()


def test_what_is_written_is_read_again() -> None:
    configs = (
        ModelConfig("ünï", "/models/ünï", VersionPolicy("latest", 2), {"b": 2, "a": 1}),
        ModelConfig("b", "gs://x/b", VersionPolicy("all")),
        ModelConfig("c", "/c", VersionPolicy("specific", versions=(3, 4)), {"stable": 3}),
    )
    text = to_text(configs)
    assert from_proto(parse_proto(text)) == configs
    assert "ünï" in text
    assert to_text(()).split() == ["model_config_list", "{", "}"]
    assert to_text(from_proto(parse_proto(text))) == text


@pytest.mark.parametrize(
    ("entries", "failed"),
    [
        ([entry(name="")], "Illegal to list a model without a name in config list"),
        ([entry(), entry()], "Illegal to list model m multiple times in config list"),
        (
            [entry(base_path='"models/m"')],
            "Expected model m to have an absolute path or URI; got base_path()=models/m",
        ),
        (
            [entry(base_path="")],
            "Expected model m to have an absolute path or URI; got base_path()=",
        ),
        (
            [entry(model_platform="")],
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            "ModelServerConfig::model_platform.",
        ),
        (
            [entry(model_type="TENSORFLOW")],
            "Illegal setting both ModelServerConfig::model_type (deprecated) and "
            "ModelServerConfig::model_platform.",
        ),
        (
            [entry(model_platform='"other"')],
            "Model m requests unsupported platform other",
        ),
        (
            [entry(model_platform="", model_type="OTHER")],
            "ModelServerConfig::model_type choice 2 not supported.",
        ),
    ],
)
def test_models_that_cannot_be_served_are_refused_in_upstreams_words(
    entries: list[str], failed: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(*entries)
    assert caught.value.failed == failed


def test_a_custom_config_is_refused() -> None:
    text = "custom_model_config { [type.googleapis.com/google.protobuf.Any] {} }"
    from google.protobuf import any_pb2  # noqa: F401  # the text parser has to know the type

    with pytest.raises(ConfigError, match="Missing custom_model_config_loader"):
        from_proto(parse_proto(text))


@pytest.mark.parametrize(
    "content",
    [
        b"model_config_list {",
        b"model_config_list { config { nmae: 'm' } }",
        b"{}",
        b"model_config_list { config { name: 'm' name: 'n' } }",
        b"model_config_list { config { model_version_policy { specific { versions: 'x' } } } }",
        b"\x00\xff",
        b"#" * 10 + b"\nno" * 1000,
    ],
)
def test_a_malformed_file_names_itself(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "models.config"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=str(file)):
        read_model_configs(file)


def test_a_missing_file_names_itself(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=str(tmp_path / "nowhere")):
        read_model_configs(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="model config file"):
        read_model_configs(tmp_path)


def test_logging_config_is_ignored_aloud(caplog: pytest.LogCaptureFixture) -> None:
    text = entry()[:-1] + "logging_config { sampling_config { sampling_rate: 0.1 } } }"
    assert parse(text)[0] == ModelConfig("m", "/m")
    assert "m: logging_config is ignored" in caplog.text


def test_a_model_in_a_relative_folder_gets_its_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert model_config("m", Path("models"), 7) == ModelConfig(
        "m", str(tmp_path / "models"), VersionPolicy("specific", versions=(7,)), {}, 7
    )


def test_reading_a_config_imports_no_tensorflow() -> None:
    code = (
        "import sys\nfrom serving.model_config import from_proto, parse_proto\n"
        "from_proto(parse_proto('model_config_list {}'))\nsys.exit('tensorflow' in sys.modules)"
    )
    source = Path(__file__).parents[2] / "src"
    result = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True)
    assert result.returncode == 0, result.stderr
