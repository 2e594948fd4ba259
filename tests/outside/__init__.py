"""A plug-in of the tests' own: one part of each kind, one file each, as somebody else would write them."""

from outside import data, loss, method, protocol, student, task, teacher  # noqa: F401 - importing them registers them
