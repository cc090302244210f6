"""Reading an answer's body, however large or cleverly packed it is, within a bound."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import aiohttp

from hevo_provider.exceptions import HevoResponseError

MAX_BODY = 10 * 1024 * 1024


async def read_limited(response: aiohttp.ClientResponse) -> bytes:
    """
    Read the body.

    :raises HevoResponseError: it is larger than :data:`MAX_BODY`, also once it is decompressed.
    """
    unpack = _unpacker(response.headers.get("Content-Encoding"))
    chunks: list[bytes] = []
    room = MAX_BODY
    while chunk := await response.content.readany():
        content = chunk if unpack is None else unpack(chunk, room + 1)
        room -= len(content)
        if room < 0:
            response.close()
            raise HevoResponseError(f"Hevo's answer is larger than {MAX_BODY} bytes and was not read.")
        chunks.append(content)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _unpacker(encoding: str | None) -> Callable[[bytes, int], bytes] | None:
    """Return what undoes a compression that was not asked for; it never makes more than it is told to."""
    if encoding is None or encoding.strip().lower() in {"", "identity"}:
        return None
    if encoding.strip().lower() not in {"gzip", "x-gzip", "deflate"}:
        raise HevoResponseError("Hevo's answer is compressed in a way that was not asked for.")
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)

    def unpack(chunk: bytes, most: int) -> bytes:
        try:
            return stream.decompress(chunk, most)
        except zlib.error:
            raise HevoResponseError("Hevo's answer is compressed and cannot be unpacked.") from None

    return unpack
