"""A written file is whole under its final name, or the target is as it was before."""

import errno
import json
import logging
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import rasterio
import torch
from hypothesis import given
from hypothesis import strategies as st

from geoseg.errors import SceneError, WriteError
from geoseg.io.files import writing
from geoseg.io.files.writing import (
    all_or_none,
    is_part,
    library_writes,
    read_errors_handled,
    reap_parts,
    scratch_file,
    whole_file,
    write_bytes,
    write_json,
)


def test_a_finished_file_has_its_name_and_nothing_else_is_left(tmp_path):
    with whole_file(tmp_path / "a b%20é\n.bin") as part:
        assert part.parent == tmp_path
        assert part.name.endswith(".part")
        part.write_bytes(b"whole")
        part.with_name(part.name + "-journal").write_bytes(b"left behind by a driver")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a b%20é\n.bin", b"whole")]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, RuntimeError])
def test_what_is_not_the_disks_fault_passes_unchanged_and_leaves_the_old_file(tmp_path, error):
    target = tmp_path / "x"
    target.write_bytes(b"old")
    with pytest.raises(error), whole_file(target) as part:  # noqa: PT012 - the body fails
        part.write_bytes(b"new")
        raise error
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


def test_our_own_errors_pass_unchanged(tmp_path):
    with pytest.raises(SceneError, match="it is torn"), whole_file(tmp_path / "x"):
        raise SceneError("scene.tif", "it is torn")


def test_a_full_disk_is_told_with_file_cause_and_room(tmp_path):
    with pytest.raises(WriteError) as caught, whole_file(tmp_path / "x.tif", size_bytes=3_500_000):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    message = str(caught.value)
    assert "x.tif" in message
    assert "No space left on device" in message
    assert "up to 3.5 MB are needed" in message
    assert re.search(r"[\d.]+ [kMGT]B are free", message)
    assert "\n" not in message
    assert caught.value.exit_code == 5


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(WriteError, match="cannot be reached"):
        write_bytes(tmp_path / "gone" / "x", b"1")


def test_a_part_that_fails_its_check_never_takes_the_name(tmp_path):
    def verify(part):
        raise OSError(f"{part.read_bytes()!r} is not what was written")

    with pytest.raises(WriteError, match="not what was written"), whole_file(tmp_path / "x", verify=verify) as part:
        part.write_bytes(b"torn")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("nth", range(8))
def test_old_or_new_whichever_call_fails(tmp_path, monkeypatch, nth):
    target = tmp_path / "x.json"
    write_json(target, "old")
    calls = iter(range(100))

    def failing(function):
        def call(*args, **kwargs):
            if next(calls) == nth:
                raise OSError(errno.EIO, "Input/output error")
            return function(*args, **kwargs)

        return call

    for name in ("open", "fsync", "replace", "close"):
        monkeypatch.setattr(writing.os, name, failing(getattr(os, name)))
    try:
        write_json(target, "new")
        told = None
    except WriteError as error:
        told = str(error)
    monkeypatch.undo()
    assert json.loads(target.read_text()) in ("old", "new")
    assert (told is None) == (json.loads(target.read_text()) == "new")
    assert told is None or "x.json" in told
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_the_rename_comes_after_the_files_fsync_and_before_the_folders(tmp_path, monkeypatch):
    seen = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        writing.os, "fsync", lambda fd: (seen.append(Path(f"/proc/self/fd/{fd}").resolve().name), fsync(fd))[1]
    )
    monkeypatch.setattr(writing.os, "replace", lambda a, b: (seen.append("rename"), replace(a, b))[1])
    write_bytes(tmp_path / "x", b"1")
    assert [re.sub(r"\d+", "N", name) for name in seen[:2]] == ["x.N.part", "rename"]
    assert seen[2] == tmp_path.name


