"""
Why no answer came, in words a person can act on.

aiohttp's exceptions stay here: the repr of some prints the Authorization header.
"""

from __future__ import annotations

import os
import socket
import ssl

import aiohttp

from hevo_provider.exceptions import HevoTimeoutError, HevoTransportError

_ALL = (aiohttp.ClientError, OSError, ValueError)
NO_ANSWER: tuple[type[Exception], ...] = _ALL  # what aiohttp raises where no answer can be had

# What OpenSSL calls an answer that is not TLS at all.
_NOT_TLS = {
    "WRONG_VERSION_NUMBER",
    "RECORD_LAYER_FAILURE",
    "HTTP_REQUEST",
    "UNKNOWN_PROTOCOL",
    "PACKET_LENGTH_TOO_LONG",
}

# What OpenSSL calls certificates that do not keep to RFC 5280 in all, mostly a company's own: Python 3.13 refuses them.
_STRICT = range(79, 95)  # X509_V_ERR_INVALID_CA to X509_V_ERR_EC_KEY_EXPLICIT_PARAMS, of VERIFY_X509_STRICT alone


def transport_error_of(error: Exception, *, request: str, way: str, timeout: float) -> HevoTransportError:
    """
    Return our error for one of :data:`NO_ANSWER`.

    :param request: method and path, for the message.
    :param way: where it was to go, and through which proxy.
    :param timeout: seconds that were granted.
    """
    if isinstance(error, TimeoutError):
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            advice = "check the host, and whether a firewall or proxy stands between"
            return HevoTimeoutError(f"{request}: no connection to {way} could be made in time; {advice}", sent=False)
        return HevoTimeoutError(f"{request}: no answer from {way} within {round(timeout, 2):g} s")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return HevoTransportError(f"{request}: the proxy refused to connect to {way}: {error.status}", sent=False)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError):
        return HevoTransportError(f"{request}: cannot connect to {way}: {_why_no_connection(error)}", sent=False)
    return HevoTransportError(f"{request}: the connection to {way} failed: {_name(error)}{_in_brackets(error)}")


def _why_no_connection(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _why_no_address(error)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"the proxy {error.host} does not answer{_in_brackets(error)}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return _why_no_tls(error)
    if isinstance(getattr(error, "os_error", None), ConnectionRefusedError):
        return "nothing listens there; check host and port"
    return f"no connection{_in_brackets(error)}; check the host, and whether a firewall or proxy stands between"


def _why_no_address(error: aiohttp.ClientConnectorDNSError) -> str:
    number = error.os_error.errno
    if number in {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}:
        return f"there is no such host as {error.host}; check the region in the connection's host, and the proxy if any"
    if number == socket.EAI_AGAIN:  # also of a host that exists: it is the name server that is out for a moment
        return f"the name server does not answer when asked for {error.host}"
    return f"the name server gives no address for {error.host} ({error.os_error.strerror or _name(error.os_error)})"


def _why_no_tls(error: aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        inner = error.certificate_error
        reason = inner.verify_message if isinstance(inner, ssl.SSLCertVerificationError) else _name(inner)
        if getattr(inner, "verify_code", None) in _STRICT:
            advice = "a company's own CA may need relaxed_ca_checks in the connection's extra"
            return f"its TLS certificate is not trusted ({reason}); {advice}"
        return f"its TLS certificate is not trusted ({reason}); check the host, and the CA that a proxy may need"
    reason = getattr(error.os_error, "reason", None) or "no reason given"
    return "what answers there does not speak TLS; check host and port" if reason in _NOT_TLS else f"no TLS ({reason})"


def _in_brackets(error: Exception) -> str:
    """Return the operating system's words, where there are any."""
    inner = getattr(error, "os_error", error)
    number = getattr(inner, "errno", None)
    if isinstance(number, int) and number > 0 and not isinstance(inner, ssl.SSLError):
        return f" ({os.strerror(number)})"
    return ""


def _name(error: BaseException) -> str:
    return type(error).__name__
