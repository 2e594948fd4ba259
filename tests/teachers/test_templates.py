from __future__ import annotations

import re

from pointlift.teachers.templates import CLIP_TEMPLATES, TEMPLATES


def test_the_ensemble_of_85():
    assert len(CLIP_TEMPLATES) == len(set(CLIP_TEMPLATES)) == 85
    for template in CLIP_TEMPLATES:
        assert re.fullmatch(r"[a-z -]*\{\}[a-z ]*\.", template), template
    in_the_scene = [template for template in CLIP_TEMPLATES if "in the scene" in template]
    assert in_the_scene == list(CLIP_TEMPLATES[80:])
    for known in ("a bad photo of a {}.", "itap of my {}.", "a {} in a video game.", "a tattoo of the {}."):
        assert known in CLIP_TEMPLATES[:80]


def test_named_sets():
    assert TEMPLATES == {"plain": ("{}",), "openscene": ("a {} in a scene",), "clip85": CLIP_TEMPLATES}
