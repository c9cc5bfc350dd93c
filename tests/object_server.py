"""A real S3-compatible server on this machine: moto, in a process of its own, which checks signatures when asked to."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

BUCKET = "imagery"
_POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
VARIABLES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_NO_SIGN_REQUEST"),
    *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_S3_ENDPOINT", "AWS_HTTPS", "AWS_VIRTUAL_HOSTING"),
    *("AWS_REGION", "AWS_DEFAULT_REGION"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectServer:
    """The server, a user of it, and boto3 as the independent client."""

    endpoint: str
    key: str
    secret: str

    def environment(self) -> dict[str, str]:
        """What a user of the store exports; nothing in it is meant for GDAL alone."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def use(self, monkeypatch: pytest.MonkeyPatch, **changes: str | None) -> None:
        """Export that, in this process and those that it starts."""
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        for name, value in (self.environment() | changes).items():
            if value is not None:
                monkeypatch.setenv(name, value)

    def client(self) -> Any:
        """Make boto3's client of the store."""
        return _client(self.endpoint, "s3", self.key, self.secret)

    def put(self, key: str, content: bytes | Path) -> None:
        """Put an object, replacing it."""
        body = content if isinstance(content, bytes) else content.read_bytes()
        self.client().put_object(Bucket=BUCKET, Key=key, Body=body)

    def get(self, key: str) -> bytes:
        """Read an object."""
        return bytes(self.client().get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def keys(self, prefix: str = "") -> dict[str, str]:
        """List objects: their keys and ETags."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return {one["Key"]: one["ETag"] for page in pages for one in page.get("Contents", [])}

    def remove(self, prefix: str) -> None:
        """Remove all objects of a prefix."""
        for key in self.keys(prefix):
            self.client().delete_object(Bucket=BUCKET, Key=key)


def _client(endpoint: str, service: str, key: str, secret: str) -> Any:
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


@contextmanager
def object_server(log: Path) -> Iterator[ObjectServer]:
    """Start the server with one bucket and one user; requests of others, or signed wrongly, are refused."""
    pytest.importorskip("moto.server", reason="moto's server is not installed")
    pytest.importorskip("obstore", reason="obstore is not installed")
    with socket.socket() as looking:
        looking.bind(("127.0.0.1", 0))
        port = looking.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    endpoint = f"http://127.0.0.1:{port}"
    with log.open("wb") as written, subprocess.Popen(command, stdout=written, stderr=written) as process:
        try:
            _wait(port, process, log)
            iam = _client(endpoint, "iam", "root", "root")
            iam.create_user(UserName="mapper")
            iam.put_user_policy(UserName="mapper", PolicyName="objects", PolicyDocument=json.dumps(_POLICY))
            key = iam.create_access_key(UserName="mapper")["AccessKey"]
            _client(endpoint, "s3", "root", "root").create_bucket(Bucket=BUCKET)
            _check_signatures(port)
            yield ObjectServer(endpoint=endpoint, key=key["AccessKeyId"], secret=key["SecretAccessKey"])
        finally:
            process.terminate()
            process.wait()


def _check_signatures(port: int) -> None:
    """Let the server refuse requests from now on that are not signed by a user who may send them."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/moto-api/reset-auth", body=b"0", headers={"Content-Type": "text/plain"})
    assert connection.getresponse().status == 200
    connection.close()


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"the server did not start: {log.read_text()}")
