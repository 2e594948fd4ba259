"""Masked reconstruction of patches: the ablation of concept distillation that Point-MAE stands for, and its measure."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pointlift.losses.chamfer import chamfer
from pointlift.students.base import Undecayed
from pointlift.students.point_transformer import Encoding, PointTransformer
from pointlift.students.points import Patches
from pointlift.students.transformer import stack, xavier


class PatchDecoder(nn.Module):
    """Hidden patches from visible ones: mask tokens at the hidden centres, a few blocks, and a linear layer to points.

    As in Point-MAE (Pang et al. 2022), with positions of its own that are added before every block, but three blocks
    as in the paper's ablation. It starts as theirs does, too: linear layers of the blocks from Xavier's uniform
    distribution without biases, those of position and head as torch draws them, the mask token with deviation 0.02.
    What a decoder says that has learned nothing depends on that.

    Args:
        student: whose tokens are decoded; gives width, heads, drop path and points of a patch.
        depth: blocks.
    """

    def __init__(self, student: PointTransformer, depth: int = 3) -> None:
        super().__init__()
        dim, first = student.dim, student.position[0].out_features
        assert isinstance(first, int)
        self.group_size = student.group_size
        self.position = nn.Sequential(nn.Linear(3, first), nn.GELU(), nn.Linear(first, dim))
        self.blocks = stack(depth, dim, student.heads, student.drop_path)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, 3 * student.group_size)
        self.mask_token = Undecayed(nn.init.trunc_normal_(torch.empty(1, 1, dim), std=0.02))
        xavier(self.blocks)

    def forward(self, encoding: Encoding, hidden: Tensor) -> Tensor:
        """The points (B, H, K, 3) of the patches ``hidden (B, H)``, relative to their centres."""
        clouds, count = hidden.shape
        centres = torch.cat([encoding.centres, encoding.patches.take(hidden).centres], dim=1)
        tokens = torch.cat([encoding.tokens, self.mask_token.expand(clouds, count, -1)], dim=1)
        position = self.position(centres)
        for block in self.blocks:
            tokens = block(tokens + position)
        return self.head(self.norm(tokens[:, -count:])).unflatten(2, (self.group_size, 3))

    def errors(self, encoding: Encoding, hidden: Tensor) -> Tensor:
        """Chamfer-L2 (B, H) of each hidden patch, in coordinates relative to its centre."""
        truth = encoding.patches.take(hidden).relative
        return chamfer(self(encoding, hidden).flatten(0, 1), truth.flatten(0, 1)).unflatten(0, hidden.shape)


def split_patches(order: Tensor, hidden_share: float) -> tuple[Tensor, Tensor]:
    """The first patches of an order (B, G) as visible (B, V) and the ⌊hidden_share · G⌋ others as hidden, ascending."""
    groups = order.shape[1]
    seen = groups - int(hidden_share * groups)
    return order[:, :seen].sort(1).values, order[:, seen:].sort(1).values


def reconstruction_errors(
    student: PointTransformer, decoder: PatchDecoder, patches: Patches, visible: Tensor, hidden: Tensor
) -> Tensor:
    """Chamfer-L2 (B, H) of each hidden patch; the encoder sees only visible ones, the decoder hidden centres too."""
    return decoder.errors(student.encode_patches(patches, visible), hidden)


def centre_errors(patches: Patches, hidden: Tensor) -> Tensor:
    """Chamfer-L2 (B, H) of a prediction that puts every point of a hidden patch on its centre: nothing learned."""
    truth = patches.take(hidden).relative.flatten(0, 1)
    return chamfer(torch.zeros_like(truth), truth).unflatten(0, hidden.shape)
