"""Models travel by digest: what is pulled is what was pushed, or nothing."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest

from geoseg.cli.main import app
from geoseg.errors import UsageError
from geoseg.io.files import http
from geoseg.io.files.place import Place
from geoseg.models.exchange import Reference
from geoseg.process.command import run_command

HEX = "a" * 64


def geoseg(*arguments: str | Path) -> int:
    return run_command(lambda: app(args=["models", *map(str, arguments)], standalone_mode=False), debug=False)


class Store(BaseHTTPRequestHandler):
    """A web server that keeps what is PUT."""

    files: dict[str, bytes]
    logins: list[str | None]

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.logins.append(self.headers.get("Authorization"))
        if self.path.startswith("/readonly"):
            self.send_error(405)
            return
        self.files[self.path] = body
        self.send_response(201)
        self.end_headers()

    def do_GET(self) -> None:
        if self.path not in self.files:
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.files[self.path])

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def store() -> Iterator[tuple[str, type[Store]]]:
    kind = type("Kept", (Store,), {"files": {}, "logins": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/models", kind
        server.shutdown()
        thread.join()


def test_a_login_does_not_follow_to_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "is_this_host", lambda _: False)  # as if the two stood on the net
    seen: list[tuple[str, str | None]] = []

    class Leading(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers.get("Authorization")))
            self.send_response(302 if self.path in leads else 200)
            if self.path in leads:
                self.send_header("Location", leads[self.path])
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Leading) as first,
        ThreadingHTTPServer(("127.0.0.1", 0), Leading) as other,
    ):
        for server in (first, other):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        leads = {"/here": "/there", "/away": f"http://127.0.0.1:{other.server_port}/other"}
        for path in leads:
            request = Request(f"http://127.0.0.1:{first.server_port}{path}", headers={"Authorization": "Basic abc"})
            http.ask(request, timeout_s=10).close()
        first.shutdown()
        other.shutdown()
    login = "Basic abc"
    assert seen == [("/here", login), ("/there", login), ("/away", login), ("/other", None)]


class Hub(BaseHTTPRequestHandler):
    """As much of the Hugging Face hub as takes commits of small files and gives them again."""

    files: dict[str, bytes]
    logins: list[tuple[str, str | None]]

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        self.logins.append((f"{self.command} {self.path}", self.headers.get("Authorization")))
        if self.path.endswith("/preupload/main"):
            modes = {"uploadMode": "regular", "shouldIgnore": False}
            self.answer({"files": [{"path": file["path"], **modes} for file in json.loads(asked)["files"]]})
            return
        assert self.path == "/api/models/org/repo/commit/main"
        for line in map(json.loads, asked.splitlines()):
            if line["key"] == "file":
                name = f"/org/repo/resolve/main/{line['value']['path']}"
                self.files[name] = base64.b64decode(line["value"]["content"])
        host = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
        self.answer({"commitUrl": f"{host}/org/repo/commit/{'1' * 40}", "commitOid": "1" * 40})

    def do_GET(self) -> None:
        self.logins.append((f"{self.command} {self.path}", self.headers.get("Authorization")))
        if self.path not in self.files:
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.files[self.path])

    def answer(self, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    pytest.importorskip("huggingface_hub")
    kind = type("Kept", (Hub,), {"files": {}, "logins": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        yield kind
        server.shutdown()


def test_a_repository_of_the_hub_keeps_what_is_pushed(
    hub: type[Hub], tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pushed = push(tiny_model, ["hf://org/repo/models", "--allow-remote"], capsys)
    assert pushed["reference"] == f"hf://org/repo/models/tiny-1.safetensors#sha256={pushed['sha256']}"
    assert hub.files["/org/repo/resolve/main/models/tiny-1.safetensors"] == tiny_model.read_bytes()
    assert {Path(name).name for name in hub.files} == {"tiny-1.safetensors", "tiny-1.json", "tiny-1.stac.json"}
    assert {login for path, login in hub.logins if "org/repo" in path} == {"Bearer hf_secret"}, hub.logins
    assert geoseg("push", tiny_model, "hf://org/repo/models") == 2, "it is remote"
    assert "Pass --allow-remote" in capsys.readouterr().err


@pytest.mark.parametrize(
    "address", ["hf://org", "hf://org/../x/y", "hf://org/repo/a b", "hf://org/repo?x=y", "hf:///org/repo"]
)
def test_an_address_that_is_no_repository_is_refused(
    address: str, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert geoseg("push", tiny_model, address, "--allow-remote") == 2
    assert "hf://OWNER/REPOSITORY" in capsys.readouterr().err


@pytest.fixture(params=["folder", "address", "hub"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Arguments that name a place."""
    if request.param == "folder":
        return [str(tmp_path / "shared models")]
    if request.param == "hub":
        request.getfixturevalue("hub")
        return ["hf://org/repo/models", "--allow-remote"]
    address, _ = request.getfixturevalue("store")
    return [address, "--allow-remote"]


