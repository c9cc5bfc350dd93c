"""Let every call of the small runs fail, with each error, and keep count: hours, which may be interrupted and resumed.

usage: whole_sweep.py FOLDER [KIND...]   (kinds: calls, calls_swapped, full_disks, short_writes)

Each fault that was injected is a line of FOLDER/faults.jsonl and is not injected again; FOLDER/totals.json counts them
and lists what was wrong.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[1:1] = [str(HERE.parent), str(HERE)]

from conftest import write_tiny_model  # noqa: E402 - found by the path above
from injection import Fault, FaultServer, build, why_not  # noqa: E402
from small_runs import small_runs  # noqa: E402
from sweeps import CASES, Sweep, every_call, full_disks, short_writes  # noqa: E402

KINDS: dict[str, Callable[[int], Iterable[Fault]]] = {
    "calls": every_call,
    "calls_swapped": lambda calls: every_call(calls, swapped=True),
    "full_disks": lambda calls: full_disks(calls, 5),
    "short_writes": lambda calls: short_writes(calls, 5),
}


def lines(log: Path) -> list[dict[str, Any]]:
    """Read what was injected before."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Count the faults of each run and kind, and list what was wrong."""
    counts: Counter[str] = Counter()
    for line in found:
        counts[f"{line['run']}, {line['kind']}: of {line['calls']} calls"] += line["injected"] > 0
    wrong = [line for line in found if line["wrong"]]
    return {"injected": sum(counts.values()), "each": dict(sorted(counts.items())), "wrong": wrong}


def main() -> None:
    """Inject all that is left."""
    if (reason := why_not()) is not None:
        sys.exit(reason)
    folder, kinds = Path(sys.argv[1]), sys.argv[2:] or list(KINDS)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "faults.jsonl"
    done = {(line["run"], line["kind"], line["nth"]) for line in lines(log)}
    with tempfile.TemporaryDirectory(prefix="sweep", ignore_cleanup_errors=True) as made:
        scratch = Path(made)
        runs = small_runs(scratch, write_tiny_model(scratch / "tiny.safetensors"))
        with FaultServer(scratch, build(scratch)) as server, log.open("a") as written:
            for run in runs.values():
                run.clear()
                server.warm(run.argv)
            for kind in kinds:
                for name, replacing in CASES:
                    label = f"{name}{' replacing' if replacing else ''}"
                    sweep = Sweep(server, runs[name], scratch, replacing=replacing)
                    for fault in KINDS[kind](sweep.calls):
                        if (label, kind, fault.nth) in done:
                            continue
                        begun, before = time.monotonic(), sweep.injected
                        line = {"run": label, "kind": kind, "nth": fault.nth, "calls": sweep.calls}
                        line |= {"wrong": sweep.faults([fault]), "injected": sweep.injected - before}
                        line["seconds"] = round(time.monotonic() - begun, 1)
                        print(json.dumps(line), file=written, flush=True)
                    (folder / "totals.json").write_text(json.dumps(summary(lines(log)), indent=1))


if __name__ == "__main__":
    main()
