from pathlib import Path

import numpy as np
import pytest

from pointlift.data.formats.text import ascii_table
from pointlift.errors import DataError

ROWS = [b"1 2.5 -3e2", b"4\t5  nan", b"not a number"]


def test_rows_are_numbers_between_blanks_and_further_rows_are_not_read() -> None:
    table = ascii_table(ROWS, 2, 3, Path("a.ply"))
    np.testing.assert_array_equal(table, [[1, 2.5, -300], [4, 5, np.nan]])


@pytest.mark.parametrize(
    ("count", "columns", "said"),
    [(3, 3, "row 2 is not 3 numbers: not a number"), (1, 2, "row 0 is not 2 numbers: 1 2.5"), (4, 3, "but 3 rows")],
)
def test_wrong_rows_are_named(count: int, columns: int, said: str) -> None:
    with pytest.raises(DataError, match=said):
        ascii_table(ROWS, count, columns, Path("a.ply"))
