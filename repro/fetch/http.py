"""One HTTP request for a file or the rest of it, and what its answer says about the file."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import IO, Any
from urllib.parse import urlsplit

from repro import __version__
from repro.errors import FetchError

BLOCK = 1 << 18


class Transient(Exception):
    """What may be gone at the next try: no connection, a broken one, a server out of order."""


@dataclass(frozen=True)
class Offer:
    """What a server says: `start`, the first byte it sends; `total`, the file's size, None if it does not say;
    `validator`, the strong ETag or else the date by which the same file is known again, "" for neither."""

    start: int
    total: int | None
    validator: str


class Response:
    """An open answer: `offer`, and `read()` for the next block (b"" at the end). A context manager."""

    def __init__(self, answer: Any, offer: Offer) -> None:
        self._answer = answer
        self.offer = offer

    def read(self) -> bytes:
        """At most one block; Transient where the connection breaks."""
        try:
            return bytes(self._answer.read(BLOCK))
        except (OSError, HTTPException) as error:
            raise Transient(f"the connection broke ({_said(error)})") from None

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *reason: object) -> None:
        self._answer.close()


class NothingLeft(Exception):
    """The server has no byte from there on; `total` is the size that it names, None where it names none."""

    def __init__(self, total: int | None) -> None:
        super().__init__()
        self.total = total


def request(url: str, start: int, validator: str, timeout: float) -> Response:
    """Ask for a file from byte `start` on; with a validator only if it is still the same file, else from its beginning.

    The answer's ``offer.start`` says which of the two came. FetchError: not http(s), refused, not there, or an answer
    that makes no sense; NothingLeft: no byte at `start`; Transient: worth another try.
    """
    check_scheme(url)
    headers = {"User-Agent": f"repro/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if validator:
            headers["If-Range"] = validator
    opener = urllib.request.build_opener(_Redirects())
    try:
        answer = opener.open(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:
            raise NothingLeft(_named_total(error.headers.get("Content-Range", ""))) from None
        text = f"{url}: the server answers {error.code} ({error.reason})"
        if error.code in (408, 429) or error.code >= 500:
            raise Transient(text) from None
        raise FetchError(text) from None
    except FetchError:
        raise
    except (OSError, HTTPException, ValueError) as error:
        raise Transient(f"{url}: {_said(error)}") from None
    try:
        return Response(answer, _offer(url, answer, start))
    except BaseException:
        answer.close()
        raise


def check_scheme(url: str) -> None:
    """FetchError for anything but http and https."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise FetchError(f"'{url}' is no address to download from; http:// or https:// is expected")


def _offer(url: str, answer: Any, start: int) -> Offer:
    headers = answer.headers
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise FetchError(f"{url}: sent as {headers['Content-Encoding']}, which was not asked for")
    etag = headers.get("ETag", "")
    validator = headers.get("Last-Modified", "") if not etag or etag.startswith("W/") else etag
    if answer.status == 206:
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", headers.get("Content-Range", "").strip())
        if not found or int(found[1]) != start:
            raise FetchError(
                f"{url}: asked for the bytes from {start:,} on, the server sends {headers.get('Content-Range')!r}"
            )
        return Offer(start, None if found[3] == "*" else int(found[3]), validator)
    if answer.status != 200:
        raise FetchError(f"{url}: the server answers {answer.status}; 200 or 206 were expected")
    length = headers.get("Content-Length", "")
    return Offer(0, int(length) if length.isdigit() else None, validator)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """To http and https only, and never from https back to http."""

    def redirect_request(self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any,
                         newurl: str) -> urllib.request.Request | None:  # fmt: skip
        check_scheme(newurl)
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise FetchError(f"{req.full_url}: leads to {newurl}, which is not encrypted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _named_total(content_range: str) -> int | None:
    found = re.fullmatch(r"bytes \*/(\d+)", content_range.strip())
    return int(found[1]) if found else None


def _said(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).split()) or type(error).__name__
