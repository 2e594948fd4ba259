"""The contract of tasks: what labels ask of a network."""

from __future__ import annotations

from pointlift.train.method import Method


class Task(Method):
    """What labels ask."""
