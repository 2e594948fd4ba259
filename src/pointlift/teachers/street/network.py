"""The image side: a small convolutional pyramid from an image to one unit vector for every 4 x 4 pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DIM = 64
STRIDE = 4
WIDTHS = (48, 80, 128)
"""Channels at strides 4, 8 and 16."""
_DECODER = 64
_EPSILON = 1e-6


class StreetNetwork(nn.Module):
    """Pixel embeddings of images.

    A stem and residual blocks down to stride 16, where wide depthwise kernels and the mean of the image see the whole
    street, then a pyramid (Lin et al., CVPR 2017) back up to stride 4.
    """

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = WIDTHS
        self.stem = nn.Sequential(_convolution(3, 32, stride=2), nn.ReLU(), _convolution(32, fine, stride=2), nn.ReLU())
        self.fine = nn.Sequential(_Residual(fine), _Residual(fine))
        self.middle = nn.Sequential(
            _convolution(fine, middle, stride=2), nn.ReLU(), _Residual(middle), _Residual(middle)
        )
        self.coarse = nn.Sequential(
            _convolution(middle, coarse, stride=2), nn.ReLU(), _Wide(coarse), _Wide(coarse), _Wide(coarse)
        )
        self.context = nn.Linear(coarse, coarse)
        self.lateral = nn.ModuleList(nn.Conv2d(width, _DECODER, 1) for width in WIDTHS)
        self.smooth = nn.ModuleList(nn.Sequential(_convolution(_DECODER, _DECODER), nn.ReLU()) for _ in range(2))
        self.head = nn.Conv2d(_DECODER, DIM, 1)
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        """Unit pixel embeddings (B, 64, H / 4, W / 4) of images (B, 3, H, W) in [0, 1], any H and W from 4 on."""
        # Fixed scaling is enough: the first batch norm learns the rest. Channels last is what CPUs convolve fastest.
        x = (images * 4.0 - 2.0).contiguous(memory_format=torch.channels_last)
        fine = self.fine(self.stem(x))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        coarse = coarse + self.context(coarse.mean(dim=(2, 3)))[:, :, None, None]
        x = self._merge(1, middle, self.lateral[2](coarse))
        x = self._merge(0, fine, x)
        return F.normalize(self.head(x), dim=1, eps=_EPSILON)

    def _merge(self, level: int, finer: Tensor, coarser: Tensor) -> Tensor:
        size = finer.shape[-2:]
        enlarged = F.interpolate(coarser, size=size, mode="bilinear", align_corners=False)
        return self.smooth[level](self.lateral[level](finer) + enlarged)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


class _Residual(nn.Module):
    """Two 3 x 3 convolutions beside the identity (He et al., CVPR 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_convolution(width, width), nn.ReLU(), _convolution(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


class _Wide(nn.Module):
    """A 7 x 7 depthwise convolution and a pointwise MLP beside the identity (Liu et al., CVPR 2022)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(width, width, kernel=7, groups=width),
            nn.Conv2d(width, 3 * width, 1),
            nn.ReLU(),
            _convolution(3 * width, width, kernel=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    )
