"""Fuzz the readers of ``fuzz_targets``: with atheris (guided by coverage) where it is installed, else by mutation.

usage: fuzz.py FOLDER SECONDS [TARGET...]

Each target runs in processes of its own. Inputs that end in anything but a documented refusal, kill the process or take
longer than 20 s are kept in FOLDER/found, one for each place in the code; FOLDER/totals.json counts executions.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

HANGS_S = 20
MEMORY_MB = 3000
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
INTERESTING = [b"", b"\0", b"\xff" * 4, b"-1", b"9" * 20, b"1e999", b"nan", b"null", b"[]", b"{}", b'""', b"../", b"\n"]
_TOKEN = re.compile(rb"[\w.+-]+")


def mutated(seeds: list[bytes], rng: random.Random) -> bytes:
    """Change a seed in one to six places: bits, bytes, numbers, words, pieces cut, doubled or taken from another."""
    content = bytearray(rng.choice(seeds))
    for _ in range(rng.choice([1, 1, 2, 3, 6])):
        place = rng.randrange(len(content) + 1)
        length = min(rng.choice([1, 2, 4, 8, 30, 300]), len(content) - place)
        words = [found.span() for found in _TOKEN.finditer(content[:20_000])]
        kind = rng.randrange(8)
        if kind == 0 and place < len(content):
            content[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            content[place : place + length] = rng.randbytes(length)
        elif kind == 2:
            del content[place : place + length]
        elif kind == 3:
            content[place:place] = content[place : place + length]
        elif kind == 4 and words:
            start, stop = rng.choice(words)
            content[start:stop] = rng.choice(INTERESTING)
        elif kind == 5:
            other = rng.choice(seeds)
            start = rng.randrange(len(other) + 1)
            content[place : place + length] = other[start : start + length]
        elif kind == 6 and len(words) > 1:
            (a, b), (c, d) = rng.sample(words, 2)
            content[a:b] = content[c:d]
        else:
            content[place : place + length] = rng.choice(INTERESTING)
    return bytes(content)


def where(error: BaseException) -> str:
    """A short name of the kind of an error and of the last line of ours that it passed."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/geoseg/" in f.filename]
    place = f"{Path(frames[-1].filename).stem}_{frames[-1].name}" if frames else "outside"
    return f"{type(error).__name__}_{place}"


class Attempts:
    """Tries inputs of one target, keeps those that end wrongly and counts all."""

    def __init__(self, name: str, folder: Path) -> None:
        from fuzz_targets import TARGETS

        self.target, self.folder, self.name = TARGETS[name], folder, name.replace(" ", "_")
        self.scratch = Path(tempfile.mkdtemp(prefix="fuzz", dir=MEMORY if MEMORY.is_dir() else None))
        self.seeds = self.target.seeds(self.scratch)
        self.executions = self.accepted = 0

    def __call__(self, content: bytes) -> None:
        from fuzz_targets import try_input

        (self.folder / "current").write_bytes(content)
        self.executions += 1
        try:
            self.accepted += try_input(self.target, self.scratch, content)
        except Exception as error:  # noqa: BLE001 - what it is for
            keep(self.folder.parents[1], self.name, where(error), content, traceback.format_exc())
        if self.executions % 200 == 0:
            self.count()

    def count(self) -> None:
        """Write down how many there were in this process."""
        text = json.dumps({"executions": self.executions, "accepted": self.accepted})
        (self.folder / f"{os.getpid()}.count").write_text(text)


def keep(folder: Path, name: str, what: str, content: bytes, told: str) -> None:
    """Keep the shortest input of a kind."""
    file = folder / "found" / f"{name}.{re.sub(r'[^A-Za-z0-9_]', '_', what)[:90]}"
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists() or file.stat().st_size > len(content):
        file.write_bytes(content)
        file.with_name(file.name + ".told").write_text(told)


def fuzz(name: str, folder: Path, seconds: float, seed: int) -> NoReturn:
    """Fuzz one target until the time is over or the process dies."""
    try:
        import atheris  # type: ignore[import-not-found]

        with atheris.instrument_imports(include=["geoseg.io", "geoseg.archive.sources"]):
            import fuzz_targets
    except ImportError:
        import fuzz_targets

        atheris = None
    fuzz_targets.quiet()
    attempts = Attempts(name, folder)
    for content in attempts.seeds:
        attempts(content)
    if attempts.accepted == 0:
        sys.exit(f"{name}: no seed is accepted")
    if atheris is not None and seed % 2:
        corpus = folder / "corpus"
        corpus.mkdir(exist_ok=True)
        for content in attempts.seeds:
            (corpus / hashlib.sha256(content).hexdigest()[:20]).write_bytes(content)
        limits = [
            f"-max_total_time={int(seconds)}",
            f"-timeout={HANGS_S}",
            f"-rss_limit_mb={MEMORY_MB}",
            "-max_len=65536",
        ]
        atheris.Setup([sys.argv[0], str(corpus), f"-seed={seed}", f"-artifact_prefix={folder}/", *limits], attempts)
        _loop(atheris.Fuzz, attempts)
    rng, end = random.Random(seed), time.monotonic() + seconds  # noqa: S311
    while time.monotonic() < end:
        signal.alarm(HANGS_S)
        attempts(mutated(attempts.seeds, rng))
    attempts.count()
    os._exit(0)


def _loop(run: Callable[[], None], attempts: Attempts) -> NoReturn:
    try:
        run()
    finally:
        attempts.count()
    os._exit(0)


def watch(name: str, folder: Path, seconds: float) -> None:
    """Start processes that fuzz a target, again after each death, until the time is over."""
    place = folder / "work" / name.replace(" ", "_")
    place.mkdir(parents=True, exist_ok=True)
    end, seed = time.monotonic() + seconds, int.from_bytes(os.urandom(3))
    while (left := end - time.monotonic()) > 2:
        seed += 1
        command = [sys.executable, __file__, "--child", name, str(place), str(min(left, seconds / 2)), str(seed)]
        with (place / "log").open("wb") as log:
            code = subprocess.run(command, stdout=log, stderr=log).returncode
        told = (place / "log").read_bytes()[-4000:].decode(errors="replace")
        if code != 0:
            how = "hangs" if code in (-signal.SIGALRM, 70) else f"dies_{code}"
            current = place / "current"
            keep(folder, place.name, how, current.read_bytes() if current.exists() else b"", told)
            time.sleep(1)


def main() -> None:
    """Fuzz the targets in turn."""
    if sys.argv[1] == "--child":
        fuzz(sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
    from fuzz_targets import TARGETS

    folder, seconds, names = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:] or list(TARGETS)
    begun = time.monotonic()
    for name in names:
        watch(name, folder, seconds / len(names))
        totals = {place.name: _sum(place) for place in sorted((folder / "work").iterdir())}
        totals["seconds"] = {"this run": round(time.monotonic() - begun)}
        (folder / "totals.json").write_text(json.dumps(totals, indent=1))


def _sum(place: Path) -> dict[str, int]:
    counts = [json.loads(file.read_text()) for file in place.glob("*.count")]
    return {key: sum(count[key] for count in counts) for key in ("executions", "accepted")}


if __name__ == "__main__":
    main()
