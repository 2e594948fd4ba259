"""Opening image files: one place where what a decoder says becomes one sentence, and where a size is read."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from pointlift.errors import DataError
from pointlift.files import unreadable

COLOR_SUFFIXES = (".jpg", ".jpeg", ".png")
"""Of colour images, in small letters: cameras write them in capitals, too."""


def open_image(path: Path) -> Image.Image:
    """An image file whose header is read and whose pixels are not; a `DataError` if it is none."""
    try:
        return Image.open(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: the image file is missing") from error
    except Exception as error:  # UnidentifiedImageError, DecompressionBombError, SyntaxError of a broken header, …
        raise DataError(unreadable(path, "the image cannot be decoded", error)) from error


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image file, from its header."""
    with open_image(path) as image:
        return image.height, image.width
