"""Losses as pure functions of feature matrices: paired (registered, usable in a recipe) and for segmentation."""

from pointlift.losses.base import Loss, build
from pointlift.losses.chamfer import chamfer
from pointlift.losses.cka import cka
from pointlift.losses.distributed import gather_rows
from pointlift.losses.paired import contrastive, cross_modal, intra_modal, relational, similarity
from pointlift.losses.posteriors import posterior
from pointlift.losses.segmentation import cross_entropy, lovasz_softmax, segmentation_loss
from pointlift.losses.tokens import mse, token_rows

__all__ = [
    "Loss",
    "build",
    "chamfer",
    "cka",
    "contrastive",
    "cross_entropy",
    "cross_modal",
    "gather_rows",
    "intra_modal",
    "lovasz_softmax",
    "mse",
    "posterior",
    "relational",
    "segmentation_loss",
    "similarity",
    "token_rows",
]
