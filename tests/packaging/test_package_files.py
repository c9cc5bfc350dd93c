"""Files around the package agree with it: containers, conda recipe, citation, issue forms."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

import geoseg
from geoseg.archive.config import ArchiveConfig
from geoseg.flows.entry import FLOWS

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def instructions(text: str) -> list[tuple[str, str]]:
    """Instructions of a Dockerfile with their arguments; continued lines are joined."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]  # type: ignore[misc]


STEPS = instructions((ROOT / "Dockerfile").read_text())


def stages() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for name, argument in STEPS:
        if name == "FROM":
            steps = found.setdefault(argument.split(" AS ")[1], [])
        elif found:
            steps.append((name, argument))
    return found


def test_both_images_run_without_rights_in_the_folder_of_the_data() -> None:
    for stage in ("cpu", "cuda"):
        last = dict(stages()[stage])
        assert last["USER"] == "geoseg"
        assert last["WORKDIR"] == "/data"
        assert last["ENTRYPOINT"] == '["geoseg"]'
    assert list(stages())[-1] == "cpu"  # what `docker build .` makes


def test_images_are_pinned_small_and_copied_not_added() -> None:
    assert dict(STEPS)["ARG"].partition("=")[2] != "latest"
    assert "ADD" not in {name for name, _ in STEPS}
    for name, argument in STEPS:
        if name == "RUN" and "apt-get install" in argument:
            assert "--no-install-recommends" in argument
            assert "rm -rf /var/lib/apt/lists/*" in argument
        if name == "RUN" and "pip install" in argument:
            assert "--no-cache" in argument
            assert re.search(r"==|--constraint", argument)


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    for name, argument in STEPS:
        if name == "COPY" and not argument.startswith("--from"):
            for source in argument.split()[:-1]:
                assert (ROOT / source).exists()
                assert f"!{source}" in ignored


def test_extras_of_the_images_exist() -> None:
    named = {
        extra
        for _, argument in STEPS
        for group in re.findall(r"\.whl\)\[([\w,]+)\]", argument)
        for extra in group.split(",")
    }
    assert named
    assert named <= set(PROJECT["optional-dependencies"])


def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "compose.yaml").read_text())  # type: ignore[no-any-return]


def test_services_depend_on_services_and_listen_on_this_machine_only() -> None:
    services = compose()["services"]
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        for name, condition in service["depends_on"].items() if isinstance(service.get("depends_on"), dict) else ():
            assert condition["condition"] != "service_healthy" or "healthcheck" in services[name]


def test_no_password_stands_in_the_file() -> None:
    text = (ROOT / "compose.yaml").read_text()
    assert re.findall(r"POSTGRES_PASSWORD: (.*)", text) == ["${POSTGRES_PASSWORD:?set it in .env}"]


def test_the_served_flow_and_its_archive_are_real() -> None:
    services = compose()["services"]
    word, flow, config, *_ = services["flows"]["command"]
    assert (word, flow in FLOWS, config) == ("flow", True, "/data/archive.yaml")
    archive = ArchiveConfig.read(ROOT / "configs" / "archives" / "compose.yaml")
    address = services["worker"]["command"][1]
    assert archive.scheduler == address == f"tcp://scheduler:{services['scheduler']['command'][4]}"


def test_the_conda_recipe_has_the_dependencies_and_their_bounds() -> None:
    recipe = yaml.safe_load((ROOT / "conda.recipe" / "recipe.yaml").read_text())
    listed = dict(entry.split(maxsplit=1) for entry in recipe["requirements"]["run"])
    assert listed.pop("python") == PROJECT["requires-python"]
    names = {"torch": "pytorch"}
    wanted = {names.get(one.name, one.name): str(one.specifier) for one in map(Requirement, PROJECT["dependencies"])}
    assert listed == wanted | {"distributed": wanted["dask"]}
    assert recipe["build"]["python"]["entry_points"] == [f"geoseg = {PROJECT['scripts']['geoseg']}"]


IMPORTED_AS = {"pillow": "PIL", "pyyaml": "yaml", "odc-geo": "odc"}


def test_every_dependency_is_imported_by_the_package() -> None:
    """What only tests need belongs to the extra ``dev``."""
    files = [path.read_text() for path in (ROOT / "geoseg").rglob("*.py")]
    for one in map(Requirement, PROJECT["dependencies"]):
        module = IMPORTED_AS.get(one.name, one.name.replace("-", "_"))
        assert any(re.search(rf"^\s*(import|from) {module}\b", text, re.MULTILINE) for text in files), one.name


def test_what_is_written_by_hand_is_where_the_table_says() -> None:
    rows = [line for line in (ROOT / "docs" / "libraries.md").read_text().splitlines() if line.startswith("| ")]
    named = [name for row in rows for name in re.findall(r"`(geoseg/[\w/.]+)`", row)]
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("file", ["CITATION.cff", "conda.recipe/recipe.yaml"])
def test_versions_are_those_of_the_package(file: str) -> None:
    document = yaml.safe_load((ROOT / file).read_text())
    assert (document.get("context") or document)["version"] == PROJECT["version"] == geoseg.__version__


def test_issue_forms_have_what_the_forge_wants() -> None:
    for form in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        document = yaml.safe_load(form.read_text())
        if form.name == "config.yml":
            continue
        assert {"name", "description", "body"} <= set(document)
        ids = [entry["id"] for entry in document["body"]]
        assert len(ids) == len(set(ids))
        assert all(entry["attributes"]["label"] for entry in document["body"])


def test_flow_names_have_modules() -> None:
    for module, summary in FLOWS.values():
        assert (ROOT / Path(*module.split("."))).with_suffix(".py").is_file()
        assert summary.endswith(".")
