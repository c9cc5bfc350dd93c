"""A worker whose environment has no geoseg is named at once; without that a run would wait for ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import distributed
import pytest
from test_worker_device import QUIET

from geoseg.errors import ResourceError
from geoseg.run.cluster import joined_cluster

WORKER = """
import sys
sys.modules["geoseg"] = None  # cannot be imported
from distributed.cli.dask_worker import main
main([sys.argv[1], "--no-nanny", "--no-dashboard", "--nthreads", "1"])
"""


def test_a_worker_that_cannot_import_geoseg_is_named(tmp_path: Path) -> None:
    with distributed.LocalCluster(n_workers=0, **QUIET) as cluster, distributed.Client(cluster) as client:
        address = cluster.scheduler_address
        with (
            (tmp_path / "log").open("wb") as log,
            subprocess.Popen([sys.executable, "-c", WORKER, address], cwd=tmp_path, stderr=log, stdout=log) as worker,
        ):
            try:
                client.wait_for_workers(1, timeout=60)
                with (
                    pytest.raises(ResourceError, match=r"1 of 1 workers cannot import geoseg.*Install it"),
                    joined_cluster(address),
                ):
                    pass
            finally:
                worker.terminate()
