"""Cases of outputs that stand in the way, of archives, and of machines that lack something."""

from __future__ import annotations

import json
import resource
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import command_case
import yaml
from command_case import Case, Ended, Law, Make, Place, final_files, run
from conftest import blobs
from file_cases import configuration
from made_inputs import (
    scene,
    served,
    write,
)
from scene_runs import (
    PREDICT,
    as_without_sidecars,
    both,
    hides,
    leaves_nothing,
    segments,
)

refused = partial(command_case.refused, command=PREDICT)
done = partial(command_case.done, command=PREDICT)


def first(place: Place, *more: str) -> None:
    """Run the command once."""
    write(place.folder / "input.tif")
    ended = run(Case(name="first", make=lambda _: None, code=0, command=(*PREDICT, *more)), place)
    assert ended.code == 0, ended.said


def twice(*more: str) -> Make:
    """An output that stands already, and its time of change."""

    def make(place: Place) -> None:
        first(place, *more)
        (place.folder / "stamp").write_text(str((place.out / "input" / "input_classes.tif").stat().st_mtime_ns))

    return make


def untouched(ended: Ended) -> None:
    """What stood there stands there still."""
    stamp = (ended.output() / "input_classes.tif").stat().st_mtime_ns
    assert (ended.place.folder / "stamp").read_text() == str(stamp)


def locked(place: Place) -> None:
    """An output whose GeoPackage is open, with a lock for reading, as QGIS holds it."""
    first(place)
    database = sqlite3.connect(place.out / "input" / "input_segments.gpkg")
    database.execute("begin")
    database.execute("select count(*) from gpkg_contents").fetchone()
    OPEN.append(database)


OPEN: list[sqlite3.Connection] = []


def replaced(ended: Ended) -> None:
    """The file under the name is the new one."""
    OPEN.pop().close()
    assert len(segments(ended)) > 0


def out_is(kind: str) -> Make:
    """A scene, and something under the name of the output."""

    def make(place: Place) -> None:
        write(place.folder / "input.tif")
        if kind == "file":
            place.out.write_text("mine")
        elif kind == "foreign":
            (place.out / "input").mkdir(parents=True)
            (place.out / "input" / "thesis.txt").write_text("mine")

    return make


def kept(name: str) -> Law:
    """A file of somebody's own is as it was."""

    def holds(ended: Ended) -> None:
        assert (ended.place.folder / name).read_text() == "mine"

    return holds


def rerun_succeeds(ended: Ended) -> None:
    """Nothing final is torn; without the limit the same command succeeds and leaves no part."""
    for name in final_files(ended.place.out):
        assert not name.endswith(".gpkg"), name
    again = run(Case(name="again", make=lambda _: None, code=0, command=PREDICT), ended.place)
    assert again.code == 0, again.said
    assert [name for name in final_files(ended.place.out) if name.endswith(".part")] == []


def archive_of(*bad: bytes) -> Make:
    """An archive of two good scenes and bad ones."""

    def make(place: Place) -> None:
        (place.folder / "input.yaml").write_text(yaml.safe_dump(configuration(place)))
        for name in ("one", "two"):
            write(place.folder / "source" / f"{name}.tif")
        for number, data in enumerate(bad):
            (place.folder / "source" / f"bad{number}.tif").write_bytes(data)

    return make


def two_are_done(ended: Ended) -> None:
    """The good scenes have maps and the bad one is named."""
    assert len(list(ended.place.out.rglob("*_classes.tif"))) == 2
    assert "bad0" in ended.said


def catalogue(text: str) -> Make:
    """An archive of a STAC catalogue."""

    def make(place: Place) -> None:
        source = {"kind": "stac", "path": str(place.folder / "catalog.json")}
        (place.folder / "input.yaml").write_text(yaml.safe_dump(configuration(place, source=source)))
        served(text, "catalog.json")(place)

    return make


def same_bytes(ended: Ended) -> None:
    """The layers are those of a run with the usual environment."""
    usual = Place(ended.place.folder / "usual", ended.place.model, ended.place.server)
    usual.folder.mkdir()
    write(usual.folder / "input.tif")
    other = run(Case(name="usual", make=lambda _: None, code=0, command=PREDICT), usual)
    assert other.code == 0, other.said
    for name in ("input_classes.tif", "input_confidence.tif", "input_segments.gpkg"):
        assert (usual.out / "input" / name).read_bytes() == (ended.output() / name).read_bytes(), name


def manifest(change: Callable[[Path], object]) -> Make:
    """A finished archive whose manifest is changed."""

    def make(place: Place) -> None:
        archive_of()(place)
        done = run(Case(name="first", make=lambda _: None, code=0, command=ARCHIVE), place)
        assert done.code == 0, done.said
        entries = [
            path for path in place.out.rglob("*.json") if ".geoseg" in path.parts and path.stem in {"one", "two"}
        ]
        assert entries
        for path in entries:
            change(path)

    return make


