"""Dask's dashboard of local workers is at the port that was asked for, or the run says why it cannot be."""

from __future__ import annotations

import importlib.util
import socket
import urllib.request
import warnings
from typing import Any

import pytest

from geoseg.archive.config import ArchiveConfig
from geoseg.archive.executor import archive_executor
from geoseg.errors import ResourceError, UsageError
from geoseg.run import cluster
from geoseg.run.cluster import local_cluster


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def config(**changes: Any) -> ArchiveConfig:
    return ArchiveConfig(source="in", model="buildings-unet", out="out", dashboard_port=8787, **changes)


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: None if name == "bokeh" else object())
    cause = r"needs bokeh\. Run pip install 'geoseg\[dashboard\]'"
    with pytest.raises(UsageError, match=cause), archive_executor(config(workers=1)):
        pass


def test_a_port_that_is_taken_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: object())
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ResourceError, match=f"{port} cannot be used"), local_cluster(1, dashboard_port=port):
            pass


@pytest.mark.parametrize("changes", [{"workers": 0}, {"scheduler": "tcp://h:1"}, {"cluster": {"name": "a.B"}}])
def test_it_is_for_workers_of_this_machine(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="has its own dashboard"):
        config(**changes)
    assert config().dashboard_port == config(workers=2).dashboard_port == 8787


@pytest.mark.skipif(importlib.util.find_spec("bokeh") is None, reason="bokeh is of the extra dashboard")
def test_it_is_served_where_it_was_asked_for() -> None:
    port = free_port()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with local_cluster(1, dashboard_port=port), urllib.request.urlopen(f"http://127.0.0.1:{port}/status") as page:
            assert b"Dask" in page.read()
