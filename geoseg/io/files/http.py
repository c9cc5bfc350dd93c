"""HTTP requests that servers cannot redirect to this machine or its link, nor with a login to another server."""

from __future__ import annotations

import base64
import socket
from http.client import HTTPMessage, HTTPResponse
from ipaddress import IPv4Network, ip_address
from typing import IO
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

_HERE = IPv4Network("0.0.0.0/8")
_NAMES = ("localhost", "metadata.")


def is_this_host(address: str) -> bool:
    """Return True if an address is of this machine or of its link, which remote catalogues must not use."""
    host = (urlsplit(address).hostname or "").rstrip(".")
    if host.startswith(_NAMES):
        return True
    try:
        number = ip_address(host)
    except ValueError:
        try:
            number = ip_address(socket.inet_aton(host))  # 127.1, 2130706433 and 0x7f000001 are numbers too
        except (OSError, ValueError):
            return False
    known = getattr(number, "ipv4_mapped", None) or number
    return bool(known.is_loopback or known.is_unspecified or known.is_link_local or known in _HERE)


def request_with_login(address: str) -> Request:
    """Make a request; a user and password in the address become its header.

    Args:
        address: http(s) address.
    """
    parts = urlsplit(address)
    login, _, host = parts.netloc.rpartition("@")
    headers = {"User-Agent": "geoseg"}
    if login:
        headers["Authorization"] = f"Basic {base64.b64encode(unquote(login).encode()).decode()}"
    return Request(parts._replace(netloc=host).geturl(), headers=headers)  # noqa: S310 - callers give http and https


def ask(question: str | Request, *, timeout_s: float) -> HTTPResponse:
    """Open an address; redirections are followed, except from another server to this machine.

    A login goes to the server of the address alone, as in curl: not to another one that it leads to.

    Args:
        question: address or request.
        timeout_s: timeout, seconds.

    Raises:
        OSError: the request fails, or a redirection is refused (``urllib.error.URLError`` and ``HTTPError``).
        ValueError: the text is not an address.
    """
    answer: HTTPResponse = build_opener(_Straight).open(question, timeout=timeout_s)
    return answer


class _Straight(HTTPRedirectHandler):
    def redirect_request(  # noqa: PLR0917 - urllib's own signature
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        elsewhere = urlsplit(newurl).netloc.lower() != urlsplit(req.full_url).netloc.lower()
        if elsewhere and is_this_host(newurl):
            raise HTTPError(req.full_url, code, f"it leads to {newurl[:200]}", headers, fp)
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        downgraded = urlsplit(req.full_url).scheme == "https" != urlsplit(newurl).scheme
        if following is not None and (elsewhere or downgraded):
            following.remove_header("Authorization")
        return following
