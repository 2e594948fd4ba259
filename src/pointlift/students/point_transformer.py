"""Point transformer: patches of a cloud as tokens (Point-MAE's encoder; Pang et al. 2022, arXiv 2203.06604)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from pointlift.data.batch import Batch
from pointlift.errors import RecipeError
from pointlift.options import PLACE
from pointlift.registry import STUDENTS
from pointlift.students.base import Student, Undecayed
from pointlift.students.normalization import BatchNorm
from pointlift.students.point_mae import load_point_mae
from pointlift.students.points import Patches, drawn_rows, interpolate, make_patches, require_points, unit_spheres
from pointlift.students.transformer import initialize, stack

Count = Annotated[int, Field(ge=1)]
Input = Literal["offset", "features"]


class Size(NamedTuple):
    """Dimensions of a point transformer."""

    depth: int
    dim: int
    heads: int
    widths: tuple[int, int, int]  # of the patch embedding before its output; its first is also the position MLP's


SIZES = {
    "tiny": Size(4, 96, 3, (32, 64, 128)),
    "small": Size(8, 192, 3, (64, 128, 256)),
    "base": Size(12, 384, 6, (128, 256, 512)),
}


class PatchEmbedding(nn.Module):
    """Mini-PointNet of two stages: each point sees its patch's maximum of the first (PointNet; Qi et al. 2017).

    h = W₂ ReLU(BN(W₁ p)); g = max over the patch of h; token = max over the patch of W₄ ReLU(BN(W₃ [g, h])).
    """

    def __init__(self, channels: int, widths: tuple[int, int, int], dim: int) -> None:
        super().__init__()
        first, middle, last = widths
        self.first = nn.Sequential(
            nn.Linear(channels, first), BatchNorm(first), nn.ReLU(inplace=True), nn.Linear(first, middle)
        )
        self.second = nn.Sequential(
            nn.Linear(2 * middle, last), BatchNorm(last), nn.ReLU(inplace=True), nn.Linear(last, dim)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, V, K, F) patches to (B, V, C) tokens."""
        clouds, groups, size = x.shape[:3]
        points = self.first(x.flatten(0, 2)).unflatten(0, (clouds * groups, size))
        whole = points.max(1).values
        # the part of W₃ that meets the maximum is applied once per patch, not once per point
        joint, middle = self.second[0], whole.shape[1]
        assert isinstance(joint, nn.Linear)
        hidden = functional.linear(points, joint.weight[:, middle:], joint.bias)
        hidden = hidden + functional.linear(whole, joint.weight[:, :middle])[:, None]
        tokens = self.second[1:](hidden.flatten(0, 1)).unflatten(0, (clouds * groups, size)).max(1).values
        return tokens.unflatten(0, (clouds, groups))


@dataclass
class Encoding:
    """What a point transformer makes of B clouds, of which it saw V patches each.

    Args:
        patches: all G patches, the hidden ones too.
        visible: (B, V) int64, which patches the tokens are.
        layers: (B, V, C) for each block, its output without the last normalisation.
        tokens: (B, V, C), the last layer, normalised.
        class_token: (B, C), normalised, or None for a student without one.
    """

    patches: Patches
    visible: Tensor
    layers: list[Tensor]
    tokens: Tensor
    class_token: Tensor | None

    @property
    def centres(self) -> Tensor:
        """(B, V, 3) centres of the visible patches."""
        cloud = torch.arange(len(self.visible), device=self.visible.device)[:, None]
        return self.patches.centres[cloud, self.visible]


