"""Run the benchmarks that need nothing but this repository, one after another, each in a process of its own.

    python -m benchmarks all|NAME ... [--long] [--json]

The short form takes minutes and finds gross losses; the long form takes the sizes that the documentation reports. One
JSON object (``--json``) holds the machine, the versions and, for each benchmark, its seconds and what it printed.
Ratios within one benchmark can be compared between machines, seconds cannot.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
_LIBRARIES = ("numpy", "torch", "openvino", "numba", "rasterio")


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One script with the arguments of its two forms."""

    what: str
    short: tuple[str, ...] = ()
    long: tuple[str, ...] = ()


BENCHMARKS = {
    "predict": Benchmark(
        what="whole runs: speed, share of the forward pass, memory",
        short=("--json", "--sides", "2048"),
        long=("--json", "--sides", "2048", "8192", "20480"),
    ),
    "precisions": Benchmark(
        what="fp32, bf16 and int8", short=("--json", "--rounds", "3"), long=("--json", "--rounds", "16")
    ),
    "streams": Benchmark(
        what="several tiles at a time against one", short=("--json", "--rounds", "4"), long=("--json", "--rounds", "24")
    ),
    "tiles": Benchmark(
        what="tiles of the card against the largest",
        short=("--json", "--side", "2048", "--rounds", "1"),
        long=("--json", "--side", "8192", "--models", "buildings-unet", "town-unet", "roads-unet", "solar-unet"),
    ),
    "peers": Benchmark(
        what="whole processes of geoseg; beside other programs with --environments",
        short=("--json", "--sides", "1024", "--no-int8"),
        long=("--json",),
    ),
    "store": Benchmark(what="the block store", short=("--side", "2048"), long=("--side", "8192")),
    "vectorise": Benchmark(what="polygons", short=("--size", "1024", "--repeat", "1"), long=("--size", "4096")),
    "view": Benchmark(
        what="tiles of geoseg view",
        short=("--json", "--side", "4096", "--tiles", "40"),
        long=("--json", "--side", "40960"),
    ),
    "crf": Benchmark(what="refinement by colour", short=("--side", "256"), long=("--side", "2048")),
    "panoptic": Benchmark(
        what="panoptic networks, and the quality of panoptic maps",
        short=("--json", "--side", "256", "--town-px", "384", "--rounds", "1", "--networks", "panoptic_unet"),
        long=("--json",),
    ),
    "merging": Benchmark(what="objects merged over tiles", short=("--side", "1024"), long=("--side", "2048")),
    "archive": Benchmark(
        what="many scenes", short=("--scenes", "2", "--side", "1024", "--looked-at", "1000"), long=("--scenes", "16")
    ),
    "train": Benchmark(
        what="training steps",
        short=("--size", "128", "--batch", "2", "--steps", "4", "--rounds", "1"),
        long=("--steps", "24", "--rounds", "4"),
    ),
}


def machine() -> dict[str, Any]:
    """Describe what the figures depend on besides the code."""
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "processors": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "load": list(os.getloadavg()),
        "versions": versions,
    }


def measure(name: str, arguments: tuple[str, ...]) -> dict[str, Any]:
    """Run one benchmark; a failure is part of the result."""
    wall, cpu = time.perf_counter(), _children_s()
    command = [sys.executable, str(_HERE / f"{name}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return {
        "arguments": list(arguments),
        "wall_s": round(time.perf_counter() - wall, 1),
        "cpu_s": round(_children_s() - cpu, 1),
        "exit_code": done.returncode,
        "results": _results(done.stdout),
        "errors": done.stderr.splitlines()[-5:] if done.returncode else [],
    }


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _results(printed: str) -> list[Any]:
    """Read JSON where a benchmark prints it, as a whole or line by line; other lines are kept as text."""
    try:
        return [json.loads(printed)]
    except ValueError:
        pass
    found: list[Any] = []
    for line in filter(None, map(str.rstrip, printed.splitlines())):
        try:
            found.append(json.loads(line))
        except ValueError:
            found.append(line)
    return found


def main() -> int:
    """Run the named benchmarks and print their results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+", choices=["all", *BENCHMARKS], metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    names = list(BENCHMARKS) if "all" in options.names else list(dict.fromkeys(options.names))
    report: dict[str, Any] = {"machine": machine(), "form": "long" if options.long else "short", "benchmarks": {}}
    for name in names:
        benchmark = BENCHMARKS[name]
        found = measure(name, benchmark.long if options.long else benchmark.short)
        report["benchmarks"][name] = found
        if not options.json:
            print(f"{name}: {benchmark.what} ({found['wall_s']} s, exit code {found['exit_code']})")
            for line in [*found["results"], *found["errors"]]:
                print(f"  {line if isinstance(line, str) else json.dumps(line)}")
    if options.json:
        print(json.dumps(report, indent=2))
    return int(any(found["exit_code"] for found in report["benchmarks"].values()))


if __name__ == "__main__":
    sys.exit(main())
