"""Names of scenes: one path, one name, whatever else is in the archive; two paths, two names."""

from __future__ import annotations

from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from geoseg.archive.report.catalogue import FOLDER
from geoseg.archive.sources.scene_names import name_of_address, name_of_item, name_of_path
from geoseg.io.publish.bundle import Bundle, longest_stem

parts = st.text(st.sampled_from("ab-./_é \n%") | st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=12)
plain = st.from_regex(r"[a-z0-9][a-z0-9_]{0,7}", fullmatch=True)
paths = st.builds(
    lambda folders, file, suffix: "/".join([*folders, file + suffix]),
    st.lists(parts.filter(lambda part: "/" not in part), max_size=3),
    parts.filter(lambda part: "/" not in part),
    st.sampled_from([".tif", ".tiff", ".jp2", ".TIF", ""]),
)


@given(st.lists(paths, unique=True, min_size=2, max_size=8))
@example(["a--b.tif", "a/b.tif"])
@example(["a-/b.tif", "a/-b.tif"])
@example(["a.tif", "a.jp2", "a.TIF", "a"])
@example(["a.tif.tif", "a.tif"])
@example(["a b.tif", "a_b.tif"])
def test_two_paths_never_share_a_name(several: list[str]) -> None:
    assert len({name_of_path(path) for path in several}) == len(several)


@given(paths)
@example("-x.tif")
@example("_catalogue.tif")
@example("a-0123456789ab.tif")
def test_a_name_is_a_folder_that_can_be_made(path: str) -> None:
    name = name_of_path(path)
    assert name.isascii(), "a link to it needs no escapes"
    assert "/" not in name
    assert "\0" not in name
    assert not name.startswith((".", "-"))
    assert len(name.encode()) <= longest_stem()
    assert Bundle.in_folder(Path("out"), name).stem == name
    assert name != FOLDER


@given(st.lists(plain, min_size=1, max_size=4))
def test_a_plain_path_is_its_own_name(folders: list[str]) -> None:
    assert name_of_path("/".join(folders) + ".tif") == "--".join(folders)


def test_a_digest_in_a_name_cannot_be_forged() -> None:
    forged = name_of_path("a b.tif")
    assert name_of_path(f"{forged}.tif") != forged


@given(st.tuples(st.none() | parts, parts), st.tuples(st.none() | parts, parts))
@example(("a", "b--c"), ("a--b", "c"))
@example((None, "a--b"), ("a", "b"))
def test_two_items_never_share_a_name(one: tuple[str | None, str], other: tuple[str | None, str]) -> None:
    assert (name_of_item(*one) == name_of_item(*other)) == (one == other)


def test_addresses_of_one_file_name_differ() -> None:
    one, other = (name_of_address(f"https://host/{folder}/scene.tif?token=1") for folder in "ab")
    assert one.startswith("scene-")
    assert one != other
