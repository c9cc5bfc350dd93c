"""The documentation builds as a site without a warning: every link leads somewhere, every public name has its entry."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import ROOT

import geoseg

pytestmark = pytest.mark.slow


def test_the_site_builds_strictly_and_asks_no_other_host(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="pip install '.[docs]' brings the tools of the site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    pages = {
        page.relative_to(tmp_path / "site").as_posix(): page.read_text("utf-8") for page in tmp_path.rglob("*.html")
    }
    names = set(re.findall(r'<h2 id="([^"]+)"', pages["reference/python.html"]))
    public = {name for name in dir(geoseg) if callable(getattr(geoseg, name))}
    assert public <= {name.rpartition(".")[2] for name in names}
    assert "geoseg evaluate objects" in pages["reference/commands.html"]
    loaded = [
        re.findall(r'<(?:script|img|link rel="stylesheet")[^>]+(?:src|href)="(https?:[^"]+)"', text)
        for text in pages.values()
    ]
    assert not any(loaded)
