"""ResNet-50 as a dense teacher: the network, dilated in place of its strides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from pointlift.options import LOCAL, RANDOM_TEACHER, TEACHER_SOURCE
from pointlift.registry import TEACHERS
from pointlift.teachers.base import fingerprint_of
from pointlift.teachers.hub import IMAGENET_MEAN, IMAGENET_STD, HubTeacher, normalisation
from pointlift.teachers.resnet50_weights import load_weights

if TYPE_CHECKING:
    from pointlift.data.scene import View

_BLOCKS = (3, 4, 6, 3)


@TEACHERS.register("resnet50")
class ResNet50(HubTeacher):
    """Features of the last stage of a ResNet-50, such as MoCo v2's, dilated to a fine stride as in SLidR.

    Where the output stride is below 32, the strides of the last stages are 1 and their 3 × 3 convolutions are dilated
    in place of that, so that each weight sees what it saw in training: the first block of a stage by the factor of the
    stage before, the others by twice that. At 16 that concerns the last stage, at 8 the last two, at 4 (SLidR) the last
    three. The centre of feature i is pixel ``i * output_stride``, as in every ResNet; `sample_features` takes it to be
    in the middle of its cell, half a stride further.

    Args:
        source: a local folder or hub id in transformers' ResNet format (``config.json``, ``model.safetensors``), or a
            checkpoint file with torchvision's names such as ``moco_v2_800ep_pretrain.pth.tar``, which is read without
            running any code in it; a prefix such as ``module.encoder_q.`` and the head are left out, and of two
            encoders the one that follows the other.
        output_stride: pixels per feature.
        random: the same network with random weights, as a control; nothing of the source is read.
        random_seed: seed of these random weights.
        download: whether a hub id that is not on this machine may be downloaded.

    Raises:
        CheckpointError: files that are missing, damaged, or hold another network's weights.
        RecipeError: a configuration that is not a ResNet-50's.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        source: Annotated[str, TEACHER_SOURCE] = "microsoft/resnet-50",
        output_stride: Literal[4, 8, 16, 32] = 4,
        random: Annotated[bool, RANDOM_TEACHER] = False,
        random_seed: Annotated[int, Field(ge=0)] = 0,
        download: Annotated[bool, LOCAL] = False,
    ) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(random_seed)
            self.network = DilatedResNet50(output_stride)
        folder: Path | None = None
        if not random:
            folder = load_weights(self.network, source, download)
        mean, std = normalisation(folder, IMAGENET_MEAN, IMAGENET_STD)
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.dim, self.stride = 2048, output_stride
        self.freeze()
        self.fingerprint = fingerprint_of(self, "ResNet50", output_stride=output_stride)

    def _features(self, images: Tensor, views: Sequence[View] | None) -> Tensor:
        return self.network((images - self.mean) / self.std)


class DilatedResNet50(nn.Module):
    """A ResNet-50 without its head; torchvision's names, its weights drawn as there.

    Args:
        output_stride: 4, 8, 16 or 32.
    """

    def __init__(self, output_stride: int = 32) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels, stride, dilation = 64, 4, 1
        for stage, blocks in enumerate(_BLOCKS, start=1):
            wanted = 1 if stage == 1 else 2
            step = wanted if stride * wanted <= output_stride else 1
            layer = _stage(channels, 64 * 2 ** (stage - 1), blocks, step, (dilation, dilation * wanted // step))
            self.add_module(f"layer{stage}", layer)
            channels, stride, dilation = 256 * 2 ** (stage - 1), stride * step, dilation * wanted // step
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, 2048, H / output_stride, W / output_stride) of normalised images (B, 3, H, W)."""
        x = F.relu(self.bn1(self.conv1(images)))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        return x


def _stage(channels: int, width: int, blocks: int, stride: int, dilations: tuple[int, int]) -> nn.Sequential:
    """Blocks of one stage; ``dilations`` are those of the first block and of the others."""
    first = Bottleneck(channels, width, stride, dilations[0])
    return nn.Sequential(first, *(Bottleneck(4 * width, width, 1, dilations[1]) for _ in range(blocks - 1)))


class Bottleneck(nn.Module):
    """Convolutions 1 × 1, 3 × 3 (with the stride) and 1 × 1, beside a shortcut that is projected where it must be."""

    def __init__(self, channels: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample: nn.Module | None = None
        if channels != 4 * width:
            projection = nn.Conv2d(channels, 4 * width, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(4 * width))

    def forward(self, x: Tensor) -> Tensor:
        """Output (B, 4 width, h / stride, w / stride) of an input (B, channels, h, w)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.bn3(self.conv3(x)) + shortcut)