@pytest.mark.parametrize("number", [errno.EIO, errno.EINVAL, errno.EACCES])
@pytest.mark.parametrize("call", ["open", "fsync"])
def test_a_file_that_has_its_name_is_written_though_its_folder_cannot_be_synced(
    tmp_path, monkeypatch, caplog, call, number
):
    """Some file systems cannot sync folders; of a disk that fails there is a word, and the file stands whole."""
    original = getattr(os, call)

    def failing(what, *rest):
        folder = Path(what if call == "open" else f"/proc/self/fd/{what}").resolve() == tmp_path
        if folder:
            raise OSError(number, os.strerror(number))
        return original(what, *rest)

    monkeypatch.setattr(writing.os, call, failing)
    write_bytes(tmp_path / "x", b"new")
    monkeypatch.undo()
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"x": b"new"}
    assert [message for message in caplog.messages if "x: is written" in message] == caplog.messages
    assert len(caplog.messages) == (number == errno.EIO)


def test_gdal_errors_that_are_only_logged_are_raised(tmp_path):
    log = logging.getLogger("rasterio._env")
    with pytest.raises(WriteError, match="Write error at scanline 7"), whole_file(tmp_path / "x") as part:  # noqa: PT012 - the body fails
        part.write_bytes(b"torn")
        log.info("GDAL signalled an error: err_no=%r, msg=%r", 1, "TIFFAppendToStrip:Write error at scanline 7")
    assert not list(tmp_path.iterdir())


def test_the_trap_leaves_logging_as_it_was(tmp_path, caplog):
    log = logging.getLogger("rasterio._env")
    before = log.level, list(log.filters), log.isEnabledFor(logging.INFO)
    with whole_file(tmp_path / "x") as part, whole_file(tmp_path / "y") as other:
        part.write_bytes(b"1")
        other.write_bytes(b"2")
        log.info("an aside that nobody asked to see")
        log.warning("a warning that all may see")
    assert (log.level, list(log.filters), log.isEnabledFor(logging.INFO)) == before
    assert caplog.messages == ["a warning that all may see"]


def test_rasterios_own_errors_become_write_errors(tmp_path):
    with pytest.raises(WriteError, match="No such file"), whole_file(tmp_path / "x") as part, rasterio.open(part):
        pass


def test_parts_of_dead_runs_are_reaped_and_those_of_living_runs_are_not(tmp_path):
    dead = 2**22 + 1  # above the kernel's highest process number
    names = [f"x.tif.{dead}.part", f"x.tif.{dead}.part.ovr", f"x.tif.tiles.{dead}.part", f"x.tif.{os.getppid()}.part"]
    for name in [*names, f"other.tif.{dead}.part", "x.tif.part", "x.tif"]:
        (tmp_path / name).write_bytes(b"1")
    write_bytes(tmp_path / "x.tif", b"2")
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {"x.tif", "x.tif.part", f"x.tif.{os.getppid()}.part", f"other.tif.{dead}.part"}
    reap_parts(tmp_path)
    assert f"other.tif.{dead}.part" not in {p.name for p in tmp_path.iterdir()}


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("error", [WriteError, KeyboardInterrupt])
def test_of_several_files_all_are_written_or_none(tmp_path, monkeypatch, error, links):
    def no_links(*_, **__):
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    old, new, never = (tmp_path / name for name in ("old", "new", "never"))
    old.write_bytes(b"1")
    with pytest.raises(error), all_or_none([old, new, never]):  # noqa: PT012 - the body fails
        write_bytes(new, b"2")
        write_bytes(old, b"2")
        raise error
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"old": b"1" if links else b"2"}
    with all_or_none([old, new]):
        write_bytes(new, b"3")
        write_bytes(old, b"3")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"old": b"3", "new": b"3"}


def test_a_scratch_file_is_gone_whatever_happens(tmp_path):
    with pytest.raises(ZeroDivisionError), scratch_file(tmp_path / "x.tif") as scratch:  # noqa: PT012 - the body fails
        scratch.write_bytes(b"1")
        scratch.with_name(scratch.name + ".ovr").write_bytes(b"1")
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_json_refuses_what_json_lacks(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"score": float("nan")})
    assert not list(tmp_path.iterdir())


