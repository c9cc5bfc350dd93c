"""Guard: who may ask the server, and the headers of every answer."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST: Final = "127.0.0.1"
_NAMES: Final = (HOST, "localhost")
_MOST_BODY_BYTES: Final = 4 * 2**20
_MOST_QUERY: Final = 4096
_SAFE: Final = frozenset({"GET", "HEAD"})
_CHANGING: Final = "POST"

REFUSED: Final = b'{"detail":"Open the address that geoseg view printed."}'
NOT_FOUND: Final = b'{"detail":"not found"}'
TOO_LARGE: Final = b'{"detail":"the request is too large"}'

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The secret of one server.

    Attributes:
        port: port of the server on 127.0.0.1.
        embedded: allow pages of this machine, as notebooks are, to show the map in a frame.
        token: secret that every request must carry.
    """

    port: int
    embedded: bool = False
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def origin(self) -> str:
        """Address of the server, without the token."""
        return f"http://{HOST}:{self.port}"

    @property
    def address(self) -> str:
        """Address that opens the map."""
        return f"{self.origin}/?token={self.token}"

    @property
    def cookie(self) -> str:
        """Name of the cookie; browsers share cookies between ports, so it is in the name."""
        return f"geoseg-{self.port}"

    @property
    def hosts(self) -> frozenset[bytes]:
        """Values of the header Host that are served; others come from a page that was led here by its own DNS."""
        return frozenset(f"{name}:{self.port}".encode() for name in _NAMES)

    @property
    def policy(self) -> str:
        """Content security policy: nothing from elsewhere, no script or style but files of the page."""
        frames = "http://localhost:* http://127.0.0.1:* https://localhost:*" if self.embedded else "'none'"
        return (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self';"
            " worker-src 'self' blob:; font-src 'self'; manifest-src 'none'; base-uri 'none'; form-action 'none';"
            f" frame-ancestors {frames}"
        )

    def knows(self, token: str) -> bool:
        """Compare a token in constant time."""
        return hmac.compare_digest(token.encode(), self.token.encode())


class Guard:
    """ASGI middleware: refuses other hosts, requests without the token and large bodies; adds the headers.

    Args:
        app: the application.
        access: the secret.
        public: paths that need no token, such as the scripts of the page; there is nothing of the user in them.
    """

    def __init__(self, app: ASGIApp, *, access: Access, public: Iterable[str]) -> None:
        self.app, self.access, self.public = app, access, frozenset(public)
        self._common: Headers = [
            (b"content-security-policy", access.policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"permissions-policy", b"geolocation=(), camera=(), microphone=()"),
        ]
        if not access.embedded:
            self._common.append((b"x-frame-options", b"DENY"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        status, body = self._refusal(scope, headers)
        if status:
            await self._answer(send, status, body)
            return
        await self.app(scope, receive, self._with_headers(send, scope))

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[int, bytes]:
        """Return the status and body of a refusal; status 0: the request is served."""
        reads = scope["method"] in _SAFE
        if sum(name == b"host" for name, _ in scope["headers"]) != 1 or headers[b"host"] not in self.access.hosts:
            return 421, NOT_FOUND
        if len(scope["query_string"]) > _MOST_QUERY:
            return 414, TOO_LARGE
        if not reads and scope["method"] != _CHANGING:
            return 405, NOT_FOUND
        if reads and scope["path"] in self.public:
            return 0, b""
        if not self._knows(scope, headers):
            return 403, REFUSED
        return (0, b"") if reads else _changing(headers, self.access.port)

    def _knows(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        given = (
            headers.get(b"authorization", b"").decode("latin-1").removeprefix("Bearer "),
            _cookie(headers.get(b"cookie", b""), self.access.cookie),
            next(iter(parse_qs(scope["query_string"].decode("latin-1")).get("token", [])), ""),
        )
        return any(self.access.knows(token) for token in given)

    def _with_headers(self, send: Send, scope: Scope) -> Send:
        sets_cookie = scope["path"] == "/"

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                own: Headers = list(message.get("headers", []))
                own += self._common
                if not any(name == b"cache-control" for name, _ in own):
                    own.append((b"cache-control", b"no-store"))
                if sets_cookie and message["status"] == 200:
                    cookie = f"{self.access.cookie}={self.access.token}; Path=/; HttpOnly; SameSite=Strict"
                    own.append((b"set-cookie", cookie.encode()))
                message = {**message, "headers": own}
            await send(message)

        return sending

    async def _answer(self, send: Send, status: int, body: bytes) -> None:
        headers: Headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            *self._common,
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _changing(headers: dict[bytes, bytes], port: int) -> tuple[int, bytes]:
    """Check a request that changes something: from the page itself, JSON, and of a known, bounded length."""
    origin = headers.get(b"origin")
    if origin is not None and origin not in {f"http://{name}:{port}".encode() for name in _NAMES}:
        return 403, REFUSED
    if headers.get(b"sec-fetch-site", b"same-origin") not in {b"same-origin", b"none"}:
        return 403, REFUSED
    if headers.get(b"content-type", b"").split(b";")[0].strip() != b"application/json":
        return 415, b'{"detail":"JSON is expected"}'
    length = headers.get(b"content-length", b"")
    if not length.isdigit():
        return 411, b'{"detail":"the length of the request is expected"}'
    if int(length) > _MOST_BODY_BYTES:
        return 413, TOO_LARGE
    return 0, b""


def _cookie(header: bytes, name: str) -> str:
    try:
        found: Any = SimpleCookie(header.decode("latin-1")).get(name)
    except CookieError:
        return ""
    return "" if found is None else str(found.value)
