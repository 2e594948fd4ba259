from pathlib import Path

import numpy as np
import pytest

from pointlift.data.formats.rows import parse_kitti, parse_nuscenes
from pointlift.errors import DataError


@pytest.mark.parametrize(
    ("parse", "names"),
    [(parse_kitti, ["x", "y", "z", "intensity"]), (parse_nuscenes, ["x", "y", "z", "intensity", "ring"])],
)
def test_columns_are_those_of_the_rows(parse, names) -> None:
    table = np.arange(3 * len(names), dtype="<f4").reshape(3, -1)
    columns = parse(table.tobytes(), Path("a.bin"))
    assert list(columns) == names
    np.testing.assert_array_equal(np.stack(list(columns.values()), axis=1), table)


def test_the_other_kind_is_guessed_from_the_size() -> None:
    with pytest.raises(DataError, match="nuScenes' five are read from names in .pcd.bin"):
        parse_kitti(b"\0" * 20, Path("a.bin"))
    with pytest.raises(DataError, match="KITTI's four are read from .bin"):
        parse_nuscenes(b"\0" * 16, Path("a.pcd.bin"))
    with pytest.raises(DataError, match=r"17 bytes are not a multiple of 16 \(x, y, z, intensity as float32\)$"):
        parse_kitti(b"\0" * 17, Path("a.bin"))
