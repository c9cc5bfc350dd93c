"""The bill of materials is CycloneDX, names all that is needed, and is the same each time."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("sbom") / "geoseg.cdx.json"
    subprocess.run([sys.executable, ROOT / ".ci" / "sbom.py", path], check=True)
    first = path.read_bytes()
    subprocess.run([sys.executable, ROOT / ".ci" / "sbom.py", path], check=True)
    assert path.read_bytes() == first
    return json.loads(first)


def test_the_bill_has_the_structure_of_cyclonedx(bill: Any) -> None:
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.5", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", bill["serialNumber"])
    assert bill["metadata"]["component"]["name"] == "geoseg"
    refs = [part["bom-ref"] for part in (bill["metadata"]["component"], *bill["components"])]
    assert len(refs) == len(set(refs))
    for part in bill["components"]:
        assert part["type"] == "library"
        assert part["purl"] == f"pkg:pypi/{part['name']}@{part['version']}"
        assert all(len(entry) == 1 and set(entry) <= {"license", "expression"} for entry in part.get("licenses", []))
    for link in bill["dependencies"]:
        assert {link["ref"], *link["dependsOn"]} <= set(refs)
    assert {link["ref"] for link in bill["dependencies"]} == set(refs)


def test_the_bill_names_every_requirement_with_its_version(bill: Any) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {re.match(r"[\w.-]+", text)[0].lower() for text in project["dependencies"]}  # type: ignore[index]
    listed = {part["name"]: part["version"] for part in bill["components"]}
    assert asked <= set(listed)
    assert all(listed[name] == version(name) for name in asked)


def test_the_bill_names_nothing_that_only_developers_or_the_documentation_need(bill: Any) -> None:
    listed = {part["name"] for part in bill["components"]}
    assert not listed & {"ruff", "mypy", "pytest", "pytest-xdist", "hypothesis", "import-linter", "rio-cogeo", "build"}
    assert not listed & {"mkdocs", "mkdocs-material", "mkdocstrings", "types-pyyaml", "types-shapely"}
    assert {"lightning", "onnxruntime", "fastapi"} <= listed, "of extras for users"


def test_a_requirement_counts_where_its_marker_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(name: str, *lines: str) -> None:
        folder = tmp_path / f"{name}-1.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", f"Name: {name}", "Version: 1", *lines]))

    extras = [f"Provides-Extra: {name}" for name in ("dev", "docs", "view")]
    needs = ["plain", "old; python_version < '3'", "shown[fast]; extra == 'view'", "tried; extra == 'dev'"]
    installed("ours", *extras, *(f"Requires-Dist: {need}" for need in [*needs, "told; extra == 'docs'"]))
    installed(
        "shown", "Provides-Extra: fast", "Requires-Dist: quick; extra == 'fast'", "Requires-Dist: slow; extra == 'x'"
    )
    for name in ("plain", "old", "tried", "told", "quick", "slow"):
        installed(name)
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = importlib.util.spec_from_file_location("sbom", ROOT / ".ci" / "sbom.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert {part["name"] for part in module.bill("ours")["components"]} == {"plain", "shown", "quick"}
