"""The doctor over TLS: what it says of a certificate that is trusted, is not, or is not checked."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hevo_provider.client.access import Access, Credentials
from hevo_provider.doctor.__main__ import examine
from hevo_provider.doctor.observe import NothingSeenError
from hevo_provider.doctor.progress import Progress
from hevo_provider.doctor.report import rows_of
from hevo_provider.doctor.way_in import WayIn
from tests.doctor.account import KEY, SECRET
from tests.doctor.test_command import Terminal
from tests.stage.clock import VirtualClock


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a certificate for 127.0.0.1 that nobody but itself vouches for, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path_factory.mktemp("tls") / "certificate.pem"
    file.write_bytes(key.private_bytes(*form) + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture
async def port(certificate: Path) -> AsyncIterator[int]:
    """Serve an account without pipelines over TLS."""

    async def answer(request: web.BaseRequest) -> web.Response:
        found = request.path == "/api/v1/pipelines"
        body: dict[str, object] = (
            {"data": [], "has_more": False, "next_cursor": None} if found else {"error": "Not Found"}
        )
        return web.json_response(body, status=200 if found else 404)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    yield int(runner.addresses[0][1])
    await runner.cleanup()


def way(port: int, checked: ssl.SSLContext | bool) -> WayIn:
    return WayIn(Access(f"https://127.0.0.1:{port}", Credentials(KEY, SECRET), request_kwargs={"ssl": checked}))


async def tls_of(way: WayIn, clock: VirtualClock) -> tuple[str, str]:
    seen = await examine(way, None, Progress(Terminal()), clock.clock)
    row = next(row for row in rows_of(seen) if row.name == "tls")
    return row.finding.verdict.value, row.finding.seen


async def test_a_certificate_that_is_trusted_holds_and_the_version_is_told(
    port: int, certificate: Path, clock: VirtualClock
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))

    assert await tls_of(way(port, trusting), clock) == ("holds", "TLSv1.3, the certificate is trusted")


async def test_a_certificate_that_is_not_trusted_lets_nothing_be_seen(port: int, clock: VirtualClock) -> None:
    with pytest.raises(NothingSeenError, match="certificate is not trusted"):
        await tls_of(way(port, checked=True), clock)


async def test_a_certificate_that_is_not_checked_is_not_judged(port: int, clock: VirtualClock) -> None:
    verdict, seen = await tls_of(way(port, checked=False), clock)

    assert (verdict, "skip_tls_verification" in seen) == ("could not be seen", True)
