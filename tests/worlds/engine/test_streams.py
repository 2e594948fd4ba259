from __future__ import annotations

from pointlift.worlds.engine.streams import Streams


def test_a_purpose_has_a_stream_of_its_own_from_its_start():
    random = Streams(3, "suburb")
    first = random("kerb").random(4)
    random("ego").random(100)  # what one purpose draws does not move another
    assert (random("kerb").random(4) == first).all()
    others = [random("ego"), Streams(4, "suburb")("kerb"), Streams(3, "coast")("kerb")]
    assert not any((other.random(4) == first).any() for other in others)
