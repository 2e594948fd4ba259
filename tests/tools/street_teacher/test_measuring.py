from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pointlift.registry import TEACHERS
from pointlift.teachers import street
from pointlift.teachers.street import words
from tests.tools.street_teacher.toy import toy_views
from tools.street_teacher import measuring
from tools.street_teacher.rendering import Streets, views_of
from tools.street_teacher.truth import SKY, bag_table


def test_measuring_is_the_literal_intersection_over_union():
    views = toy_views()
    torch.manual_seed(0)
    parts = street.street_parts().eval()
    found = measuring.measure(parts, views)
    with torch.no_grad():
        maps = parts["network"](views.images.float() / 255)
        prompts = parts["words"](words.bags_of_words(list(words.CLASS_WORDS)))
        scores = F.interpolate(torch.einsum("bdhw,cd->bchw", maps, prompts), views.size, mode="bilinear")
    for sky, key in ((False, "mIoU"), (True, "mIoU_with_sky")):
        classes = range(SKY + sky)
        predicted = scores[:, : len(classes)].argmax(dim=1)
        known = (views.labels >= 0) & (views.labels < len(classes))
        ious = []
        for label in classes:
            true, said_so = (views.labels == label) & known, (predicted == label) & known
            if true.any():
                ious.append(float((true & said_so).sum() / (true | said_so).sum()))
        assert found[key] == pytest.approx(np.mean(ious), abs=1e-6)
    assert found["images"] == 4
    assert -1 <= found["tolerance"] <= 1


def test_the_accuracy_of_colours_is_one_for_features_that_are_their_prompts():
    torch.manual_seed(0)
    parts = street.street_parts().eval()
    labels = torch.tensor([3, 4, 5])
    known = bag_table([("red",), ("green", "tree"), ("metal",)])  # the last has no colour and does not count
    with torch.no_grad():
        good, bad = (
            parts["words"](words.bags_of_words(names))
            for names in (
                ["red building", "green vegetation", "car"],
                ["red building", "blue vegetation", "car"],
            )
        )
        assert measuring._color_accuracy(parts, good, labels, known) == 1.0
        assert measuring._color_accuracy(parts, bad, labels, known) == 0.5


def test_the_shipped_teacher_segments_unseen_streets_and_keeps_structure_within_classes():
    """Six images of three streets of the split 'val', which the shipped weights never saw."""
    unseen = views_of(Streets("val", 0, 3, 1, cameras=("front", "left")))
    teacher = TEACHERS.build("street")
    found = measuring.measure(torch.nn.ModuleDict({"network": teacher.network, "words": teacher.words}), unseen)
    assert 0.5 < found["tolerance"] < 0.9
    assert found["mIoU"] > 0.4
