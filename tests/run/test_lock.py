"""The lock: one holder at a time, whoever comes and goes; a dead one's is free; nothing is left."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from geoseg.errors import OutputError, UsageError
from geoseg.io.files import output_lock as lock_module
from geoseg.io.files.file_lock import lock_file
from geoseg.io.files.output_lock import locked, remove_free_locks


def test_it_is_held_and_then_gone(tmp_path: Path) -> None:
    path = tmp_path / ".scene.lock"
    with locked(path):
        with pytest.raises(OutputError, match=rf"scene: locked by pid {os.getpid()}"), locked(path):
            pass
        assert path.exists()
    assert not path.exists()


def test_the_lock_of_a_dead_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / ".scene.lock"
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom geoseg.io.files.output_lock import locked\n"
        "with locked(Path(sys.argv[1])): os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)]).returncode == 9
    assert path.exists()
    with locked(path):
        pass


def test_locks_that_nobody_holds_are_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".left.lock").write_text("pid 4000000 on elsewhere")
    (tmp_path / ".empty.lock").touch()
    (tmp_path / ".notes.lock").write_text("mine")
    (tmp_path / ".link.lock").symlink_to(tmp_path / ".left.lock")
    (tmp_path / ".folder.lock").mkdir()
    with locked(tmp_path / ".held.lock"):
        remove_free_locks(tmp_path)
        left = {path.name for path in tmp_path.iterdir()}
    assert left == {".notes.lock", ".empty.lock", ".link.lock", ".folder.lock", ".held.lock"}, (
        "an empty one has no name"
    )


def test_a_lock_file_that_its_holder_removed_in_between_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ".scene.lock"
    real, opened = os.open, []

    def open_and_lose(*arguments: object) -> int:
        handle = real(*arguments)  # type: ignore[arg-type]
        opened.append(handle)
        if len(opened) == 1:
            path.unlink()  # the former holder leaves between our open and our lock
        return handle

    monkeypatch.setattr(lock_module.os, "open", open_and_lose)
    with locked(path):
        monkeypatch.undo()
        assert len(opened) == 2
        with pytest.raises(OutputError), locked(path):
            pass


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--out"), locked(tmp_path / "file" / ".scene.lock"):
        pass


def test_what_a_link_leads_to_is_never_changed(tmp_path: Path) -> None:
    target = tmp_path / "notes"
    target.write_text("mine")
    path = tmp_path / ".scene.lock"
    path.symlink_to(target)
    with pytest.raises(OutputError, match=r"\.scene\.lock: a link .* Remove it"), locked(path):
        pass
    assert target.read_text() == "mine"
    assert path.is_symlink()


def test_the_holder_stands_in_the_file_before_the_lock_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, texts, real = tmp_path / ".scene.lock", [], lock_module._is_at

    def seen(handle: int, name: Path) -> bool:
        texts.append(path.read_text())
        return real(handle, name)

    monkeypatch.setattr(lock_module, "_is_at", seen)
    with locked(path):
        assert texts == [f"pid {os.getpid()} on {socket.gethostname()}"]


def test_a_free_lock_that_was_made_again_by_another_run_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ".scene.lock"
    path.write_text(f"pid {2**22 + 1} on {socket.gethostname()}")

    def late(handle: int) -> None:  # the file that was opened is gone, and another run holds one of the same name
        path.unlink()
        path.write_text("pid 1 on elsewhere")
        lock_file(handle)

    monkeypatch.setattr(lock_module, "lock_file", late)
    remove_free_locks(tmp_path)
    assert path.read_text() == "pid 1 on elsewhere"


@pytest.mark.parametrize("text", ["", f"pid {2**22 + 1} on {socket.gethostname()}"])
def test_a_lock_that_is_held_for_a_moment_by_who_removes_free_ones_stops_no_run(text: str, tmp_path: Path) -> None:
    path = tmp_path / ".scene.lock"
    path.write_text(text)
    handle = os.open(path, os.O_RDWR)
    lock_file(handle)
    threading.Timer(0.07, os.close, [handle]).start()
    with locked(path):
        assert f"pid {os.getpid()} on" in path.read_text()


def test_a_lock_whose_holder_gives_no_name_is_not_waited_for_long(tmp_path: Path) -> None:
    path = tmp_path / ".scene.lock"
    path.touch()
    handle = os.open(path, os.O_RDWR)
    lock_file(handle)
    start = time.monotonic()
    with pytest.raises(OutputError, match="locked by another run"), locked(path):
        pass
    os.close(handle)
    assert 0.15 <= time.monotonic() - start < 2
