"""A study: several recipes × seeds × evaluations, run cell by cell, and one table of what came of them.

A cell is one recipe with one seed: it is pretrained, and then measured by every evaluation. `pointlift.studies` holds
those that ship with the package.
"""

from pointlift.study.comparison import Comparison, comparison
from pointlift.study.description import Cell, Contestant, Evaluation, Study, load
from pointlift.study.running import Measured, run

__all__ = ["Cell", "Comparison", "Contestant", "Evaluation", "Measured", "Study", "comparison", "load", "run"]
