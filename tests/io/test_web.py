"""No server sends us on to this machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError

import pytest

from geoseg.errors import SceneError
from geoseg.io.files.http import ask, is_this_host, leads_inside
from geoseg.io.files.json_document import read_document


@contextmanager
def serving(answers: dict[str, str | bytes]) -> Iterator[tuple[str, list[str]]]:
    """Serve bodies, and redirections to addresses; the address of the server, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def do_GET(self) -> None:
            asked.append(self.path)
            answer = answers[self.path]
            self.send_response(302 if isinstance(answer, str) else 200)
            if isinstance(answer, str):
                self.send_header("Location", answer)
            self.end_headers()
            if isinstance(answer, bytes):
                self.wfile.write(answer)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


@pytest.fixture
def two_servers() -> Iterator[tuple[str, str, list[str]]]:
    with ExitStack() as stack:
        inner, asked = stack.enter_context(serving({"/secret": b'{"secret": 1}'}))
        answers: dict[str, str | bytes] = {
            "/away": f"{inner}/secret",
            "/file": "file:///etc/passwd",
            "/moved": "/there",
        }
        outer, _ = stack.enter_context(serving(answers | {"/there": b'{"type": "Catalog"}'}))
        yield outer, inner, asked


@pytest.mark.parametrize("path", ["/away", "/file"])
def test_a_redirection_to_this_machine_is_not_followed(two_servers: tuple[str, str, list[str]], path: str) -> None:
    outer, _, asked = two_servers
    with pytest.raises(HTTPError, match="it leads to|not allowed"):
        ask(f"{outer}{path}", timeout_s=5)
    with pytest.raises(SceneError, match="it leads to|not allowed"):
        read_document(f"{outer}{path}")
    assert asked == []


def test_a_redirection_within_a_server_is_followed(two_servers: tuple[str, str, list[str]]) -> None:
    outer, inner, _ = two_servers
    assert read_document(f"{outer}/moved") == {"type": "Catalog"}
    assert read_document(f"{inner}/secret") == {"secret": 1}


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("http://127.0.0.1:8000/a", True),
        ("http://user:word@localhost/a", True),
        ("http://[::1]/a", True),
        ("http://169.254.169.254/latest", True),
        ("http://[::ffff:127.0.0.1]/a", True),
        ("http://[::]:80/a", True),
        ("http://[fe80::1]/a", True),
        ("http://2130706433/a", True),
        ("http://0x7f000001/a", True),
        ("http://127.1/a", True),
        ("http://0.0.0.0/a", True),
        ("http://LOCALHOST./a", True),
        ("https://example.org/127.0.0.1", False),
        ("https://127.example.org/a", False),
        ("http://192.0.2.7/a", False),
        ("http:///a", False),
    ],
)
def test_this_machine_is_known_by_its_names(address: str, here: bool) -> None:
    assert is_this_host(address) is here


@pytest.mark.parametrize(
    ("source", "target", "inside"),
    [
        ("https://example.org/a", "http://10.0.0.7/a", True),
        ("https://example.org/a", "http://192.168.1.1/a", True),
        ("https://example.org/a", "http://172.16.0.1:8080/a", True),
        ("https://example.org/a", "http://100.64.0.1/a", True),
        ("https://example.org/a", "http://[fd00::7]/a", True),
        ("https://example.org/a", "http://3232235777/a", True),
        ("https://example.org/a", "http://127.0.0.1/a", True),
        ("https://example.org/a", "https://tiles.example.org/a", False),
        ("https://example.org/a", "http://8.8.8.8/a", False),
        ("http://10.0.0.1/a", "http://10.0.0.7/a", False),
        ("http://10.0.0.1/a", "http://127.0.0.1/a", True),
        ("http://127.0.0.1:8000/a", "http://127.0.0.1:8001/a", True),
        ("http://127.0.0.1:8000/a", "http://me:word@127.0.0.1:8000/b", False),
        ("http://maps.corp/a", "http://10.0.0.7/a", False),
        ("catalogue/item.json", "http://10.0.0.7/a", False),
        ("catalogue/item.json", "http://127.0.0.1/a", True),
    ],
)
def test_a_source_on_the_net_leads_into_no_private_network(
    source: str, target: str, inside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``maps.corp`` is a name of that network, so requests go there anyway."""
    names = {"maps.corp": "10.0.0.2", "example.org": "93.184.215.14"}
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, _: [(2, 1, 6, "", (names[host], 0))])
    assert leads_inside(target, source) is inside
