"""HTTP requests that servers cannot redirect to this machine or its network, nor with a login to another server."""

from __future__ import annotations

import base64
import socket
from http.client import HTTPMessage, HTTPResponse
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from typing import IO
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

_HERE = IPv4Network("0.0.0.0/8")
_SHARED = IPv4Network("100.64.0.0/10")  # carriers' own, which counts as neither private nor global
_NAMES = ("localhost", "metadata.")


def leads_inside(target: str, source: str) -> bool:
    """Return True if a document or answer leads to a place that only this machine or its network can reach.

    That is this machine or its link, and a private network that the source itself is not in: a server on the net must
    not have requests sent there. A source may lead to other ports and paths of its own host.

    Args:
        target: address that it leads to.
        source: address or path that the user gave, or that was followed before.
    """
    if _netloc(target) == _netloc(source):
        return False
    if is_this_host(target):
        return True
    number = _number(target)
    return number is not None and _is_of_private_network(number) and not _is_private(source)


def is_this_host(address: str) -> bool:
    """Return True if an address is of this machine or of its link, which remote catalogues must not use."""
    if _host(address).startswith(_NAMES):
        return True
    number = _number(address)
    return number is not None and bool(
        number.is_loopback or number.is_unspecified or number.is_link_local or number in _HERE
    )


def _netloc(address: str) -> str:
    return urlsplit(address).netloc.rpartition("@")[2].lower()


def _host(address: str) -> str:
    return (urlsplit(address).hostname or "").rstrip(".")


def _number(address: str) -> IPv4Address | IPv6Address | None:
    """Return the number that stands as the host of an address, in any spelling; None if a name stands there."""
    host = _host(address)
    try:
        number = ip_address(host)
    except ValueError:
        try:
            number = ip_address(socket.inet_aton(host))  # 127.1, 2130706433 and 0x7f000001 are numbers too
        except (OSError, ValueError):
            return None
    return getattr(number, "ipv4_mapped", None) or number


def _is_private(source: str) -> bool:
    """Return True if a source is a file, or its host is in a private network or on this machine."""
    host = _host(source)
    if not host:
        return True
    number = _number(source)
    if number is not None:
        return _is_of_private_network(number)
    try:
        found = {str(one[4][0]).partition("%")[0] for one in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    return any(_is_of_private_network(ip_address(one)) for one in found)


def _is_of_private_network(number: IPv4Address | IPv6Address) -> bool:
    return number.is_private or number in _SHARED


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
    """Open an address; redirections are followed, except to this machine and its network.

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
        if leads_inside(newurl, req.full_url):
            raise HTTPError(req.full_url, code, f"it leads to {newurl[:200]}", headers, fp)
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        elsewhere = _netloc(newurl) != _netloc(req.full_url)
        downgraded = urlsplit(req.full_url).scheme == "https" != urlsplit(newurl).scheme
        if following is not None and (elsewhere or downgraded):
            following.remove_header("Authorization")
        return following
