"""``geoseg doctor``: show the installation and test that it works."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import sys
from typing import Annotated

import typer

from geoseg.core.types.json_value import UntypedDict

_LIBRARIES = ("numpy", "rasterio", "odc-geo", "pyogrio", "geopandas", "shapely", "pyarrow", "torch", "openvino", "timm")


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    clear_cache: Annotated[
        bool, typer.Option("--clear-cache", help="Remove the compiled networks that are kept, and do nothing else.")
    ] = False,
) -> None:
    """Show versions, devices and runtimes, and try every bundled model on one small tile."""
    from geoseg.runtimes.compiled_cache import cache_folder, clear, kept_bytes

    cache = cache_folder()
    if clear_cache:
        freed = 0 if cache is None else kept_bytes(cache)
        if cache is not None:
            clear(cache)
        print(json.dumps({"freed_bytes": freed}) if as_json else f"{freed / 1e6:.1f} MB of compiled networks removed")
        return
    import psutil
    import torch

    import geoseg
    from geoseg.io.files.versions import gdal_version
    from geoseg.runtimes.torch_runtime import cpu_gains_from_bf16

    facts: UntypedDict = {
        "geoseg": geoseg.__version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        "gdal": gdal_version(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "cpu_cores": os.cpu_count(),
        "cpu_bf16": cpu_gains_from_bf16(),
        "memory_bytes": psutil.virtual_memory().total,
        "disk_free_bytes": shutil.disk_usage(".").free,
        "cuda_devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "models": _try_models(),
    }
    facts["cache"] = {
        "folder": None if cache is None else str(cache),
        "bytes": 0 if cache is None else kept_bytes(cache),
    }
    if as_json:
        print(json.dumps(facts))
    else:
        _show(facts)
    if any(not entry["works"] for entry in facts["models"]):
        raise typer.Exit(4)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _try_models() -> list[UntypedDict]:
    import numpy as np

    from geoseg.errors import GeosegError
    from geoseg.models.bundled import BUNDLED
    from geoseg.models.model import load_model
    from geoseg.runtimes.registry import RUNTIMES

    tried: list[dict[str, object]] = []
    for name in BUNDLED:
        for runtime, entry in RUNTIMES.items():
            if not entry.runs_torch:  # it runs exported files only
                continue
            try:
                model = load_model(name, runtime=runtime)
                answer = model.runtime.run(np.zeros((1, len(model.card.bands), 64, 64), np.float32))
                works = all(np.isfinite(array).all() for array in answer.values())
                tried.append({"model": name, "runtime": model.info.version, "works": works, "why": ""})
            except GeosegError as error:
                absent = importlib.util.find_spec(entry.library) is None
                tried.append({"model": name, "runtime": runtime, "works": absent, "why": str(error)})
    return tried


def _show(facts: UntypedDict) -> None:
    for name in ("geoseg", "python", "system", "gdal"):
        print(f"{name:<10} {facts[name]}")
    for name, version in facts["libraries"].items():
        print(f"{name:<10} {version or 'not installed'}")
    bf16 = "with" if facts["cpu_bf16"] else "without"
    print(f"{'cpu':<10} {facts['cpu_cores']} cores {bf16} bf16, {facts['memory_bytes'] / 1e9:.1f} GB of memory")
    print(f"{'disk':<10} {facts['disk_free_bytes'] / 1e9:.1f} GB free here")
    cache = facts["cache"]
    print(f"{'cache':<10} {cache['bytes'] / 1e6:.1f} MB of compiled networks in {cache['folder'] or 'no folder'}")
    print(f"{'cuda':<10} {', '.join(facts['cuda_devices']) or 'no device'}")
    for entry in facts["models"]:
        state = "works" if entry["works"] and not entry["why"] else entry["why"] or "answers NaN"
        print(f"{'model':<10} {entry['model']} on {entry['runtime']}: {state}")
