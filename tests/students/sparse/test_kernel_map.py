from __future__ import annotations

import gc

import pytest
import torch

import pointlift
from pointlift.data.batch import Batch
from pointlift.students.sparse import KernelMap, Segments


def test_segment_sum_equals_a_loop() -> None:
    values = torch.randn(7, 3)
    segments = Segments(torch.tensor([3, 0, 6, 3]), torch.tensor([0, 2, 2, 4]))
    expected = torch.stack([values[3] + values[0], torch.zeros(3), values[6] + values[3]])
    torch.testing.assert_close(segments.sum(values), expected)


def test_segment_sum_of_nothing() -> None:
    segments = Segments(torch.zeros(0, dtype=torch.int64), torch.zeros(3, dtype=torch.int64))
    assert segments.sum(torch.zeros(0, 4)).tolist() == [[0.0] * 4] * 2


def test_from_table_lists_every_pair_once() -> None:
    table = torch.tensor([[-1, 2, 0], [1, -1, -1]])
    kernel_map = KernelMap.from_table(table, input_count=4)
    assert kernel_map.inputs.tolist() == [2, 0, 1]
    assert kernel_map.outputs.tolist() == [1, 2, 0]
    (block,) = kernel_map.blocks
    assert block.starts == [0, 2, 3]
    assert block.by_output.rows.tolist() == [2, 0, 1]
    assert block.by_output.offsets.tolist() == [0, 1, 2, 3]
    back = kernel_map.transposed()
    assert back.inputs is kernel_map.outputs
    assert torch.equal(back.transposed().inputs, kernel_map.inputs)
    (block,) = back.blocks
    assert block.by_output.rows.tolist() == [1, 2, 0]
    assert block.by_output.offsets.tolist() == [0, 1, 2, 3, 3]


TABLE = torch.tensor([[-1, 0, 1], [0, 1, 2], [1, 2, -1]])  # three voxels in a row


def test_blocks_hold_the_same_pairs() -> None:
    whole, split = KernelMap.submanifold(TABLE), KernelMap.submanifold(TABLE, block_size=2)
    assert sorted(zip(whole.inputs.tolist(), whole.outputs.tolist(), strict=True)) == sorted(
        zip(split.inputs.tolist(), split.outputs.tolist(), strict=True)
    )
    assert [block.starts for block in split.blocks] == [[0, 1, 3, 5], [5, 6, 7, 7]]
    assert split.outputs.tolist() == [1, 0, 1, 0, 1, 2, 2]
    assert [block.by_output.rows.tolist() for block in split.blocks] == [[1, 3, 0, 2, 4], [0, 1]]


def test_a_submanifold_map_has_no_transpose() -> None:
    with pytest.raises(ValueError, match="its own transpose"):
        KernelMap.submanifold(TABLE).transposed()


def test_maps_of_a_step_die_with_it() -> None:
    """Without waiting for the garbage collector, which would let the memory of many steps pile up."""
    gc.collect()
    gc.disable()
    try:
        student = pointlift.student("minkunet14", 1, 4, width=0.25, voxel_size=0.5, stem_kernel=3)
        for _ in range(3):
            points = torch.randn(200, 3) * 5
            batch = Batch(points, points[:, :1], torch.tensor([0, 200]))
            student(batch).sum().backward()
        del batch
        assert not [one for one in gc.get_objects() if type(one) is KernelMap]
    finally:
        gc.enable()
