"""Objects of a store: what boto3 writes is read, what is written is there for boto3, and conditions hold."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from object_server import BUCKET

from geoseg.errors import UsageError
from geoseg.io.objects.access import S3Access
from geoseg.io.objects.object_folder import ANY, ObjectChangedError, ObjectFolder, state_of_object

FOLDER = f"s3://{BUCKET}/maps"


def test_objects_are_those_that_boto3_sees(object_server: Any, tmp_path: Path) -> None:
    large = bytes(range(256)) * 60_000  # more than one part of an upload
    (tmp_path / "large").write_bytes(large)
    folder = ObjectFolder(FOLDER)
    object_server.put("maps/a/one é.txt", b"one")
    object_server.put("mapsother", b"not below the prefix")
    assert folder.read("a/one é.txt") == (b"one", object_server.keys("maps/")["maps/a/one é.txt"])
    assert folder.write("b", b"two", replaces=None) == object_server.keys("maps/")["maps/b"]
    assert folder.upload("large", tmp_path / "large") == object_server.keys("maps/")["maps/large"]
    assert object_server.get("maps/large") == large
    listed = {f"maps/{state.path}": state.e_tag for state in folder.list()}
    assert listed == object_server.keys("maps/")
    assert [(state.path, state.size_bytes) for state in folder.list("a")] == [("a/one é.txt", 3)]
    assert state_of_object(f"{FOLDER}/b") == folder.head("b")
    folder.remove("b")
    folder.remove("b")
    assert object_server.keys("maps/b") == {}
    assert (folder.head("b"), folder.read("b")) == (None, None)
    assert pickle.loads(pickle.dumps(folder)).head("large") == folder.head("large")  # noqa: S301 - made here


def test_a_write_on_a_condition_fails_where_another_was_quicker(object_server: Any) -> None:
    folder = ObjectFolder(FOLDER)
    first = folder.write("record", b"first", replaces=None)
    with pytest.raises(ObjectChangedError):
        folder.write("record", b"another first", replaces=None)
    object_server.put("maps/record", b"of another process")
    with pytest.raises(ObjectChangedError):
        folder.write("record", b"second", replaces=first)
    assert object_server.get("maps/record") == b"of another process"
    state = folder.head("record")
    assert state is not None
    folder.write("record", b"second", replaces=state.e_tag)
    folder.write("record", b"third", replaces=ANY)
    assert object_server.get("maps/record") == b"third"
    object_server.remove("maps/record")
    with pytest.raises(OSError, match=r"NoSuchKey|does not exist|written it"):
        folder.write("record", b"fourth", replaces=state.e_tag)
    assert object_server.keys() == {}


@pytest.mark.parametrize("replaced", [False, True])
def test_of_many_writers_at_once_one_wins(object_server: Any, *, replaced: bool) -> None:
    folder, start = ObjectFolder(FOLDER), Barrier(8)
    before = folder.write("record", b"before", replaces=None) if replaced else None

    def write(number: int) -> bytes | None:
        content = f"writer {number}".encode()
        start.wait()
        try:
            folder.write("record", content, replaces=before)
        except ObjectChangedError:
            return None
        return content

    with ThreadPoolExecutor(8) as pool:
        winners = [content for content in pool.map(write, range(8)) if content is not None]
    assert winners == [object_server.get("maps/record")]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong-s3cret"}, "SignatureDoesNotMatch|access is denied"),
        ({"AWS_ACCESS_KEY_ID": "AKIANOBODY"}, "InvalidAccessKeyId|access is denied"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "127.0.0.1:1"),
    ],
)
def test_a_store_that_refuses_is_an_error_of_one_line_without_secrets(
    object_server: Any, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], words: str
) -> None:
    object_server.use(monkeypatch, **changes)
    folder = ObjectFolder(FOLDER)
    calls: list[Callable[[], object]] = [
        lambda: list(folder.list()),
        partial(folder.head, "a"),
        partial(folder.read, "a"),
        partial(folder.write, "a", b"", replaces=None),
    ]
    for call in calls:
        with pytest.raises(OSError, match=words) as refused:
            call()
        text = str(refused.value)
        assert "\n" not in text
        assert len(text) <= 300
        assert "s3cret" not in text
        assert object_server.secret not in text
        assert not isinstance(refused.value, FileNotFoundError)


def test_missing_credentials_are_said_before_any_request(object_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    object_server.use(monkeypatch, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    with pytest.raises(UsageError, match="AWS_ACCESS_KEY_ID"):
        ObjectFolder(FOLDER)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "127.0.0.1:9000")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AK")
    with pytest.raises(UsageError, match="http://HOST:PORT"):
        ObjectFolder(FOLDER)
    for address in ("s3://", "s3:///a", "/folder", "s3://under_score*/a", "s3://me:s3cret@bucket/a"):
        with pytest.raises(UsageError, match="s3://BUCKET/PREFIX") as refused:
            ObjectFolder(address)
        assert "s3cret" not in str(refused.value)


def test_variables_of_aws_and_of_gdal_say_the_same() -> None:
    """The table of GDAL's own names, from its page on virtual file systems."""
    minio = {"AWS_S3_ENDPOINT": "minio.local:9000", "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE"}
    for variables in ({"AWS_ENDPOINT_URL": "http://minio.local:9000/"}, minio):
        access = S3Access.of_environment(variables | {"AWS_ACCESS_KEY_ID": "AK"})
        assert access.gdal_options() == minio
        assert access.obstore_options("bucket")["endpoint"] == "http://minio.local:9000"
    hosted = {"AWS_ENDPOINT_URL": "https://s3.example.org", "AWS_VIRTUAL_HOSTING": "TRUE", "AWS_NO_SIGN_REQUEST": "YES"}
    access = S3Access.of_environment(hosted)
    assert access.gdal_options()["AWS_VIRTUAL_HOSTING"] == "TRUE"
    options = access.obstore_options("bucket")
    assert (options["endpoint"], options["skip_signature"]) == ("https://bucket.s3.example.org", True)
    assert S3Access.of_environment({"AWS_ENDPOINT_URL": "a", "AWS_ENDPOINT_URL_S3": "http://b"}).endpoint == "http://b"
    assert S3Access.of_environment({}).gdal_options() == {}, "AWS itself: GDAL's own variables say it all"
    assert S3Access.of_environment({"AWS_ENDPOINT_URL": "nonsense"}).gdal_options() == {}
