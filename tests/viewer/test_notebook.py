"""``geoseg.view``: the same map in a frame, for every kind of target."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import httpx
import pytest

import geoseg
from geoseg.errors import UsageError
from geoseg.io.publish.bundle import Bundle


def targets(run_output: Path) -> list[object]:
    bundle = Bundle(directory=run_output / "scene", stem="scene")
    layers = geoseg.run.predict.Layers(bundle=bundle, record={})  # type: ignore[attr-defined]
    return [run_output, str(run_output / "scene"), bundle, layers, geoseg.open_scene(run_output.parent / "scene.tif")]


@pytest.mark.parametrize("kind", range(5))
def test_the_frame_leads_to_the_map_of_its_target(run_output: Path, kind: int):
    import geoseg.run.predict

    frame = geoseg.view(targets(run_output)[kind])
    try:
        source = re.search(r'<iframe src="([^"]+)"', frame._repr_html_())
        assert source is not None
        assert source[1] == frame.address
        page = httpx.get(frame.address, trust_env=False)
        assert page.status_code == 200
        assert "frame-ancestors http://localhost:*" in page.headers["content-security-policy"]
        assert "x-frame-options" not in page.headers
        token = frame.address.partition("token=")[2]
        assert token not in repr(frame)
        origin = frame.address.partition("/?")[0]
        answer = httpx.get(f"{origin}/api/view", headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        assert answer.json()["title"] in {"scene", "scene.tif"}
    finally:
        frame.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(frame.address, trust_env=False)


def test_a_missing_package_is_named(run_output: Path, monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in sys.modules if name.startswith(("geoseg.viewer.", "geoseg.io.tiles"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rio_tiler", None)
    monkeypatch.setitem(sys.modules, "rio_tiler.reader", None)
    with pytest.raises(UsageError, match=r"pip install 'geoseg\[view\]'"):
        geoseg.view(run_output)


def test_an_odd_height_is_refused(run_output: Path):
    with pytest.raises(UsageError, match="height_px"):
        geoseg.view(run_output, height_px=5)
