"""The training loop and what it needs: options, schedule, batches, checkpoints, logs. Knows no method by name."""

from pointlift.train.loop import fit
from pointlift.train.options import TrainOptions

__all__ = ["TrainOptions", "fit"]
