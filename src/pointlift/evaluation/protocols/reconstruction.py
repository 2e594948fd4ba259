"""Reconstruction: how well hidden patches can be told from what a frozen encoder says of the visible ones."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from pointlift.data.batch import Batch
from pointlift.data.clouds import onto_unit_sphere, random_rows
from pointlift.data.scene import Scene
from pointlift.errors import PluginError
from pointlift.evaluation.base import Trial, each, require
from pointlift.evaluation.protocol import described, settings_of
from pointlift.evaluation.result import Column, Result, Row
from pointlift.finite import require_finite
from pointlift.methods.concept.method import Concept
from pointlift.methods.concept.reconstruction import PatchDecoder, centre_errors, reconstruction_errors, split_patches
from pointlift.registry import PROTOCOLS
from pointlift.students import evaluating
from pointlift.students.point_transformer import PointTransformer

COLUMNS = (
    Column("untrained", "Chamfer, random decoder", better="lower"),
    Column("trained", "trained decoder", better="lower"),
    Column("own", "the run's decoder", better="lower"),
)


@PROTOCOLS.register("reconstruction", needs=("patches",))
def reconstruction(
    trial: Trial,
    *,
    points: PositiveInt | None = None,
    hidden_share: Annotated[float, Field(gt=0, lt=1)] = 0.6,
    decoder_depth: PositiveInt = 3,
    steps: Annotated[int, Field(ge=0)] = 200,
    batch_size: PositiveInt = 8,
    learning_rate: PositiveFloat = 1e-3,
) -> Result:
    """Chamfer distance of hidden patches, decoded from a run's frozen encoder, whatever the run was trained on.

    The paper's last ablation reports this "even with a random initialized decoder" for an encoder trained by
    distillation alone. Read literally, that decoder never saw a patch: ``untrained``. As that says little about the
    encoder, ``trained`` fits the decoder alone on the scenes of the pretraining, beside the frozen encoder.

    Args:
        trial: student (a point transformer), data and seed.
        points: drawn from every scene, then moved into the unit sphere; None: as many as the student's, else 4096.
        hidden_share: share of the patches that are hidden.
        decoder_depth: blocks of the decoder.
        steps: of training the decoder; 0 for none.
        batch_size: scenes in a step.
        learning_rate: of AdamW, constant.

    Returns:
        Rows of the student, a random network and "patch centres" (every point predicted at the centre of its patch,
        with nothing learned), with Chamfer-L2 in the coordinates of the unit sphere under ``untrained``, ``trained``
        and, where the run trained a decoder, ``own``.

    Raises:
        RecipeError: the student is no point transformer. DataError: a scene has too few points for its patches.
    """
    require(trial, "reconstruction")
    student, fresh = trial.student, trial.fresh_student(trial.seed)
    if not (isinstance(student, PointTransformer) and isinstance(fresh, PointTransformer)):
        raise PluginError(
            f"the student {type(student).__name__} says has_patches, so it must derive from PointTransformer"
        )
    points = points or student.points or 4096
    rows = [Row("student", "student", {}), Row("random network", "baseline", {})]
    for encoder, row in zip((student, fresh), rows, strict=True):
        clouds = _Clouds(trial, encoder, points, hidden_share)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(trial.seed)
            decoder = PatchDecoder(encoder, decoder_depth).to(trial.device)
            row.metrics["untrained"] = _measured(clouds, encoder, decoder, row.name)
            if steps:
                _fit(clouds, encoder, decoder, steps, batch_size, learning_rate, row.name)
                row.metrics["trained"] = _measured(clouds, encoder, decoder, row.name)
    own = _own_decoder(trial)
    if own is not None:
        rows[0].metrics["own"] = _measured(clouds, *own, "student")
    rows.append(Row("patch centres", "baseline", {"untrained": _measured(clouds, student, None, "patch centres")}))
    return Result(
        "reconstruction",
        tuple(column for column in COLUMNS if any(column.key in row.metrics for row in rows)),
        rows,
        "trained" if steps else "untrained",
        settings_of(
            trial,
            points=points,
            hidden_share=hidden_share,
            decoder_depth=decoder_depth,
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
        ),
        _in_words(trial, points, hidden_share, decoder_depth, steps, batch_size, learning_rate),
    )


class _Clouds:
    """The clouds of a trial in the unit sphere, and which of their patches are hidden."""

    def __init__(self, trial: Trial, encoder: PointTransformer, points: int, hidden_share: float) -> None:
        self.trial, self.encoder, self.points, self.hidden_share = trial, encoder, points, hidden_share

    def batch(self, scenes: Sequence[Scene], rng: np.random.Generator | None = None) -> tuple[Batch, Tensor, Tensor]:
        """Points and visible and hidden patches; drawn by ``rng``, or by the scene's id."""
        moved, orders = [], []
        for scene in scenes:
            self.encoder.require_points(scene.id, len(scene))
            own = rng or np.random.default_rng([self.trial.seed, zlib.crc32(scene.id.encode())])
            chosen = scene.select(random_rows(len(scene), self.points, own))
            moved.append(onto_unit_sphere(replace(chosen, views=[])))
            orders.append(torch.from_numpy(own.permutation(self.encoder.groups)))
        batch = Batch.from_scenes(moved).to(self.trial.device)
        visible, hidden = split_patches(torch.stack(orders).to(self.trial.device), self.hidden_share)
        return batch, visible, hidden


