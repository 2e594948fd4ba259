"""LZF: the compression of PCD's third kind of data."""

from __future__ import annotations

_EXPANSION = 88  # three bytes are at most a repetition of 264


def decompress(packed: bytes, size: int) -> bytes:
    """What was packed, which must be ``size`` bytes; nothing is allocated for a size that ``packed`` cannot hold.

    A control byte below 32 announces as many literal bytes and one more. Any other begins a repetition of what came
    before: its upper three bits are the length less two, where 7 adds the next byte, and its lower five the upper bits
    of the distance less one, whose lower eight follow.

    Raises:
        ValueError: the data are damaged, or are not of this size.
    """
    if size > _EXPANSION * len(packed):
        raise ValueError(f"{len(packed)} bytes cannot hold {size}")
    found = bytearray()
    place, end = 0, len(packed)
    while place < end and len(found) <= size:
        control = packed[place]
        place += 1
        if control < 32:
            literal = packed[place : place + control + 1]
            if len(literal) <= control:
                raise ValueError("the data end within a literal")
            found += literal
            place += control + 1
            continue
        length = control >> 5
        needed = 2 if length == 7 else 1
        if place + needed > end:
            raise ValueError("the data end within a repetition")
        if length == 7:
            length += packed[place]
        distance = ((control & 31) << 8) + packed[place + needed - 1] + 1
        place += needed
        _repeat(found, distance, length + 2)
    if len(found) != size:
        raise ValueError(f"there are {len(found)}{' or more' if place < end else ''} bytes, not {size}")
    return bytes(found)


def _repeat(found: bytearray, distance: int, length: int) -> None:
    """Append ``length`` bytes that repeat those ``distance`` back; they may run into themselves."""
    if distance > len(found):
        raise ValueError("a repetition begins before the data")
    start = len(found) - distance
    pattern = found[start : start + length]
    found += (pattern * (length // len(pattern) + 1))[:length]
