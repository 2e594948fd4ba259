"""What there is to choose from: every kind, described, and quickly."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pointlift.commands.catalogue import KINDS, catalogue
from pointlift.errors import RecipeError

LISTED = """
import sys
from pointlift.cli import main
for kind in sys.argv[1:]:
    try:
        main(["list", kind, "--json"])
    except SystemExit as ended:
        assert not ended.code
    heavy = sorted({"torch", "transformers", "numpy", "matplotlib"} & set(sys.modules))
    assert not heavy, (kind, heavy)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_listed_and_described(kind: str) -> None:
    entries = catalogue(kind)
    assert entries
    assert list(entries) == sorted(entries)
    assert all(entries.values()), "something has no description"


def test_an_unknown_kind_suggests_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'losses'"):
        catalogue("loses")
    with pytest.raises(RecipeError, match="did you mean 'studies'"):
        catalogue("study")


def test_listing_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", LISTED, *KINDS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
