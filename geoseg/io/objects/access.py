"""Access to S3-compatible stores: the variables of AWS, read once and translated for GDAL and obstore alike."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from geoseg.core.types.json_value import UntypedDict
from geoseg.errors import UsageError

CREDENTIALS_CURE = (
    "Check the address, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_ENDPOINT_URL of a store that is not AWS."
)
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION")
_ROLES = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_TRUE, _FALSE = ("yes", "true", "on", "1"), ("no", "false", "off", "0")
_TIMEOUT_S, _CONNECT_S, _RETRIES = 120, 10, 3


def is_s3(uri: str) -> bool:
    """Return True for an address of an S3-compatible store: ``s3://bucket/key``."""
    return uri[:5].lower() == "s3://"


def credentials_mark() -> int:
    """Return a number that differs where the process has other credentials; it tells nothing about them."""
    return hash(tuple(os.environ.get(name) for name in (*_KEYS, *_ROLES)))


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Access:
    """Server of the objects of ``s3://`` addresses, and how requests are signed; it holds no secret.

    Attributes:
        endpoint: address of a store that is not AWS; empty for AWS.
        bucket_in_host: the bucket is a part of the host's name, not of the path.
        signed: requests are signed; False for public buckets (``AWS_NO_SIGN_REQUEST=YES``).
        named: the environment has a key, or names a role.
        asks_machine: a machine of AWS may be asked for the credentials of its role.
    """

    endpoint: str = ""
    bucket_in_host: bool = True
    signed: bool = True
    named: bool = False
    asks_machine: bool = False

    @classmethod
    def of_environment(cls, variables: Mapping[str, str] | None = None) -> Self:
        """Read the variables of AWS, and those that GDAL has for the same.

        Args:
            variables: the environment; None: that of the process, as GDAL reads it.
        """
        have = os.environ if variables is None else variables
        endpoint = next((have[name] for name in _ENDPOINTS if have.get(name)), "")
        if not endpoint and have.get("AWS_S3_ENDPOINT"):
            scheme = "http" if have.get("AWS_HTTPS", "").lower() in _FALSE else "https"
            endpoint = have["AWS_S3_ENDPOINT"]
            endpoint = endpoint if "://" in endpoint else f"{scheme}://{endpoint}"
        hosting = have.get("AWS_VIRTUAL_HOSTING", "").lower()
        no_machine = have.get("AWS_EC2_METADATA_DISABLED", "").lower() in _TRUE
        return cls(
            endpoint=endpoint.rstrip("/"),
            bucket_in_host=hosting in _TRUE if endpoint else hosting not in _FALSE,
            signed=have.get("AWS_NO_SIGN_REQUEST", "").lower() not in _TRUE,
            named=bool(have.get("AWS_ACCESS_KEY_ID")) or any(have.get(name) for name in _ROLES),
            asks_machine=not endpoint and not no_machine,
        )

    def check(self) -> None:
        """Refuse an endpoint that is no address.

        Raises:
            UsageError: it has no scheme or no host.
        """
        if self.endpoint and not self._host():
            shown = self.endpoint.rpartition("@")[2]  # without a login
            raise UsageError(
                f"AWS_ENDPOINT_URL is {shown!r}, which is no address. Write http://HOST:PORT or https://HOST."
            )

    def gdal_options(self) -> dict[str, str]:
        """Return the options with which GDAL reads the same store; none where GDAL's own variables say it all."""
        host = self._host()
        if not host:
            return {}
        return {
            "AWS_S3_ENDPOINT": host,
            "AWS_HTTPS": "NO" if self.endpoint.lower().startswith("http:") else "YES",
            "AWS_VIRTUAL_HOSTING": "TRUE" if self.bucket_in_host else "FALSE",
        }

    def obstore_options(self, bucket: str) -> UntypedDict:
        """Return the arguments of obstore's ``S3Store`` for a bucket.

        Raises:
            UsageError: the endpoint is no address, or there are no credentials.
        """
        self.check()
        if self.signed and not self.named and not self.asks_machine:
            raise UsageError(
                f"s3://{bucket}: there are no credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (of "
                "a profile: aws configure export-credentials), or AWS_NO_SIGN_REQUEST=YES if it is public."
            )
        endpoint, in_host = self.endpoint, self.bucket_in_host and "." not in bucket  # no certificate covers a dot
        if endpoint and in_host:
            endpoint = endpoint.replace("://", f"://{bucket}.", 1)
        options: UntypedDict = {"endpoint": endpoint} if endpoint else {}
        return options | {
            "virtual_hosted_style_request": in_host,
            "skip_signature": not self.signed,
            "client_options": {
                "allow_http": endpoint.lower().startswith("http:"),
                "timeout": f"{_TIMEOUT_S}s",
                "connect_timeout": f"{_CONNECT_S}s",
            },
            "retry_config": {"max_retries": _RETRIES},
        }

    def _host(self) -> str:
        """Return host, port and path of the endpoint; empty if it is none or no address."""
        try:
            parts = urlsplit(self.endpoint)
        except ValueError:
            return ""
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
            return ""
        return parts.netloc.rpartition("@")[2] + parts.path
