"""What every shipped recipe said before variants shared files: a checksum of its resolved values, for each name.

``recipes.json`` was made once, by ``python -m tests.frozen.recipes`` while each recipe was a file of its own, and is
never made again. An option that a part was given since is left out of the checksum: its default must mean what was
there before, which is for the tests of that part to show.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pointlift import recipe

FILE = Path(__file__).with_suffix(".json")
Known = dict[str, list[str]]
"""Options by section, and by the name of its part where it has one: ``data:street`` -> ``root``, ``split``, …"""


def resolved(name: str) -> dict[str, Any]:
    """The values of a recipe, its data anywhere."""
    return recipe.load(name, {"data.root": "anywhere"}).to_dict()


def kind(section: str, content: dict[str, Any]) -> str:
    """What options a section has depends on the part that it names."""
    return f"{section}:{content['name']}" if "name" in content else section


def checksum(values: dict[str, Any], known: Known) -> str:
    """SHA-256 of the values of all known options."""
    then = {
        section: {key: content[key] for key in known[kind(section, content)]} if isinstance(content, dict) else content
        for section, content in values.items()
        if section in known["recipe"]
    }
    return hashlib.sha256(json.dumps(then, sort_keys=True).encode()).hexdigest()


def main() -> None:
    """Write the checksums of the recipes as they are now."""
    every = {name: resolved(name) for name in recipe.shipped()}
    known: Known = {}
    for values in every.values():
        known["recipe"] = sorted(values)
        for section, content in values.items():
            if isinstance(content, dict):
                known[kind(section, content)] = sorted(content)
    checksums = {name: checksum(values, known) for name, values in every.items()}
    FILE.write_text(json.dumps({"known": known, "checksums": checksums}, indent=1) + "\n")


if __name__ == "__main__":
    main()
