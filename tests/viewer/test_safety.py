"""The server answers only its own page, and refuses what it does not offer with a few words; all by a real uvicorn."""

from __future__ import annotations

import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from served_run import Serve, Served

from geoseg.viewer.gate import Gate
from geoseg.viewer.serve import MapServer

TILE = "/tiles/a/0/classes/18/137597/90101"


def raw(server: MapServer, target: str, **headers: str) -> tuple[int, bytes]:
    """Send a request as it is written: a client library would tidy up its path."""
    fields = {"Host": f"127.0.0.1:{server.access.port}", "Connection": "close"} | headers
    text = f"GET {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
    with socket.create_connection(("127.0.0.1", server.access.port), timeout=20) as connection:
        connection.sendall(text.encode("latin-1"))
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def with_token(server: MapServer, target: str) -> tuple[int, bytes]:
    return raw(server, target, Authorization=f"Bearer {server.access.token}")


def test_it_listens_on_the_loopback_address_only(served: Served):
    server, _ = served
    (listening,) = server.server.servers
    assert {item.getsockname()[0] for item in listening.sockets} == {"127.0.0.1"}


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "ü", "a" * 5000])
def test_nothing_of_the_user_is_given_without_the_token(served: Served, token: str):
    server, _ = served
    with httpx.Client(base_url=server.access.origin, trust_env=False) as stranger:
        for path in ("/", "/api/view", "/api/a/0", TILE, "/api/footprints", "/anything"):
            given = [
                stranger.get(path, headers={"Authorization": f"Bearer{token and ' '}{token}".encode()}),
                stranger.get(path, headers={"Cookie": f"{server.access.cookie}={token}".encode()}),
                stranger.get(path, params={"token": token}),
            ]
            assert {answer.status_code for answer in given} <= {403, 414}
            assert all(b"scene" not in answer.content for answer in given)


def test_the_token_opens_by_address_then_by_cookie(served: Served):
    server, _ = served
    with httpx.Client(trust_env=False) as browser:
        assert browser.get(f"{server.access.origin}/api/view").status_code == 403
        first = browser.get(server.address)
        assert first.status_code == 200
        cookie = first.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert browser.get(f"{server.access.origin}/api/view").status_code == 200


def test_each_server_has_a_token_of_its_own(served: Served, serve: Serve, run_output: Path):
    other, _ = serve(run_output)
    assert other.access.token != served[0].access.token
    assert len(other.access.token) >= 43  # 32 bytes


@pytest.mark.parametrize(
    "host", ["example.org", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", "", "[::1]:{port}"]
)
def test_a_page_that_was_led_here_by_its_own_dns_is_refused(served: Served, host: str):
    server, _ = served
    named = host.format(port=server.access.port)
    status, body = raw(server, "/api/view", Host=named, Authorization=f"Bearer {server.access.token}")
    assert status in {400, 421}
    assert b"scene" not in body


@pytest.mark.parametrize(
    "target",
    [
        "/../../etc/passwd",
        "/page/../../../etc/passwd",
        "/page/%2e%2e/%2e%2e/app.py",
        "/page/..%2fapp.py",
        "/page/..%5capp.py",
        "/page/app.py%00.js",
        "/page//etc/passwd",
        "/page/vendor",
        "/page/",
        "//etc/passwd",
        "/tiles/a/0/..%2f..%2frun/18/1/1",
        "/tiles/a/0/nothing/18/137597/90101",
        "/tiles/a/99/classes/18/137597/90101",
        "/tiles/b/0/classes/18/137597/90101",
        "/api/a/7",
        "/api/b/0",
        "/api/a/0/nothing/polygon?row=1",
        "/api/a/0/segments/polygon?row=999999999",
        "/docs",
        "/openapi.json",
    ],
)
def test_what_is_not_offered_is_not_found(served: Served, target: str):
    status, body = with_token(served[0], target)
    assert status in {404, 422}
    assert body in {b'{"detail":"not found"}', b'{"detail":"a parameter is missing or out of range"}'}


@pytest.mark.parametrize(
    "target",
    [
        "/tiles/a/0/classes/99/0/0",
        "/tiles/a/0/classes/-1/0/0",
        "/tiles/a/0/classes/25/0/0",
        "/tiles/a/0/classes/3/8/0",
        "/tiles/a/0/classes/3/-1/0",
        "/tiles/a/0/classes/3/1e3/0",
        "/tiles/a/0/classes/nan/0/0",
        "/tiles/a/0/classes/999999999999999999999/0/0",
        f"{TILE}?size=100000",
        f"{TILE}?size=-256",
        f"{TILE}?size=nan",
        "/tiles/c/0/classes/3/1/1",
        "/tiles/a/-1/classes/3/1/1",
        "/tiles/a/0/" + "x" * 500 + "/3/1/1",
        "/tiles/a/0/http:%2f%2f127.0.0.1/3/1/1",
        "/polygons/a/0/segments/99/0/0",
        "/api/a/0/areas?west=nan&south=0&east=1&north=1",
        "/api/a/0/areas?west=-181&south=0&east=1&north=1",
        "/api/a/0/areas?west=0&south=inf&east=1&north=1",
        "/api/a/0/areas?west=0&south=1&east=1&north=0",
        "/api/a/0/areas",
        "/api/a/0/least?most=1000000",
        "/api/a/0/least?most=0",
        "/api/a/0/least?least_m2=nan",
        "/api/a/0/least?least_m2=-1",
        "/api/a/0/segments/polygon?row=-1",
        "/api/a/0/segments/polygon?row=1;drop",
        "/api/a/0/segments/polygon",
        "/api/a/0/segments/at?lon=nan&lat=0",
        "/api/a/0/segments/at?lon=0&lat=91",
    ],
)
def test_numbers_out_of_range_are_refused_at_once(served: Served, target: str):
    started = time.monotonic()
    status, body = with_token(served[0], target)
    assert status in {404, 422}
    assert len(body) < 100
    assert b"/" not in body
    assert time.monotonic() - started < 5


def test_what_a_tile_is_of_cannot_be_chosen_by_parameters(served: Served):
    _, client = served
    plain = client.get(TILE).content
    asked = {"url": "http://127.0.0.1:1/x.tif", "path": "/etc/passwd", "layer": "imagery", "expression": "b1/0"}
    assert client.get(TILE, params=asked).content == plain


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "POST"])
def test_nothing_can_be_changed_without_edit(served: Served, method: str):
    _, client = served
    for path in ("/api/view", "/api/a/0", TILE, "/edits/0", "/edits/0/step", "/clicks/0", "/"):
        answer = client.request(method, path, headers={"Content-Type": "application/json", "Content-Length": "0"})
        assert answer.status_code in {404, 405}


