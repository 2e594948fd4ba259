"""Studies that come with the package, in YAML; `pointlift.study` says what that means."""

from __future__ import annotations

from functools import cache
from importlib import resources

from pointlift.recipes import mapping

SUFFIX = ".yaml"


@cache
def shipped() -> dict[str, str]:
    """The studies that come with the package, sorted: name to what it is, in a line."""
    return {name: str(mapping(f"studies/{name}", text).get("summary", "")) for name, text in sorted(texts().items())}


@cache
def texts() -> dict[str, str]:
    """The YAML of every shipped study by name."""
    return {
        file.name.removesuffix(SUFFIX): file.read_text(encoding="utf-8")
        for file in resources.files(__name__).iterdir()
        if file.name.endswith(SUFFIX)
    }