@given(value=st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_json_reads_back_equal(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "x.json"
    write_json(path, value)
    assert json.loads(path.read_bytes().decode("utf-8", "surrogateescape")) == value


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("becomes", [None, OSError, SceneError])
def test_an_interruption_that_c_code_drops_or_turns_into_an_error_is_raised_all_the_same(tmp_path, number, becomes):
    class Stop(BaseException):
        pass

    def stop(*_):
        raise Stop

    before = signal.signal(number, stop)
    try:
        with pytest.raises(Stop), whole_file(tmp_path / "x") as part:  # noqa: PT012 - the body fails
            part.write_bytes(b"1")
            with suppress(Stop):
                signal.raise_signal(number)
            if becomes is not None:
                raise becomes("get_next of the stream failed", "")
        assert signal.getsignal(number) is stop
    finally:
        signal.signal(number, before)
    assert not list(tmp_path.iterdir())


def test_a_handler_for_the_second_signal_stays(tmp_path):
    def second(*_):
        raise ZeroDivisionError

    def first(*_):
        signal.signal(signal.SIGTERM, second)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, first)
    try:
        with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "x"):
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is second
    finally:
        signal.signal(signal.SIGTERM, before)


def test_files_are_written_in_any_thread(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(write_bytes, tmp_path / "x", b"1").result()
    assert (tmp_path / "x").read_bytes() == b"1"


def test_a_part_that_could_not_be_removed_is_reaped_by_the_next_write_of_the_same_process(tmp_path, monkeypatch):
    def stuck(self, **_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", stuck)
        write_bytes(tmp_path / "x", b"1")
        with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "x") as part:  # noqa: PT012 - the body fails
            part.write_bytes(b"2")
            raise ZeroDivisionError
    assert [is_part(p.name) for p in sorted(tmp_path.iterdir())] == [False, True]
    with whole_file(tmp_path / "y") as other:
        other.write_bytes(b"3")
        reap_parts(tmp_path)
        assert other.exists(), "a part in use is not reaped"
    reap_parts(tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"x": b"1", "y": b"3"}


def test_the_check_reads_what_the_disk_has(tmp_path, monkeypatch):
    """The part is synced before it is checked, and the kernel is told to forget its own copy."""
    seen = []
    fsync = os.fsync
    monkeypatch.setattr(writing.os, "fsync", lambda fd: (seen.append("fsync"), fsync(fd))[1])
    monkeypatch.setattr(writing.os, "posix_fadvise", lambda *call: seen.append(call[3]))
    with whole_file(tmp_path / "x", verify=lambda _: seen.append("verify")) as part:
        part.write_bytes(b"1")
    assert seen == ["fsync", os.POSIX_FADV_DONTNEED, "verify", "fsync"]


@pytest.mark.parametrize("error", [RecursionError("too deep"), NotImplementedError("no such operator"), MemoryError()])
def test_only_what_a_writer_reports_without_a_kind_is_a_failing_disk(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, library_writes():
        raise error
    assert raised.value is error


def test_a_network_that_needs_more_memory_than_there_is_is_no_full_disk() -> None:
    with pytest.raises(torch.OutOfMemoryError), library_writes():
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_full_disk_that_a_library_s_writer_reports_is_an_error_of_the_system() -> None:
    with (
        pytest.raises(OSError, match="the disk is full or fails: inline_container.cc: unexpected pos"),
        library_writes(),
    ):
        raise RuntimeError("inline_container.cc:\n unexpected pos")


def _read_damaged(folder: Path) -> None:
    with pytest.raises(rasterio.RasterioIOError):
        rasterio.open(folder / "damaged.tif")


def test_a_damaged_file_that_is_read_on_the_way_is_no_failure_of_the_file_that_is_written(tmp_path: Path) -> None:
    (tmp_path / "damaged.tif").write_bytes(b"II*\0")
    with whole_file(tmp_path / "target") as part:
        part.write_bytes(b"1")
        for _ in range(2):
            with read_errors_handled():
                _read_damaged(tmp_path)
    with pytest.raises(WriteError, match="TIFF header"), whole_file(tmp_path / "target"):
        _read_damaged(tmp_path)
    assert (tmp_path / "target").read_bytes() == b"1"
