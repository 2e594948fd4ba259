from __future__ import annotations

import numpy as np
import pytest
import torch

from pointlift.data.batch import Batch
from pointlift.methods.concept.reconstruction import PatchDecoder, centre_errors, reconstruction_errors, split_patches
from pointlift.students.point_transformer import PointTransformer
from tests.losses.test_chamfer import brute_force
from tests.methods.frames import Frames, concept
from tests.students.test_point_transformer import Literal, stirred


def tiny() -> PointTransformer:
    student = PointTransformer(0, 5, size="tiny", groups=8, group_size=6, drop_path=0.0)
    return stirred(student).eval()


def one_batch(clouds: int = 2) -> Batch:
    points = torch.randn(40 * clouds, 3, generator=torch.Generator().manual_seed(0))
    return Batch(points, points[:, :0], torch.arange(clouds + 1) * 40)


def order(clouds: int = 2) -> torch.Tensor:
    return torch.stack([torch.randperm(8, generator=torch.Generator().manual_seed(i)) for i in range(clouds)])


def test_so_many_patches_are_hidden_and_no_patch_is_both() -> None:
    visible, hidden = split_patches(order(), 0.6)
    assert (visible.shape, hidden.shape) == ((2, 4), (2, 4))  # ⌊0.6 · 8⌋
    for cloud in range(2):
        assert sorted(visible[cloud].tolist() + hidden[cloud].tolist()) == list(range(8))
        assert hidden[cloud].tolist() == sorted(order()[cloud, 4:].tolist())


@torch.no_grad()
def test_what_is_hidden_changes_nothing_but_the_truth() -> None:
    student, batch = tiny(), one_batch()
    decoder = stirred(PatchDecoder(student), seed=4).eval()  # type: ignore[arg-type]
    visible, hidden = split_patches(order(), 0.6)
    patches = student.patches(batch)
    encoding = student.encode_patches(patches, visible)
    before = decoder(encoding, hidden)
    moved = student.patches(batch)
    moved.relative[torch.arange(2)[:, None], hidden] += 10.0
    after = decoder(student.encode_patches(moved, visible), hidden)
    assert torch.equal(before, after)
    assert not torch.allclose(
        reconstruction_errors(student, decoder, patches, visible, hidden),
        reconstruction_errors(student, decoder, moved, visible, hidden),
    )
    swapped = torch.cat([hidden[:, 1:], hidden[:, :1]], dim=1)  # the decoder knows hidden patches by their centres
    assert torch.allclose(decoder(encoding, swapped)[:, -1], before[:, 0], atol=1e-5)


@torch.no_grad()
def test_the_decoder_equals_its_formula() -> None:
    student, batch = tiny().double(), one_batch(1)
    batch = Batch(batch.points.double(), batch.features.double(), batch.offsets)
    decoder = stirred(PatchDecoder(student), seed=4).double()  # type: ignore[arg-type]
    visible, hidden = split_patches(order(1), 0.6)
    encoding = student.encode(batch, visible)
    literal = Literal(student)
    literal.w = {key: value.numpy() for key, value in decoder.state_dict().items()}
    centres = encoding.patches.centres[0].numpy()[np.concatenate([visible[0], hidden[0]])]
    e = literal.linear(literal.gelu(literal.linear(centres, "position.0")), "position.2")[None]
    x = np.concatenate([encoding.tokens.numpy(), np.repeat(literal.w["mask_token"], 4, axis=1)], axis=1)
    for block in range(3):
        x = literal.block(x + e, f"blocks.{block}")
    expected = literal.linear(literal.layer_norm(x[:, 4:], "norm"), "head").reshape(4, 6, 3)
    np.testing.assert_allclose(decoder(encoding, hidden)[0], expected, rtol=0, atol=1e-10)
    truth = encoding.patches.relative[0].numpy()[hidden[0]]
    wanted = [brute_force(a, b) for a, b in zip(expected, truth, strict=True)]
    np.testing.assert_allclose(decoder.errors(encoding, hidden)[0], wanted, rtol=1e-9)


def test_patch_centres_are_the_mean_squared_radius() -> None:
    student = tiny()
    patches = student.patches(one_batch())
    _, hidden = split_patches(order(), 0.6)
    found = centre_errors(patches, hidden)
    relative = patches.take(hidden).relative
    torch.testing.assert_close(found, relative.square().sum(3).mean(2))  # the centre is a point of its patch


def test_hidden_patches_of_the_method_are_those_of_the_sample() -> None:
    method, frames = concept(target="none", reconstruction=1.0), Frames()
    samples = [method.sample(frames[i], np.random.default_rng(i)) for i in range(3)]
    batch = method.collate(samples, np.random.default_rng(0))
    first = method(batch)["loss"]
    torch.testing.assert_close(method(batch)["loss"], first)
    visible, hidden = split_patches(torch.stack([sample.order for sample in samples]), 0.6)
    errors = reconstruction_errors(
        method.student, method.network.decoder, method.student.patches(batch.points), visible, hidden
    )
    torch.testing.assert_close(first, errors.mean())


def test_blocks_drop_paths_at_the_rates_of_the_student() -> None:
    student = PointTransformer(0, 0, size="tiny", drop_path=0.2)
    rates = [block.drop_path.rate for block in PatchDecoder(student, 3).blocks]
    assert rates == pytest.approx([0, 0.1, 0.2])


def test_a_decoder_starts_as_point_mae_s() -> None:
    """Xavier in the blocks; torch's own draws for position and head, which is a convolution of kernel 1 there."""
    torch.manual_seed(0)
    student = PointTransformer(0, 0, size="base", drop_path=0.0)
    decoder = PatchDecoder(student, 1)
    block, width = decoder.blocks[0], student.dim
    for layer in (block.attention.qkv, block.attention.projection, block.mlp[0], block.mlp[2]):  # type: ignore[union-attr]
        bound = (6 / (layer.in_features + layer.out_features)) ** 0.5  # type: ignore[operator]
        assert float(layer.weight.detach().abs().max()) == pytest.approx(bound, rel=1e-2)  # type: ignore[union-attr]
        assert layer.bias is None or not layer.bias.any()  # type: ignore[union-attr]
    assert float(decoder.head.weight.abs().max()) == pytest.approx(width**-0.5, rel=1e-2)
    assert float(decoder.head.bias.abs().max()) == pytest.approx(width**-0.5, rel=0.1)
    assert float(decoder.position[0].weight.abs().max()) == pytest.approx(3**-0.5, rel=0.1)
    assert float(decoder.mask_token.detach().std()) == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize("depth", [1, 3])
def test_depth(depth: int) -> None:
    assert len(PatchDecoder(tiny(), depth).blocks) == depth
