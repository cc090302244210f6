"""Certificates: a company's own authority, and a gateway that wants to see one of ours."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hevo_provider.connection import names_a_file
from hevo_provider.exceptions import HevoConnectionError, HevoTransportError
from hevo_provider.hooks import HevoHook

Key = ec.EllipticCurvePrivateKey
PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, in files."""

    certificate: x509.Certificate
    key: Key
    cert_file: Path
    key_file: Path


def certificate(folder: Path, name: str, issuer: Certificate | None = None) -> Certificate:
    """Make a certificate as a company might, without the extensions that RFC 5280 wants of it; without issuer, a CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    signed = builder.sign(key if issuer is None else issuer.key, hashes.SHA256())
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(signed.public_bytes(PEM))
    files[1].write_bytes(private(key, serialization.NoEncryption()))
    return Certificate(signed, key, *files)


def private(key: Key, encryption: serialization.KeySerializationEncryption) -> bytes:
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, encryption)


@pytest.fixture
def company(tmp_path: Path) -> Certificate:
    return certificate(tmp_path, "company")


@pytest.fixture
def ours(tmp_path: Path, company: Certificate) -> Certificate:
    return certificate(tmp_path, "ours", company)


class Gateway:
    """Answers everything with an empty list, over TLS."""

    def __init__(self, certificate: Certificate) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate.cert_file, certificate.key_file)
        self.clients: list[Any] = []
        self.url = ""

    def want_certificates_of(self, authority: Certificate) -> None:
        self.context.load_verify_locations(authority.cert_file)
        self.context.verify_mode = ssl.CERT_REQUIRED

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.clients.append(writer.get_extra_info("peercert"))
            writer.write(b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 11\r\n\r\n{"data":[]}')
            await writer.drain()
        except (OSError, EOFError):
            pass  # the handshake was refused
        finally:
            writer.close()


@pytest.fixture
async def gateway(tmp_path: Path, company: Certificate) -> AsyncIterator[Gateway]:
    gateway = Gateway(certificate(tmp_path, "localhost", company))
    async with await asyncio.start_server(gateway, "localhost", 0, ssl=gateway.context) as server:
        gateway.url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        yield gateway


async def jobs(monkeypatch: pytest.MonkeyPatch, gateway: Gateway, **extra: Any) -> list[Any]:
    """Ask through an Airflow connection that has this in its extra."""
    extra = {name: str(value) if isinstance(value, Path) else value for name, value in extra.items()}
    connection = {"conn_type": "hevo", "host": gateway.url, "login": "a-key", "password": "a-secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_HEVO_AIRFLOW_CONN_ID", json.dumps(connection))
    return [job async for job in HevoHook(retry_limit=0).alist_jobs(7)]


@pytest.fixture
def as_in_python_3_13(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let contexts be as strict as Python 3.13 makes them."""
    create = ssl.create_default_context

    def strict(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        context = create(*args, **kwargs)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)


@pytest.mark.usefixtures("as_in_python_3_13")
async def test_a_companys_ca_that_a_new_python_refuses_can_be_accepted_and_is_still_checked(
    gateway: Gateway, company: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HevoTransportError, match=r"not trusted \(.*\); a company's own CA may need relaxed_ca_checks"):
        await jobs(monkeypatch, gateway, ca_file=company.cert_file)

    assert await jobs(monkeypatch, gateway, ca_file=company.cert_file, relaxed_ca_checks=True) == []

    other = certificate(tmp_path, "other-company")
    for extra in ({"ca_file": other.cert_file}, {}):
        with pytest.raises(HevoTransportError, match="its TLS certificate is not trusted"):
            await jobs(monkeypatch, gateway, relaxed_ca_checks=True, **extra)


@pytest.mark.parametrize("skip_tls_verification", [True, False])
@pytest.mark.parametrize("in_one_file", [True, False])
async def test_a_gateway_that_wants_a_certificate_gets_it(
    gateway: Gateway,
    company: Certificate,
    ours: Certificate,
    monkeypatch: pytest.MonkeyPatch,
    in_one_file: bool,
    skip_tls_verification: bool,
) -> None:
    gateway.want_certificates_of(company)
    trusted = {"skip_tls_verification": True} if skip_tls_verification else {"ca_file": company.cert_file}
    if in_one_file:
        ours.cert_file.write_bytes(ours.cert_file.read_bytes() + ours.key_file.read_bytes())
    key = {} if in_one_file else {"client_key": ours.key_file}

    await jobs(monkeypatch, gateway, relaxed_ca_checks=True, client_cert=ours.cert_file, **key, **trusted)

    [seen] = gateway.clients
    assert seen["subject"] == ((("commonName", "ours"),),)


async def test_a_gateway_that_gets_no_certificate_is_an_error(
    gateway: Gateway, company: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.want_certificates_of(company)

    with pytest.raises(HevoTransportError):
        await jobs(monkeypatch, gateway, ca_file=company.cert_file, relaxed_ca_checks=True)

    assert gateway.clients == []


async def test_a_certificate_that_cannot_be_used_is_named(
    gateway: Gateway, company: Certificate, ours: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypted = ours.key_file.with_name("encrypted.key")
    encrypted.write_bytes(private(ours.key, serialization.BestAvailableEncryption(b"hunter2")))
    cases: dict[str, dict[str, Any]] = {
        "no such file": {"client_cert": ours.cert_file.with_name("nowhere.pem")},
        "ours.pem": {"client_cert": ours.cert_file},  # without its key
        "client key .*nowhere.key": {
            "client_cert": ours.cert_file,
            "client_key": ours.cert_file.with_name("nowhere.key"),
        },
        "mismatch": {"client_cert": ours.cert_file, "client_key": company.key_file},
        "the key is encrypted": {"client_cert": ours.cert_file, "client_key": encrypted},
        'no use without "client_cert"': {"client_key": ours.key_file},
        '"client_cert" in the connection\'s extra must be a text': {"client_cert": 7},
    }
    for what, extra in cases.items():
        with pytest.raises(HevoConnectionError, match=f"hevo_airflow_conn_id.*(?i:{what})"):
            await jobs(monkeypatch, gateway, **extra)


def test_certificates_are_files_that_are_not_read_in_the_event_loop() -> None:
    assert names_a_file({"client_cert": "ours.pem"})
    assert names_a_file({"client_key": "ours.key"})
    assert not names_a_file({"relaxed_ca_checks": True})
