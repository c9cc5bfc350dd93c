"""Items of STAC: of a static catalogue or collection, local or over http, of an item collection, or of an API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit

from geoseg.archive.sources.config import StacSource
from geoseg.archive.sources.scene_names import name_of_address, name_of_item
from geoseg.archive.sources.scene_ref import SceneRef
from geoseg.archive.sources.stac_choice import ItemChoice, answers_filters
from geoseg.core.digest import sha256_of_json
from geoseg.core.types.json_value import JsonObject, UntypedMapping
from geoseg.errors import SceneError, UsageError
from geoseg.io.files.drivers import is_remote
from geoseg.io.files.http import leads_inside
from geoseg.io.files.json_document import read_document

_MAX_DEPTH = 32


def stac_scenes(source: StacSource, *, allow_remote: bool = False) -> Iterator[SceneRef]:
    """List the items of a STAC source, each once, in the order the source gives them.

    An item that cannot be read, or whose link is unsafe, is listed under its address, so that its failure is recorded;
    a catalogue that cannot be read is an error, since the missing items are unknown.

    Raises:
        SceneError: a catalogue or an API's response cannot be read.
        UsageError: the source is remote and that is not allowed.
    """
    if is_remote(source.path) and not allow_remote:
        raise UsageError(f"{source.path}: remote catalogues are not read by default. Set opening: allow_remote.")
    found = _Walk(source, allow_remote=allow_remote).start()
    yield from islice(found, source.max_items)


class _Walk:
    """One walk through a catalogue."""

    def __init__(self, source: StacSource, *, allow_remote: bool) -> None:
        self.source = source
        self.allow_remote = allow_remote
        self.start_uri = source.path if is_remote(source.path) else str(Path(source.path).absolute())
        self.seen: set[str] = set()
        self.choice = ItemChoice.of(source, allow_remote=allow_remote)
        self.filters = False

    def start(self) -> Iterator[SceneRef]:
        document = read_document(self.start_uri)
        search = _link(document, "search")
        if search is not None and "conformsTo" in document:
            self.filters = answers_filters(document)
            yield from self._asked(self.start_uri, search)
        else:
            yield from self._below(self.start_uri, document, 0)

    def _below(self, uri: str, document: JsonObject, depth: int) -> Iterator[SceneRef]:
        kind = document.get("type")
        if kind != "Feature":
            self.seen.add(uri)
        if kind == "FeatureCollection":
            yield from self._pages(uri, document)
        elif kind == "Feature":
            yield from self._item(uri, document)
        elif kind not in ("Catalog", "Collection") or depth > _MAX_DEPTH:
            cause = "catalogues are nested too deep" if depth > _MAX_DEPTH else f"it is not STAC (type: {kind!r})"
            raise SceneError(uri, f"{cause}.", "Give a catalogue, a collection, items or an API.")
        elif (items := _link(document, "items")) is not None:  # a collection of an API
            yield from self._asked(uri, items)
        else:
            yield from self._linked(uri, document, depth)

    def _linked(self, uri: str, document: JsonObject, depth: int) -> Iterator[SceneRef]:
        for link in _links(document):
            href, relation = str(link.get("href") or ""), link.get("rel")
            if relation == "child":
                target = self._allowed(uri, href)
                if target not in self.seen:
                    yield from self._below(target, read_document(target), depth + 1)
            elif relation == "item":
                try:
                    target = self._allowed(uri, href)
                except SceneError as error:
                    yield from self._astray(f"{uri}:", href, error)
                    continue
                try:
                    item = read_document(target)
                except SceneError:
                    yield SceneRef(name=name_of_address(target), uri=target)
                    continue
                yield from self._item(target, item)

    def _asked(self, uri: str, href: str) -> Iterator[SceneRef]:
        """Ask an API for the items that the source takes."""
        target = self._allowed(uri, _asking(href, self.choice.parameters(filters=self.filters)))
        yield from self._pages(target, read_document(target))

    def _pages(self, uri: str, page: JsonObject) -> Iterator[SceneRef]:
        """Iterate over the pages of an item list."""
        body: JsonObject = {}
        while True:
            features = page.get("features") or []
            if not isinstance(features, list):
                raise SceneError(uri, "its features are no list.", "Give a STAC item collection.")
            for item in features:
                if isinstance(item, dict):
                    yield from self._item_of_page(uri, item)
            following = next((link for link in _links(page) if link.get("rel") == "next"), None)
            if following is None:
                return
            target = self._allowed(uri, str(following.get("href") or ""))
            posted = str(following.get("method") or "GET").upper() == "POST"
            more = following.get("body") or {}
            if not isinstance(more, dict):
                raise SceneError(uri, "its next page is to be asked for with a body that is no object.")
            body = {**(body if following.get("merge") else {}), **more} if posted else {}
            mark = sha256_of_json([target, body])
            if mark in self.seen:
                raise SceneError(target, "the next page is one that was read already.", "Report it to its host.")
            self.seen.add(mark)
            uri, page = target, read_document(target, body if posted else None)

    def _item_of_page(self, uri: str, item: JsonObject) -> Iterator[SceneRef]:
        own = _link(item, "self")
        if own is None and not is_remote(uri):
            cause = f"item {item.get('id')} in it has no link to itself, so it cannot be opened by itself."
            raise SceneError(uri, cause, "Save the items as files of a catalogue.")
        if own is None:
            yield from self._item(f"{uri.partition('?')[0].rstrip('/')}/{item.get('id')}", item)
            return
        try:
            target = self._allowed(uri, own)
        except SceneError as error:
            if self.choice.takes(item):
                yield from self._astray(f"{uri}: item {item.get('id')}:", own, error)
            return
        yield from self._item(target, item)

    def _astray(self, where: str, href: str, error: SceneError) -> Iterator[SceneRef]:
        """List an item with an unsafe link; it is never opened."""
        address = repr(href)[1:-1]
        if address not in self.seen:
            self.seen.add(address)
            cause = f"it is not opened. {where} {error.cause} {error.cure}"
            yield SceneRef(name=name_of_address(address), uri=address, refused=cause)

    def _item(self, uri: str, item: UntypedMapping) -> Iterator[SceneRef]:
        if uri in self.seen or not self.choice.takes(item):
            return
        self.seen.add(uri)
        collection = item.get("collection")
        name = name_of_item(None if collection is None else str(collection), str(item.get("id") or "item"))
        time = (item.get("properties") or {}).get("datetime")
        stamp = _stamp(item) if is_remote(uri) else ""
        yield SceneRef(name=name, uri=uri, time=time if isinstance(time, str) else "", stamp=stamp)

    def _allowed(self, uri: str, href: str) -> str:
        """Resolve a link; links out of a local catalogue's folder, or to this machine, are refused."""
        refused = SceneError(uri, f"it links to {href[:200]!r}.", "Links must stay with the catalogue or be allowed.")
        if not href or "\0" in href:
            raise refused
        if is_remote(uri) or href.startswith(("http://", "https://")):
            try:
                target = urljoin(uri, href) if is_remote(uri) else href
                urlsplit(target)
            except ValueError as error:  # a malformed address, "http://[x"
                raise refused from error
            if not self.allow_remote or not target.startswith(("http://", "https://")):
                raise refused
            if leads_inside(target, self.start_uri):
                raise refused
            return target
        if is_remote(href) or href.startswith("file:"):
            raise refused
        path = (Path(uri).parent / href).resolve()
        if not path.is_relative_to(Path(self.start_uri).resolve().parent):
            raise refused
        return str(path)


def _links(document: JsonObject) -> list[JsonObject]:
    links = document.get("links")
    return [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []


def _link(document: JsonObject, relation: str) -> str | None:
    return next(
        (str(link["href"]) for link in _links(document) if link.get("rel") == relation and "href" in link), None
    )


def _asking(uri: str, parameters: Mapping[str, str]) -> str:
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(parameters)}"


def _stamp(item: UntypedMapping) -> str:
    """Digest of an item's properties and assets, without the signatures of their addresses."""
    assets = item.get("assets") or {}
    files = {
        key: {**asset, "href": str(asset.get("href")).partition("?")[0]}
        for key, asset in assets.items()
        if isinstance(asset, dict)
    }
    return sha256_of_json({"properties": item.get("properties"), "assets": files})
