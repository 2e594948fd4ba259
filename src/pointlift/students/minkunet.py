"""MinkUNet: residual U-Nets of sparse convolutions (SR-UNet; Choy et al. 2019, arXiv 1904.08755)."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from pointlift.data.batch import Batch
from pointlift.registry import STUDENTS
from pointlift.students.base import Student
from pointlift.students.normalization import BatchNorm
from pointlift.students.sparse.layers import (
    SparseTensor,
    StridedConvolution,
    SubmanifoldConvolution,
    TransposedConvolution,
)
from pointlift.students.sparse.voxelize import Voxelization, voxelize

Positive = Annotated[float, Field(gt=0)]
Input = Literal["features", "height", "offset", "ones"]
STEM_PLANES = 32
INPUT_WIDTHS = {"height": 1, "offset": 3, "ones": 1}


class _ConvolutionBlock(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, convolution: nn.Module, channels: int, momentum: float) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = BatchNorm(channels, momentum=momentum)

    def forward(self, x: SparseTensor) -> SparseTensor:
        x = self.convolution(x)
        return x.with_features(functional.relu(self.norm(x.features), inplace=True))


class _ResidualBlock(nn.Module):
    """Two 3³ convolutions with a shortcut, which is a 1³ convolution where the channels differ (He et al. 2016)."""

    def __init__(self, in_channels: int, out_channels: int, momentum: float) -> None:
        super().__init__()
        self.convolution1 = SubmanifoldConvolution(in_channels, out_channels, 3)
        self.norm1 = BatchNorm(out_channels, momentum=momentum)
        self.convolution2 = SubmanifoldConvolution(out_channels, out_channels, 3)
        self.norm2 = BatchNorm(out_channels, momentum=momentum)
        self.shortcut: nn.Module | None = None
        if in_channels != out_channels:
            self.shortcut = SubmanifoldConvolution(in_channels, out_channels, 1)
            self.shortcut_norm = BatchNorm(out_channels, momentum=momentum)

    def forward(self, x: SparseTensor) -> SparseTensor:
        hidden = self.convolution1(x)
        hidden = hidden.with_features(functional.relu(self.norm1(hidden.features), inplace=True))
        hidden = self.norm2(self.convolution2(hidden).features)
        shortcut = x.features if self.shortcut is None else self.shortcut_norm(self.shortcut(x).features)
        return x.with_features(functional.relu(hidden.add_(shortcut), inplace=True))


def _stage(in_channels: int, out_channels: int, blocks: int, momentum: float) -> nn.Sequential:
    return nn.Sequential(
        *(_ResidualBlock(in_channels if i == 0 else out_channels, out_channels, momentum) for i in range(blocks))
    )


def _scaled(channels: int, width: float) -> int:
    return max(8, 8 * round(channels * width / 8))


@STUDENTS.register(
    "minkunet14",
    "MinkUNet with one residual block per stage (the Res16UNet14 type), 8.05 M parameters, the sibling of minkunet34.",
    fixed={"planes": (32, 64, 128, 256, 128, 128, 96, 96), "layers": (1,) * 8},
)
@STUDENTS.register(
    "minkunet34",
    "MinkUNet34 (Res16UNet34C), 37.9 M parameters, the backbone of SLidR and of most image-to-LiDAR distillation.",
    fixed={"planes": (32, 64, 128, 256, 256, 128, 96, 96), "layers": (2, 3, 4, 6, 2, 2, 2, 2)},
)
class MinkUNet(Student):
    """Residual U-Net on Cartesian voxels: a stem, four strided stages, four transposed stages with skips, a head.

    Points are grouped by floor(point / voxel_size); a voxel's input is the mean over its points; every point gets the
    output of its voxel. Batch statistics are global over processes (`BatchNorm`). Convolutions are drawn as by He et
    al. (2015), fan-out mode; MinkowskiEngine, on which SLidR runs, draws them uniformly by fan-in.

    Args:
        in_channels: features per input point.
        out_channels: D, the width of the output; for similarity and relational losses that of the teacher.
        planes: channels of the eight stages.
        layers: residual blocks of the eight stages.
        width: multiplies all channels, rounded to multiples of 8.
        voxel_size: edge of a voxel, metres.
        head: ``"linear"``, or ``"mlp"`` (linear, batch normalisation, ReLU, linear).
        stem_kernel: 5, or 3 as in all of SLidR's configurations, which is cheaper.
        bn_momentum: share of the new batch in the running statistics of all norms, as in torch; SLidR's 0.05 reaches 16
            of its 62, and the others keep 0.1.
        inputs: what the network sees of a point: ``"features"`` (the scene's; SLidR uses intensity alone),
            ``"height"`` (along the up axis, metres), ``"offset"`` (x, y, z from the centre of its voxel, in voxels) and
            ``"ones"`` (a constant, for clouds without features).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        planes: tuple[int, ...],
        layers: tuple[int, ...],
        width: Positive = 1.0,
        voxel_size: Positive = 0.1,
        head: Literal["linear", "mlp"] = "linear",
        stem_kernel: Literal[3, 5] = 5,
        bn_momentum: Annotated[float, Field(gt=0, le=1)] = 0.05,
        inputs: Annotated[tuple[Input, ...], Field(min_length=1)] = ("features",),
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.voxel_size, self.inputs = voxel_size, tuple(inputs)
        channels = sum(INPUT_WIDTHS.get(kind, in_channels) for kind in self.inputs)
        if channels == 0:
            raise ValueError("the network has no input channel; for clouds without features use inputs=('ones',)")
        planes = tuple(_scaled(p, width) for p in planes)
        stem = _scaled(STEM_PLANES, width)
        self.stem = _ConvolutionBlock(SubmanifoldConvolution(channels, stem, stem_kernel), stem, bn_momentum)
        self.down, self.encoder = nn.ModuleList(), nn.ModuleList()
        self.up, self.decoder = nn.ModuleList(), nn.ModuleList()
        skips, channels = [stem, *planes[:3]], stem
        for plane, blocks in zip(planes[:4], layers[:4], strict=True):
            self.down.append(_ConvolutionBlock(StridedConvolution(channels, channels), channels, bn_momentum))
            self.encoder.append(_stage(channels, plane, blocks, bn_momentum))
            channels = plane
        for plane, blocks, skip in zip(planes[4:], layers[4:], reversed(skips), strict=True):
            self.up.append(_ConvolutionBlock(TransposedConvolution(channels, plane), plane, bn_momentum))
            self.decoder.append(_stage(plane + skip, plane, blocks, bn_momentum))
            channels = plane
        self.decoder_channels = channels
        self.head = _head(head, channels, out_channels, bn_momentum)

    def forward(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        """(ΣN, D) features of every point, not normalised; with ``rows (P,)``, (P, D) of those points only.

        ``student(batch, rows)`` equals ``student(batch)[rows]`` without the cost of a wide output for all points.
        """
        voxels, features = self._voxel_features(batch)
        if rows is not None and isinstance(self.head, nn.Linear):  # row by row, so it may as well come last
            return self.head(voxels.unpool(features, rows))
        return voxels.unpool(self.head(features), rows)

    def decoder_features(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        """(ΣN, decoder_channels) features of every point before the head, or those of ``rows`` only."""
        voxels, features = self._voxel_features(batch)
        return voxels.unpool(features, rows)

    def _voxel_features(self, batch: Batch) -> tuple[Voxelization, Tensor]:
        voxels = voxelize(batch.points, batch.batch_index(), self.voxel_size)
        x = self.stem(SparseTensor(voxels.pool(self._inputs(batch)), voxels.grid))
        skips = []
        for down, encoder in zip(self.down, self.encoder, strict=True):
            skips.append(x.features)
            x = encoder(down(x))
        for up, decoder in zip(self.up, self.decoder, strict=True):
            x = up(x)
            x = decoder(x.with_features(torch.cat([x.features, skips.pop()], dim=1)))
        return voxels, x.features

    def _inputs(self, batch: Batch) -> Tensor:
        """(ΣN, channels) input of the points, in the order of ``inputs``."""
        columns = []
        for kind in self.inputs:
            if kind == "features":
                columns.append(self.check(batch).features)
            elif kind == "height":
                columns.append(batch.heights()[:, None])
            elif kind == "offset":
                scaled = batch.points.double() / self.voxel_size
                columns.append((scaled - torch.floor(scaled) - 0.5).to(batch.points.dtype))
            else:
                columns.append(torch.ones_like(batch.points[:, :1]))
        return torch.cat(columns, dim=1)


def _head(kind: str, channels: int, out_channels: int, momentum: float) -> nn.Module:
    if kind == "linear":
        return nn.Linear(channels, out_channels)
    return nn.Sequential(
        nn.Linear(channels, channels, bias=False),
        BatchNorm(channels, momentum=momentum),
        nn.ReLU(inplace=True),
        nn.Linear(channels, out_channels),
    )
