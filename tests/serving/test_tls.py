"""TLS and mutual TLS of both ports, with certificates made here."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlproject.errors import ConfigError
from serving.model_server.grpc_server import GrpcServer
from serving.model_server.listening import ServerOptions
from serving.model_server.rest_server import RestServer
from serving.model_server.tls import TlsConfig, read_tls


@dataclass(frozen=True)
class Pair:
    """A key and its certificate, as PEM."""

    key: str
    cert: str


def make_pair(name: str, issuer: tuple[Any, Any] | None = None) -> tuple[Pair, tuple[Any, Any]]:
    """A certificate for 127.0.0.1, and what signs others with it."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    signing_key, signing_name = issuer or (key, subject)
    now = datetime.datetime.now(datetime.UTC)
    addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signing_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(signing_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(private.decode(), cert.public_bytes(pem).decode()), (key, subject)


@dataclass(frozen=True)
class Certificates:
    """An authority, a server and a client that it signed, and a stranger."""

    authority: Pair
    server: Pair
    client: Pair
    stranger: Pair


@pytest.fixture(scope="module")
def made() -> Certificates:
    authority, signs = make_pair("authority")
    return Certificates(
        authority,
        make_pair("server", signs)[0],
        make_pair("client", signs)[0],
        make_pair("stranger")[0],
    )


def config_file(folder: Path, **fields: str | bool) -> Path:
    """An SSLConfig in text form."""
    file = folder / "ssl.config"
    lines = [
        f"{name}: {str(value).lower()}"
        if isinstance(value, bool)
        else f'{name}: "{value}"'.replace("\n", "\\n")
        for name, value in fields.items()
    ]
    file.write_text("\n".join(lines))
    return file


async def hello(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["scheme"].encode()})


@contextmanager
def listening(tls: TlsConfig) -> Iterator[tuple[str, str]]:
    """A REST and a gRPC server without services."""
    options = ServerOptions(rest_port=0, grpc_port=0, tls=tls)
    rest, grpc = RestServer(options), GrpcServer(options)
    for api in (rest, grpc):
        api.reserve()
    rest.listen(hello)
    grpc.listen(lambda server: None)
    try:
        yield rest.url, grpc.address
    finally:
        for api in (rest, grpc):
            api.begin_to_stop(0.0)
            api.wait_until_stopped(0.0)


def trusting(made: Certificates, folder: Path, client: Pair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=made.authority.cert)
    if client:
        file = folder / "client.pem"
        file.write_text(client.key + client.cert)
        context.load_cert_chain(file)
    return context


def grpc_code(address: str, made: Certificates, client: Pair | None = None) -> str:
    """How a call of a method that is not there ends: UNIMPLEMENTED, when it gets in."""
    import grpc

    credentials = grpc.ssl_channel_credentials(
        made.authority.cert.encode(),
        client.key.encode() if client else None,
        client.cert.encode() if client else None,
    )
    with grpc.secure_channel(address, credentials) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/none/such")(b"", timeout=10)
        return str(caught.value.code().name)


def test_rest_stays_plain_http_where_it_is_told_so(made: Certificates) -> None:
    tls = TlsConfig(made.server.key, made.server.cert)
    assert ServerOptions(tls=tls, rest_tls=False).of_rest is None
    assert ServerOptions(tls=tls).of_rest is tls


def test_both_ports_speak_tls(made: Certificates, tmp_path: Path) -> None:
    file = config_file(tmp_path, server_key=made.server.key, server_cert=made.server.cert)
    with listening(read_tls(file)) as (url, address):
        assert url.startswith("https://")
        assert httpx.get(url, verify=trusting(made, tmp_path)).text == "https"
        assert grpc_code(address, made) == "UNIMPLEMENTED"
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(url)
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(url.replace("https", "http"))


def test_clients_show_a_certificate_when_they_must(made: Certificates, tmp_path: Path) -> None:
    file = config_file(
        tmp_path,
        server_key=made.server.key,
        server_cert=made.server.cert,
        custom_ca=made.authority.cert,
        client_verify=True,
    )
    with listening(read_tls(file)) as (url, address):
        known = trusting(made, tmp_path, made.client)
        assert httpx.get(url, verify=known).text == "https"
        assert grpc_code(address, made, made.client) == "UNIMPLEMENTED"
        for client in (None, made.stranger):
            with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, httpx.ConnectError)):
                httpx.get(url, verify=trusting(made, tmp_path, client))
            assert grpc_code(address, made, client) == "UNAVAILABLE"


def test_a_configuration_that_cannot_work_is_refused(made: Certificates, tmp_path: Path) -> None:
    key, cert = made.server.key, made.server.cert
    for fields, said in (
        ({"server_cert": cert}, "no server_key"),
        ({"server_key": key}, "no server_cert"),
        ({"server_key": made.client.key, "server_cert": cert}, "KEY_VALUES_MISMATCH"),
        ({"server_key": "nonsense", "server_cert": cert}, "PEM"),
        ({"server_key": key, "server_cert": cert, "client_verify": True}, "without custom_ca"),
    ):
        with pytest.raises(ConfigError, match=said) as caught:
            read_tls(config_file(tmp_path, **fields))
        assert key.split("\n")[1] not in str(caught.value), "the key was told"


@pytest.mark.parametrize("text", ["server_kay: 'x'", "{{{", ""])
def test_a_file_that_is_no_configuration_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "ssl.config"
    file.write_text(text)
    with pytest.raises(ConfigError, match=str(file)):
        read_tls(file)


def test_the_private_key_is_in_no_representation(made: Certificates) -> None:
    tls = TlsConfig(made.server.key, made.server.cert)
    assert "PRIVATE KEY" not in repr(ServerOptions(tls=tls))
