"""Whole processes: wall clock, processor time, memory, and how much of the machine others used meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_SAMPLED_S = 0.1


def measure(command: Sequence[str], env: Mapping[str, str], log: Path, timeout_s: float) -> dict[str, Any]:
    """Run a command to its end. Linux only.

    Args:
        command: program and arguments.
        env: its environment.
        log: file that receives what it prints.
        timeout_s: it is ended after so many seconds.

    Returns:
        ``wall_s``; ``cpu_s`` of it and its children; ``peak_mb``, the largest sum of the resident memory of all its
        processes, sampled; ``others``, processors that other programs kept busy meanwhile; ``exit_code``.
    """
    cpus, start = os.sched_getaffinity(0), time.perf_counter()
    busy = _busy_s()
    with log.open("w") as printed:
        process = subprocess.Popen(command, env=env, stdout=printed, stderr=subprocess.STDOUT, start_new_session=True)
    ended, peaks = threading.Event(), [0]
    sampler = threading.Thread(target=_sample, args=(process.pid, ended, peaks))
    timer = threading.Timer(timeout_s, _end, args=(process.pid,))
    sampler.start()
    timer.start()
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    timer.cancel()
    ended.set()
    sampler.join()
    cpu_s = used.ru_utime + used.ru_stime
    others = (_busy_s() - busy - cpu_s) / wall_s
    return {
        "wall_s": round(wall_s, 2),
        "cpu_s": round(cpu_s, 2),
        "peak_mb": round(max(peaks[0], used.ru_maxrss * 1024) / 1e6),
        "others": round(max(0.0, others), 2),
        "processors": len(cpus),
        "exit_code": process.returncode,
    }


def _end(group: int) -> None:
    os.killpg(group, signal.SIGKILL)


def _busy_s() -> float:
    """Seconds of work of all processors since the machine started."""
    user, nice, system, _idle, _wait, irq, soft, *_ = (
        int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + soft) / _TICK


def _sample(session: int, ended: threading.Event, peaks: list[int]) -> None:
    while not ended.wait(_SAMPLED_S):
        peaks[0] = max(peaks[0], sum(_resident(int(path.name), session) for path in Path("/proc").glob("[0-9]*")))


def _resident(pid: int, session: int) -> int:
    """Resident memory of a process of the session, in bytes; 0 for others."""
    try:
        if os.getsid(pid) != session:
            return 0
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):  # it ended meanwhile
        return 0