def push(model: Path, place: list[str], capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    capsys.readouterr()
    assert geoseg("push", model, *place, "--json", *options) == 0
    return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]


def test_what_is_pulled_is_what_was_pushed(
    tiny_model: Path, place: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pushed = push(tiny_model, place, capsys)
    assert pushed["file"] == "tiny-1.safetensors"
    assert geoseg("pull", pushed["reference"], "--out", tmp_path / "mine", *place[1:]) == 0
    said = capsys.readouterr().out
    for word in ("tiny 1", "red, green, blue", "ground, roof, water", "CC0-1.0", pushed["sha256"]):
        assert word in said
    assert (tmp_path / "mine" / "tiny-1.safetensors").read_bytes() == tiny_model.read_bytes()
    assert geoseg("pull", pushed["reference"], "--out", tmp_path / "mine", *place[1:]) == 0  # again: there already


def test_without_a_digest_the_card_is_shown_and_nothing_fetched(
    tiny_model: Path, place: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pushed = push(tiny_model, place, capsys)
    assert geoseg("pull", pushed["reference"].partition("#")[0], "--out", tmp_path / "mine", *place[1:]) == 2
    said = capsys.readouterr()
    assert "CC0-1.0" in said.out
    assert pushed["reference"] in said.err
    assert not (tmp_path / "mine").exists()


def test_a_model_that_was_replaced_is_refused(
    write_tiny: Any, place: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = push(write_tiny(1, name="roofs"), place, capsys)
    other = write_tiny(2, name="roofs")
    assert geoseg("push", other, *place) == 6
    assert first["sha256"] in capsys.readouterr().err
    push(other, place, capsys, "--overwrite")
    assert geoseg("pull", first["reference"], "--out", tmp_path / "mine", *place[1:]) == 4
    assert first["sha256"] in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()


def test_bytes_that_changed_on_the_way_never_get_the_name(
    tiny_model: Path, store: tuple[str, type[Store]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address, kept = store
    pushed = push(tiny_model, [address, "--allow-remote"], capsys)
    whole = kept.files["/models/tiny-1.safetensors"]
    for damaged in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), whole + b"more"):
        kept.files["/models/tiny-1.safetensors"] = damaged
        assert geoseg("pull", pushed["reference"], "--out", tmp_path / "mine", "--allow-remote") == 4
        assert list((tmp_path / "mine").iterdir()) == []
    assert "sha256" in capsys.readouterr().err


def test_a_login_is_sent_and_not_shown(
    tiny_model: Path, store: tuple[str, type[Store]], capsys: pytest.CaptureFixture[str]
) -> None:
    address, kept = store
    pushed = push(tiny_model, [address.replace("http://", "http://me:secret@"), "--allow-remote"], capsys)
    assert "secret" not in json.dumps(pushed)
    assert set(kept.logins) == {f"Basic {base64.b64encode(b'me:secret').decode()}"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["push", "buildings-unet", "http://127.0.0.1:9/models"], 2, "--allow-remote"),
        (["pull", f"https://127.0.0.1:9/m-1.safetensors#sha256={HEX}"], 2, "--allow-remote"),
        (["push", "buildings-unet", "ftp://host/models", "--allow-remote"], 2, "http"),
        (["pull", "models/m-1.bin"], 2, ".safetensors"),
        (["pull", "models/m-1.safetensors#sha256=abc"], 2, "64 hexadecimal digits"),
        (["pull", f"nowhere/m-1.safetensors#sha256={HEX}"], 4, "no description"),
        (["push", "nowhere.safetensors", "out"], 4, "nowhere.safetensors"),
    ],
)
def test_refusals(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert geoseg(*arguments) == code
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_takes_no_files_is_named(
    tiny_model: Path, store: tuple[str, type[Store]], capsys: pytest.CaptureFixture[str]
) -> None:
    address = store[0].replace("/models", "/readonly")
    assert geoseg("push", tiny_model, address, "--allow-remote") == 6
    assert "405" in capsys.readouterr().err


def test_a_file_in_the_way_is_kept(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pushed = push(tiny_model, [str(tmp_path / "shared")], capsys)
    mine = tmp_path / "mine" / "tiny-1.safetensors"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    assert geoseg("pull", pushed["reference"], "--out", mine.parent) == 6
    assert mine.read_bytes() == b"mine"
    assert geoseg("pull", pushed["reference"], "--out", mine.parent, "--overwrite") == 0
    assert mine.read_bytes() == tiny_model.read_bytes()


@pytest.mark.parametrize(
    ("text", "place", "file"),
    [
        ("m-1.safetensors", ".", "m-1.safetensors"),
        ("/m-1.safetensors", "/", "m-1.safetensors"),
        ("https://host/a/m%201-1.safetensors", "https://host/a", "m 1-1.safetensors"),
    ],
)
def test_references_are_taken_apart(text: str, place: str, file: str) -> None:
    assert (Reference.parse(text).place, Reference.parse(text).file) == (place, file)


@pytest.mark.parametrize("text", ["https://host/..%2Fm.safetensors", "https://host/", "", "https://host/%2e%2e/"])
def test_no_reference_leaves_its_folder(text: str) -> None:
    with pytest.raises(UsageError):
        Reference.parse(text)


def test_an_item_of_another_is_kept_and_a_missing_one_put_back(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    item = tmp_path / "shared" / "tiny-1.stac.json"
    item.parent.mkdir()
    item.write_text("mine")
    assert geoseg("push", tiny_model, item.parent) == 6
    assert (item.read_text(), [path.name for path in item.parent.iterdir()]) == ("mine", [item.name])
    push(tiny_model, [str(item.parent)], capsys, "--overwrite")
    item.unlink()
    push(tiny_model, [str(item.parent)], capsys)
    assert json.loads(item.read_text())["properties"]["mlm:name"] == "tiny"


@pytest.mark.parametrize("last", range(3))
def test_a_push_that_ended_after_some_files_is_gone_on_with(
    last: int, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put, folder, done = Place.put, tmp_path / "shared", []

    def ending(self: Place, file: str, source: Path | bytes) -> None:
        if len(done) == last:
            raise KeyboardInterrupt
        put(self, file, source)
        done.append(file)

    with monkeypatch.context() as patched:
        patched.setattr(Place, "put", ending)
        assert geoseg("push", tiny_model, folder) == 130
    assert len(done) == last
    push(tiny_model, [str(folder)], capsys)
    assert sorted(path.name for path in folder.iterdir()) == ["tiny-1.json", "tiny-1.safetensors", "tiny-1.stac.json"]


def test_a_push_puts_a_model_back_that_is_missing_next_to_its_description(
    tiny_model: Path, place: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], request: Any
) -> None:
    pushed = push(tiny_model, place, capsys)
    name = pushed["reference"].partition("#")[0].rpartition("/")[2]
    if place[0].startswith("http"):
        _, kind = request.getfixturevalue("store")
        del kind.files[f"/models/{name}"]
    elif place[0].startswith("hf:"):
        del request.getfixturevalue("hub").files[f"/org/repo/resolve/main/models/{name}"]
    else:
        Path(place[0], name).unlink()
    assert push(tiny_model, place, capsys)["reference"] == pushed["reference"]
    assert geoseg("pull", pushed["reference"], "--out", tmp_path / "got", *place[1:]) == 0
    assert (tmp_path / "got" / name).read_bytes() == tiny_model.read_bytes()
