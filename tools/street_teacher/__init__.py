"""Training of the embedded teacher `street`: ``python -m tools.street_teacher --out FOLDER``."""
