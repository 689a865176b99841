"""Messages of TensorFlow Serving's configuration files that its API package does not hold.

`tensorflow-serving-api` has the messages of requests and of the model config; those of the
batching and of the monitoring file are described here, field by field, so that such files are read
by protobuf's own text parser.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from mlproject.errors import ConfigError

# By message: its fields, in the order of their numbers in TensorFlow Serving's own files.
_FIELDS: dict[str, tuple[tuple[str, str], ...]] = {
    "BatchingParameters": (
        ("max_batch_size", "Int64Value"),
        ("batch_timeout_micros", "Int64Value"),
        ("max_enqueued_batches", "Int64Value"),
        ("num_batch_threads", "Int64Value"),
        ("thread_pool_name", "StringValue"),
        ("allowed_batch_sizes", "repeated int64"),
        ("pad_variable_length_inputs", "bool"),
        ("enable_large_batch_splitting", "BoolValue"),
        ("max_execution_batch_size", "Int64Value"),
    ),
    "PrometheusConfig": (("enable", "bool"), ("path", "string")),
    "MonitoringConfig": (("prometheus_config", "PrometheusConfig"),),
    "SSLConfig": (
        ("server_key", "string"),
        ("server_cert", "string"),
        ("custom_ca", "string"),
        ("client_verify", "bool"),
    ),
}


def read_message(name: str, path: Path, looks_like: str) -> Any:
    """Reads a file that holds a message in text form.

    Args:
        name: The message's name, `BatchingParameters` or `MonitoringConfig`.
        path: The file.
        looks_like: What such a file looks like, for the error.

    Returns:
        The message.

    Raises:
        ConfigError: The file cannot be read, or holds no such message.
    """
    from google.protobuf import text_format

    try:
        return text_format.Parse(Path(path).read_text(encoding="utf-8"), _message_class(name)())
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(
            f"Reading the {name} file {path} failed",
            received=str(err),
            expected=f"a {name} in text form: {looks_like}",
            next_step="give the path of such a file",
        ) from err
    except text_format.ParseError as err:
        raise ConfigError(
            f"Invalid protobuf file: '{path}'",
            received=str(err),
            expected=f"a {name} in text form: {looks_like}",
            next_step="see TensorFlow Serving's serving_config guide for its fields",
        ) from err


@cache
def _message_class(name: str) -> Any:
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(_full_name(name)))


@cache
def _pool() -> Any:
    """A pool of its own: the names may be taken in the default one by another package."""
    from google.protobuf import wrappers_pb2
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
    from google.protobuf.descriptor_pool import DescriptorPool

    pool = DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    file = FileDescriptorProto(name="serving_config.proto", package="tensorflow.serving")
    file.syntax = "proto3"
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    for message, fields in _FIELDS.items():
        described = file.message_type.add(name=message)
        for number, (name, kind) in enumerate(fields, start=1):
            field = described.field.add(name=name, number=number)
            repeated, _, scalar = kind.rpartition(" ")
            field.label = (
                FieldDescriptorProto.LABEL_REPEATED
                if repeated
                else FieldDescriptorProto.LABEL_OPTIONAL
            )
            if scalar[0].isupper():
                field.type = FieldDescriptorProto.TYPE_MESSAGE
                field.type_name = "." + _full_name(scalar)
            else:
                field.type = FieldDescriptorProto.Type.Value(f"TYPE_{scalar.upper()}")
    pool.AddSerializedFile(file.SerializeToString())
    return pool


def _full_name(name: str) -> str:
    package = "tensorflow.serving" if name in _FIELDS else "google.protobuf"
    return f"{package}.{name}"