def both_done(ended: Ended) -> None:
    """Both scenes are there."""
    assert len(list(ended.place.out.rglob("*_classes.tif"))) == 2


ARCHIVE = ("archive", "run", "{folder}/input.yaml", "--quiet")


CATALOGUE = '{{"type": "Catalog", "id": "c", "stac_version": "1.0.0", "description": "", "links": [{}]}}'


OUTPUTS = (
    done("an output that stands already", twice(), "is found done and left alone", untouched, command=PREDICT),
    refused(
        "an output of other options",
        twice("--blend", "taper"),
        6,
        "--overwrite",
        "blend",
        command=PREDICT,
        promise="refused, exit code 6, what stood there stays",
        holds=untouched,
    ),
    refused(
        "a file under the name of the output folder",
        out_is("file"),
        2,
        "out",
        command=PREDICT,
        promise="refused, exit code 2, the file stays",
        holds=kept("out"),
    ),
    refused(
        "a folder of somebody's own under the name of the output",
        out_is("foreign"),
        6,
        "input",
        command=(*PREDICT, "--overwrite"),
        promise="refused, exit code 6, the folder stays",
        holds=kept("out/input/thesis.txt"),
    ),
    done(
        "a GeoPackage that is open elsewhere",
        locked,
        "is replaced by renaming",
        replaced,
        command=(*PREDICT, "--blend", "taper", "--overwrite"),
    ),
    refused(
        "files of at most 20 kB (RLIMIT_FSIZE)",
        scene(blobs((150, 150))),
        5,
        "input",
        command=PREDICT,
        limits={resource.RLIMIT_FSIZE: 20000},
        promise="exit code 5; without the limit the same command succeeds",
        holds=rerun_succeeds,
    ),
    refused(
        "the same with several threads",
        scene(blobs((150, 150))),
        5,
        "input",
        command=(*PREDICT, "--block-px", "64"),
        limits={resource.RLIMIT_FSIZE: 20000},
        env={"GDAL_NUM_THREADS": "4"},
        promise="exit code 5; without the limit the same command succeeds",
        holds=leaves_nothing,
    ),
    refused(
        "a damaged scene in an archive",
        archive_of(b"II*\x00\x08\x00\x00\x00@"),
        7,
        "bad0",
        command=ARCHIVE,
        promise="exit code 7; the others are done and the bad one is named",
        holds=two_are_done,
    ),
    *(
        done(
            f"a manifest {what}",
            manifest(change),
            "counts for nothing; the archive is whole again",
            both_done,
            command=ARCHIVE,
        )
        for what, change in (
            ("cut in the middle", lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])),
            ("of another version", lambda path: path.write_text(json.dumps({"version": 999}))),
        )
    ),
    refused("a STAC catalogue of wrong JSON", catalogue("{"), 3, "catalog.json", command=ARCHIVE),
    refused(
        "a STAC catalogue that is its own child",
        catalogue(CATALOGUE.format('{"rel": "child", "href": "./catalog.json"}')),
        3,
        "catalog.json",
        command=ARCHIVE,
        seconds=60,
    ),
    *(
        refused(
            f"a STAC catalogue whose item is `{href}`",
            catalogue(CATALOGUE.format(json.dumps({"rel": "item", "href": href}))),
            7,
            "catalog.json",
            "not opened",
            command=ARCHIVE,
        )
        for href in ("file:///etc/passwd", "http://169.254.169.254/item.json", "../../../../etc/passwd")
    ),
)


MACHINES = (
    done(
        "locale C, an odd time zone",
        scene(),
        "gives the same bytes",
        same_bytes,
        command=PREDICT,
        env={"LC_ALL": "C", "LANG": None, "TZ": "Pacific/Kiritimati"},
    ),
    done(
        "proxies and telemetry that nobody answers",
        scene(),
        "delay nothing",
        as_without_sidecars,
        command=PREDICT,
        env={"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"},
    ),
    done(
        "no `HOME`, no cache",
        scene(),
        "changes nothing",
        as_without_sidecars,
        command=PREDICT,
        env={"HOME": None, "GEOSEG_CACHE_DIR": "/proc/nowhere"},
    ),
    refused(
        "an address space of 1 GB",
        scene(),
        5,
        "memory",
        command=PREDICT,
        limits={resource.RLIMIT_AS: 10**9},
        promise="exit code 5 and a sentence",
        holds=leaves_nothing,
    ),
    *(
        refused(
            f"{number} open files",
            scene(),
            5,
            words,
            command=PREDICT,
            limits={resource.RLIMIT_NOFILE: number},
            promise="exit code 5, no statement that a database refused, and no file with a final name",
            holds=both(hides("CREATE TABLE"), leaves_nothing),
        )
        for number, words in ((9, "too many open files"), (11, "geoseg: error: "), (14, "geoseg: error: "))
    ),
)


CASES = {"Outputs and archives": OUTPUTS, "Machines": MACHINES}
