"""The entries of networks state what is measured, and the page says what the entries say."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from geoseg.errors import ModelError
from geoseg.nn import NETWORKS
from geoseg.nn.zoo.entries import ENTRIES
from geoseg.nn.zoo.measure import measure
from geoseg.nn.zoo.registry import network_entry, options

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "networks.py"


def test_no_two_entries_share_a_name_and_all_state_their_cost() -> None:
    assert len(ENTRIES) == len(NETWORKS)
    assert [entry.name for entry in ENTRIES if entry.cost is None] == []


def test_the_page_says_what_the_entries_say() -> None:
    spec = importlib.util.spec_from_file_location("networks_page", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.PAGE.read_text() == script.page(), "run python docs/networks.py"


@pytest.mark.parametrize("name", ["unet", "pspnet_r50", "fastfcn_encnet_r50"])
def test_some_numbers_are_measured_again(name: str) -> None:
    assert measure(name) == NETWORKS[name].cost, f"run python docs/networks.py --measure {name}"


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_all_numbers_are_measured_again(name: str) -> None:
    if (library := NETWORKS[name].family.requires) is not None:
        pytest.importorskip(library, reason=f"{library} is an extra")
    assert measure(name) == NETWORKS[name].cost, f"run python docs/networks.py --measure {name}"


@pytest.mark.parametrize(
    ("name", "size", "changes", "published"),
    [
        ("pspnet_r50", (512, 1024), {"backbone": "resnet50c"}, 356.6),
        ("deeplabv3plus_r50", (512, 1024), {"output_stride": 8}, 352.3),
        pytest.param("pspnet_r101", (512, 1024), {"backbone": "resnet101c"}, 511.7, marks=pytest.mark.slow),
        pytest.param("deeplabv3plus_r101", (512, 1024), {"output_stride": 8}, 507.5, marks=pytest.mark.slow),
        pytest.param("hrnet_w48", (1024, 2048), {}, 747.5, marks=pytest.mark.slow),
        pytest.param("hrnet_w18s_v2", (1024, 2048), {}, 76.9, marks=pytest.mark.slow),
        pytest.param("hrnet_ocr_w48", (1024, 2048), {}, 1297.9, marks=pytest.mark.slow),
        pytest.param("setr_naive_l", (768, 768), {}, 959.8, marks=pytest.mark.slow),
        pytest.param("setr_pup_l", (768, 768), {}, 1081.5, marks=pytest.mark.slow),
        pytest.param("setr_mla_l", (768, 768), {}, 970.8, marks=pytest.mark.slow),
    ],
)
def test_multiplications_are_as_many_as_published(
    name: str, size: tuple[int, int], changes: dict[str, Any], published: float
) -> None:
    assert round(measure(name, classes=19, size=size, **changes).macs / 1e9, 1) == published


def test_a_networks_options_are_those_of_its_name() -> None:
    assert options("fcn16s")["stride"] == 16
    assert options("setr_pup_b")["vit"] == "vit_base_patch16_384"
    assert network_entry("fcn16s").output_stride == 16


@pytest.mark.parametrize("ask", [network_entry, options])
def test_an_unknown_network_is_refused_with_the_nearest(ask: Any) -> None:
    with pytest.raises(ModelError, match="nearest: hrnet_w48"):
        ask("hrnet_w47")


def test_the_registry_loads_no_torch() -> None:
    code = "import sys, geoseg.nn.zoo.registry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