def test_a_page_of_another_origin_cannot_post(served: Served):
    _server, client = served
    json = {"Content-Type": "application/json", "Content-Length": "2"}
    for odd in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post("/api/edits", content=b"{}", headers=json | odd).status_code == 403
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post("/api/edits", content=b"a=1", headers=form).status_code == 415
    assert (
        client.post(
            "/api/edits", content=b"x" * (5 * 2**20), headers=json | {"Content-Length": str(5 * 2**20)}
        ).status_code
        == 413
    )


def test_every_answer_forbids_scripts_and_frames_of_others(served: Served):
    server, client = served
    answers = [client.get(path) for path in ("/", "/page/main.js", "/api/view", TILE, "/nothing")]
    with httpx.Client(base_url=server.access.origin, trust_env=False) as stranger:
        answers.append(stranger.get("/"))
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "style-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in answer.headers


def test_the_page_holds_no_inline_script_or_style_and_no_foreign_address(served: Served):
    _, client = served
    page = client.get("/").text
    assert "<style" not in page
    assert " style=" not in page
    assert " on" + "click=" not in page
    assert page.count("<script") == page.count('src="page/main.js"') == 1
    assert "http://" not in page
    assert "https://" not in page


def test_a_flood_of_heavy_requests_is_refused_with_503_and_the_rest_is_served(
    serve, run_output: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("geoseg.viewer.app.Gate", lambda: Gate(slots=1, waiting=4))
    server, _ = serve(run_output)
    headers = {"Authorization": f"Bearer {server.access.token}"}
    limits = httpx.Limits(max_connections=64)
    with httpx.Client(
        base_url=server.access.origin, headers=headers, limits=limits, trust_env=False, timeout=60
    ) as client:
        with ThreadPoolExecutor(64) as pool:
            found = list(pool.map(lambda _: client.get(TILE), range(128)))
        statuses = {answer.status_code for answer in found}
        assert statuses == {200, 503}
        assert all(answer.headers["retry-after"] for answer in found if answer.status_code == 503)
        assert client.get(TILE).status_code == 200


def test_a_layer_that_is_damaged_meanwhile_is_refused_without_its_path(serve: Serve, tmp_path: Path, run_output: Path):
    copy = shutil.copytree(run_output / "scene", tmp_path / "scene")
    _, client = serve(copy)
    assert client.get("/api/a/0").status_code == 200
    (copy / "scene_segments.gpkg").write_bytes(b"SQLite format 3\x00" + b"x" * 5000)
    answer = client.get("/polygons/a/0/segments/18/137597/90101")
    assert answer.status_code == 409
    assert str(tmp_path) not in answer.text
