"""Every row of the table, by the real command in a process with limits: its exit code, its words, what it leaves."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from all_cases import CASES
from command_case import Case, Place, check, run


class Asked(http.server.BaseHTTPRequestHandler):
    """Keeps what it is asked for."""

    requests: list[str]

    def do_GET(self) -> None:
        self.requests.append(self.path)
        self.send_error(404)

    do_HEAD = do_GET  # noqa: N815 - the name that the library looks for

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def asked() -> Iterator[tuple[str, list[str]]]:
    """Address of a server on this machine, and what it is asked for."""
    requests: list[str] = []
    handler = type("Handler", (Asked,), {"requests": requests})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", requests
        server.shutdown()


def survives(case: Case, model: Path, folder: Path, asked: tuple[str, list[str]]) -> None:
    """Run a case in a folder of its own; no case may ask the server."""
    place = Place(folder / "place", model, asked[0])
    place.folder.mkdir()
    case.make(place)
    check(case, run(case, place))
    assert asked[1] == []


def names(case: Case) -> str:
    return case.name.encode("unicode_escape").decode()[:80]


@pytest.mark.parametrize("case", [case for case in CASES if case.quick], ids=names)
def test_a_command_ends_as_promised(case: Case, tiny_model: Path, tmp_path: Path, asked: tuple[str, list[str]]) -> None:
    survives(case, tiny_model, tmp_path, asked)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if not case.quick], ids=names)
def test_every_command_ends_as_promised(
    case: Case, tiny_model: Path, tmp_path: Path, asked: tuple[str, list[str]]
) -> None:
    survives(case, tiny_model, tmp_path, asked)


def test_no_two_cases_have_one_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