def _measured(clouds: _Clouds, encoder: PointTransformer, decoder: PatchDecoder | None, what: str) -> float:
    """Mean Chamfer distance of the hidden patches of all test scenes; without a decoder, of their centres."""
    errors = []
    for scene in each(clouds.trial, clouds.trial.test, what):
        batch, visible, hidden = clouds.batch([scene])
        with evaluating(encoder):
            patches = encoder.patches(batch)
            if decoder is None:
                found = centre_errors(patches, hidden)
            else:
                found = reconstruction_errors(encoder, decoder.eval(), patches, visible, hidden)
        errors.append(require_finite(found.double().mean(), "reconstruction errors", scene.id))
    return float(torch.stack(errors).mean())


def _fit(
    clouds: _Clouds, encoder: PointTransformer, decoder: PatchDecoder, steps: int, size: int, rate: float, what: str
) -> None:
    """Train the decoder alone on the scenes of the pretraining."""
    trial, optimizer = clouds.trial, torch.optim.AdamW(decoder.parameters(), lr=rate)
    rng = np.random.default_rng([trial.seed, 4])
    scenes = trial.pretrained()
    decoder.train()
    for step in range(steps):
        chosen = rng.integers(len(scenes), size=size)
        batch, visible, hidden = clouds.batch([scenes[int(index)] for index in chosen], rng)
        with evaluating(encoder):
            patches = encoder.patches(batch)
            encoding = encoder.encode_patches(patches, visible)
        loss = decoder.errors(encoding, hidden).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        trial.progress(f"decoder of the {what}, training", step + 1, steps)


def _own_decoder(trial: Trial) -> tuple[PointTransformer, PatchDecoder] | None:
    """Encoder and decoder of a run that was trained to reconstruct."""
    method = None if trial.method is None else trial.method(None)
    if not isinstance(method, Concept) or method.network.decoder is None:
        return None
    return method.student, method.network.decoder


def _in_words(
    trial: Trial, points: int, hidden_share: float, depth: int, steps: int, batch_size: int, rate: float
) -> dict[str, Any]:
    return {
        "pretraining data": dict(trial.pretrained_on),
        "test data": described(trial.test),
        "seed": trial.seed,
        "points": f"{points} of each scene at random, centred and scaled into the unit sphere",
        "hidden": f"a random {hidden_share:.0%} of the patches of each scene, which the encoder never sees; the "
        "decoder is told their centres",
        "Chamfer": "mean squared distance to the nearest point, both directions added, of the points of a hidden patch "
        "relative to its centre; mean over hidden patches and scenes",
        "untrained": f"a decoder of {depth} blocks with random weights (seed {trial.seed}), as the paper's text has it "
        "for an encoder that was not trained to reconstruct",
        "trained": f"the same decoder after {steps} steps of AdamW at {rate:g} on {batch_size} of the pretraining "
        "scenes each, with the student's drop path; the encoder is frozen and in evaluation mode",
        "own": "the decoder that the run itself trained",
        "random network": f"the same encoder with random weights (seed {trial.seed}), with decoders of its own",
        "patch centres": "every point predicted at the centre of its patch: what a decoder that gives zeros would get",
    }
