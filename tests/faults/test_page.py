"""The page of promises is made from its table."""

from __future__ import annotations

from reliability_page import PAGE, page


def test_the_page_of_promises_is_that_of_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python tests/faults/reliability_page.py"
