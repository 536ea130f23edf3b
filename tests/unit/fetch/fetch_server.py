"""A web server on this machine that misbehaves as told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(256)) * 4000


@dataclass
class Behaviour:
    """What the server does; `asked` are the requests that came: (path, Range, If-Range)."""

    content: bytes = CONTENT
    ranges: bool = True
    etag: str = '"v1"'
    modified: str = ""
    status: int = 200
    cut: list[int] = field(default_factory=list)  # per request: close after so many body bytes
    length: bool = True
    claim: int | None = None
    lie_about_range: bool = False
    encoding: str = ""
    redirect: str = ""
    slow: float = 0.0
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    sent: int = 0


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        b: Behaviour = self.server.behaviour  # type: ignore[attr-defined]
        asked, condition = self.headers.get("Range", ""), self.headers.get("If-Range", "")
        b.asked.append((self.path, asked, condition))
        if b.redirect and self.path != "/moved":
            self.send_response(302)
            self.send_header("Location", b.redirect)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if b.status != 200:
            self.send_error(b.status)
            return
        start = 0
        if b.ranges and asked and condition in ("", b.etag, b.modified):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(b.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(b.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            shown = start + 1 if b.lie_about_range else start
            self.send_header("Content-Range", f"bytes {shown}-{len(b.content) - 1}/{len(b.content)}")
        else:
            self.send_response(200)
        for name, value in (("ETag", b.etag), ("Last-Modified", b.modified), ("Content-Encoding", b.encoding)):
            if value:
                self.send_header(name, value)
        body = b.content[start:]
        if b.length:
            self.send_header("Content-Length", str(len(body) if b.claim is None else b.claim))
        self.end_headers()
        if b.cut:
            body = body[: b.cut.pop(0)]
        for at in range(0, len(body), 65536):
            try:
                self.wfile.write(body[at : at + 65536])
            except OSError:
                return
            b.sent += len(body[at : at + 65536])
            time.sleep(b.slow)

    def log_message(self, *args: object) -> None:
        pass


class Server:
    def __init__(self, port: int, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.address = f"http://127.0.0.1:{port}"
        self.url = f"{self.address}/net.caffemodel"


@contextmanager
def serving() -> Iterator[Server]:
    """A server on a free port for as long as the block lasts."""
    listener = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    listener.daemon_threads = True
    listener.behaviour = Behaviour()  # type: ignore[attr-defined]
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield Server(listener.server_address[1], listener.behaviour)  # type: ignore[attr-defined]
    listener.shutdown()
    listener.server_close()
