"""Write the software bill of materials of the installed geoseg as CycloneDX JSON: what it needs, with licences.

usage: sbom.py FILE    (it is run in geoseg's own environment; the same environment gives the same bytes)

What only developers or the documentation need is left out.

Source:
    CycloneDX 1.5, https://cyclonedx.org/docs/1.5/json/; package URLs, https://github.com/package-url/purl-spec.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

_NOT_FOR_USERS = {"dev", "docs"}
"""Extras that nobody needs who runs the package."""


def plain(name: str) -> str:
    """The name by which a package is known, whatever way it is written."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(root: str) -> dict[str, tuple[Distribution, list[str]]]:
    """All installed packages that one needs, with its extras for users, each with those it needs itself."""
    found: dict[str, tuple[Distribution, list[str]]] = {}
    extras: dict[str, set[str]] = {}
    waiting: list[tuple[str, set[str]]] = [(plain(root), set())]
    while waiting:
        name, more = waiting.pop()
        if name in found and more <= extras[name]:
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:  # of an extra, or of another system
            continue
        own = set(package.metadata.get_all("Provides-Extra") or []) - _NOT_FOR_USERS if name == plain(root) else set()
        extras[name] = extras.get(name, set()) | more | own
        asked = list(requirements(package, extras[name]))
        found[name] = package, sorted({plain(one.name) for one in asked} - {name})
        waiting += [(plain(one.name), one.extras) for one in asked]
    return found


def requirements(package: Distribution, extras: set[str]) -> Iterator[Requirement]:
    """What a package requires on this system, alone or with one of its extras."""
    for text in package.requires or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *sorted(extras))):
            yield requirement


def licences(package: Distribution) -> list[dict[str, Any]]:
    """What a package says of its licence: an SPDX expression, or its classifiers, or its own words."""
    facts = package.metadata
    expression = facts.get("License-Expression")
    if expression:
        return [{"expression": expression}]
    marked = [text.rpartition(" :: ")[2] for text in facts.get_all("Classifier") or [] if text.startswith("License ::")]
    words = marked or [line for line in (facts.get("License") or "").strip().splitlines()[:1] if line]
    return [{"license": {"name": word[:200]}} for word in words]


def component(name: str, package: Distribution) -> dict[str, Any]:
    """One package."""
    return {
        "type": "library",
        "bom-ref": f"pkg:pypi/{name}@{package.version}",
        "name": name,
        "version": package.version,
        "purl": f"pkg:pypi/{name}@{package.version}",
        **({"licenses": found} if (found := licences(package)) else {}),
    }


def bill(root: str = "geoseg") -> dict[str, Any]:
    """Make the bill of a package."""
    packages = needed(root)
    refs = {name: f"pkg:pypi/{name}@{package.version}" for name, (package, _) in packages.items()}
    parts = {name: component(name, package) for name, (package, _) in sorted(packages.items())}
    own = parts.pop(plain(root)) | {"type": "application"}
    links = [
        {"ref": refs[name], "dependsOn": sorted(refs[other] for other in others if other in refs)}
        for name, (_, others) in sorted(packages.items())
    ]
    content = {"metadata": {"component": own}, "components": list(parts.values()), "dependencies": links}
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.5", "serialNumber": f"urn:uuid:{number}", "version": 1}
    return head | content


def main() -> None:
    """Write the bill."""
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(bill(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