@STUDENTS.register(
    "point_transformer",
    "Point transformer over patches of farthest-point centres, the encoder of Point-MAE; size base: 21.8 M parameters.",
)
class PointTransformer(Student):
    """A transformer over patches of the cloud: farthest-point centres and their nearest points, relative to them.

    T = PointNet(P); E = MLP(C); F_i = Block_i(F_{i−1} + E) with F_0 = T. `encode` gives the tokens of every layer, of
    clouds as they come. Features of points are of whole clouds in any unit: patches are made of ``points`` of each, in
    the unit sphere, and a point takes the mean of the three nearest centres, weighted by inverse squared distance,
    through a linear head. Every cloud needs at least as many points as patches, and as a patch has points.

    Args:
        in_channels: features per input point.
        out_channels: D, the width of the output of every point; 0: no output layer, so that the output is
            `decoder_features`.
        size: blocks × width, heads, widths of the patch embedding: ``"tiny"`` 4 × 96, 3, (32, 64, 128), ``"small"``
            8 × 192, 3, (64, 128, 256), ``"base"`` 12 × 384, 6, (128, 256, 512) as published.
        points: P, how many of each cloud patches are made of, drawn anew in training; None: all.
        groups: patches G of each cloud.
        group_size: points K of each patch.
        inputs: what the patch embedding sees of a point: ``"offset"`` (x, y, z from the centre of its patch), and
            ``"features"`` (the scene's) beside it.
        class_token: whether a learned token that stands for the whole cloud goes first, for classification.
        drop_path: share of samples that skip a branch of the last block; of the blocks before it linearly less.
        first_centre: the first centre in training: the cloud's ``"first"`` point or a ``"random"`` one. In evaluation
            it is the first.
        weights: a checkpoint in the layout of Point-MAE to start from (`load_point_mae`).
    """

    has_patches = True
    order_matters = True  # in evaluation the first centre is the first point
    loads = ("weights",)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        size: Literal["tiny", "small", "base"] = "base",
        points: Count | None = None,
        groups: Count = 64,
        group_size: Count = 32,
        inputs: Annotated[tuple[Input, ...], Field(min_length=1)] = ("offset",),
        class_token: bool = False,
        drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.1,
        first_centre: Literal["first", "random"] = "first",
        weights: Annotated[Path | None, PLACE] = None,
    ) -> None:
        super().__init__()
        if points is not None and points < max(groups, group_size):
            raise RecipeError(
                f"student.points is {points}, but {groups} patches of {group_size} points need at least "
                f"{max(groups, group_size)}"
            )
        if "features" in inputs and in_channels == 0:
            raise RecipeError("the student's inputs name 'features', but the points have none; use inputs ['offset']")
        depth, dim, heads, widths = SIZES[size]
        self.in_channels, self.out_channels, self.decoder_channels = in_channels, out_channels, dim
        self.dim, self.depth, self.heads, self.points = dim, depth, heads, points
        self.groups, self.group_size, self.fewest_points = groups, group_size, max(groups, group_size)
        self.inputs, self.first_centre, self.drop_path = tuple(inputs), first_centre, drop_path
        channels = sum(3 if kind == "offset" else in_channels for kind in self.inputs)
        self.embedding = PatchEmbedding(channels, widths, dim)
        self.position = nn.Sequential(nn.Linear(3, widths[0]), nn.GELU(), nn.Linear(widths[0], dim))
        self.blocks = stack(depth, dim, heads, drop_path)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, out_channels) if out_channels else nn.Identity()
        initialize(self)
        self.class_token: Undecayed | None = None
        self.class_position: nn.Parameter | None = None
        if class_token:
            self.class_token = Undecayed(nn.init.trunc_normal_(torch.empty(1, 1, dim), std=0.02))
            self.class_position = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, dim), std=0.02))
        self.loaded = None if weights is None else str(load_point_mae(self, weights))

    def forward(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        """(ΣN, D) features of every point, not normalised; with ``rows (P,)``, (P, D) of those points only."""
        encoding, whole = self._whole(batch)
        # the head is linear and the weights of the interpolation sum to one, so it may as well come first
        return self._spread(self.head(encoding.tokens), encoding, whole, rows)

    def decoder_features(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        """(ΣN, decoder_channels) features of every point before the head, or those of ``rows`` only."""
        encoding, whole = self._whole(batch)
        return self._spread(encoding.tokens, encoding, whole, rows)

    def encode(self, batch: Batch, visible: Tensor | None = None) -> Encoding:
        """Tokens of the patches; with ``visible (B, V)`` (`random_patches`), of those only, the others unseen."""
        return self.encode_patches(self.patches(batch), visible)

    def patches(self, batch: Batch) -> Patches:
        """The patches of a batch, as `encode` makes them."""
        random = self.training and self.first_centre == "random"
        if "features" in self.inputs:
            self.check(batch)
        generator = torch.default_generator if random else None
        return make_patches(batch, self.groups, self.group_size, generator=generator)

    def require_points(self, name: str, count: int) -> None:
        """A `DataError` if the cloud ``name`` of ``count`` points has too few for the patches."""
        require_points(name, count, self.groups, self.group_size)

    def encode_patches(self, patches: Patches, visible: Tensor | None = None) -> Encoding:
        """As `encode`, of patches that are made already.

        Hidden patches are left out before anything is computed, the batch statistics of the embedding included.
        """
        clouds, groups = patches.centres.shape[:2]
        if visible is None:
            visible, seen = torch.arange(groups, device=patches.centres.device).expand(clouds, -1), patches
        else:
            visible = visible.to(patches.centres.device, non_blocking=True)
            seen = patches.take(visible)
        values = {"offset": seen.relative, "features": seen.features}
        tokens = self.embedding(torch.cat([values[kind] for kind in self.inputs], dim=3))
        position = self.position(seen.centres)
        if self.class_token is not None and self.class_position is not None:
            tokens = torch.cat([self.class_token.expand(clouds, -1, -1), tokens], dim=1)
            position = torch.cat([self.class_position.expand(clouds, -1, -1), position], dim=1)
        first = 0 if self.class_token is None else 1
        layers = []
        for block in self.blocks:
            tokens = block(tokens + position)
            layers.append(tokens[:, first:])
        tokens = self.norm(tokens)
        return Encoding(patches, visible, layers, tokens[:, first:], tokens[:, 0] if first else None)

    def _whole(self, batch: Batch) -> tuple[Encoding, Batch]:
        """The encoding of points drawn from each cloud, in their unit sphere, and all points moved with them."""
        rows, offsets = drawn_rows(batch.offsets, self.points, random=self.training)
        centres, radii = unit_spheres(batch.points[rows], offsets)
        clouds = batch.batch_index()
        moved = (batch.points.double() - centres[clouds]) / radii[clouds, None]
        whole = replace(batch, points=moved.to(batch.points.dtype))
        drawn = Batch(whole.points[rows], batch.features[rows], offsets, batch.scene_ids)
        return self.encode(drawn), whole

    def _spread(self, values: Tensor, encoding: Encoding, batch: Batch, rows: Tensor | None) -> Tensor:
        """Values of the patches (B, G, C) at every point, or at ``rows`` only."""
        clouds, points = batch.batch_index(), batch.points
        if rows is not None:
            clouds, points = clouds[rows], points[rows]
        return interpolate(values, encoding.centres, points, clouds)
