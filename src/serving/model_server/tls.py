"""TLS of the model server, from TensorFlow Serving's `SSLConfig`.

    server_key: "-----BEGIN PRIVATE KEY-----\\n..."
    server_cert: "-----BEGIN CERTIFICATE-----\\n..."
    custom_ca: "-----BEGIN CERTIFICATE-----\\n..."     # of the clients, for client_verify
    client_verify: true                               # mutual TLS

It is for gRPC, as in TensorFlow Serving; with `--rest_api_enable_tls` it is for REST too.
"""

from __future__ import annotations

import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.errors import ConfigError
from serving.model_server.config_messages import read_message

if TYPE_CHECKING:
    import grpc

_LOOKS_LIKE = 'server_key: "(PEM)" server_cert: "(PEM)" client_verify: false'


@dataclass(frozen=True)
class TlsConfig:
    """Keys and certificates, each as PEM text.

    Attributes:
        server_key: The private key; it is kept out of the value's representation.
        server_cert: The certificate, and those that lead from it to its authority.
        custom_ca: The authorities that sign the certificates of clients.
        client_verify: Whether a client must show such a certificate.
    """

    server_key: str = field(repr=False)
    server_cert: str
    custom_ca: str = ""
    client_verify: bool = False

    def for_rest(self) -> ssl.SSLContext:
        """The context of the REST port.

        Raises:
            ConfigError: The key and the certificate do not fit, or are no PEM.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # The ssl module reads a key from a file only; the folder is for this user alone.
            with tempfile.TemporaryDirectory(prefix="benison-tls-") as folder:
                chain = Path(folder) / "chain.pem"
                chain.write_text(f"{self.server_key}\n{self.server_cert}\n", encoding="utf-8")
                context.load_cert_chain(chain, password=lambda: "")
            if self.client_verify:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(cadata=self.custom_ca)
        except (ssl.SSLError, ValueError) as err:
            raise ConfigError(
                "Reading the TLS certificates failed",
                received=str(err),
                expected="a private key without a password and its certificate, as PEM",
                next_step="correct --ssl_config_file",
            ) from err
        return context

    def for_grpc(self) -> grpc.ServerCredentials:
        """The credentials of the gRPC port."""
        import grpc

        return grpc.ssl_server_credentials(
            [(self.server_key.encode(), self.server_cert.encode())],
            root_certificates=self.custom_ca.encode() or None,
            require_client_auth=self.client_verify,
        )


def read_tls(path: Path) -> TlsConfig:
    """Reads and checks an `SSLConfig` in text form.

    Raises:
        ConfigError: The file cannot be read or is no `SSLConfig`, its key and certificate are
            missing or do not fit, or it verifies clients and names no authority for it.
    """
    message = read_message("SSLConfig", path, _LOOKS_LIKE)
    if not message.server_key or not message.server_cert:
        raise ConfigError(
            f"Reading the TLS configuration {path} failed",
            received="no server_key" if not message.server_key else "no server_cert",
            expected=_LOOKS_LIKE,
        )
    if message.client_verify and not message.custom_ca:
        raise ConfigError(
            f"Reading the TLS configuration {path} failed",
            received="client_verify without custom_ca",
            expected="the authority that signs the clients' certificates, as custom_ca",
        )
    config = TlsConfig(
        message.server_key, message.server_cert, message.custom_ca, message.client_verify
    )
    config.for_rest()
    return config
