"""What came of runs: their figures over seeds, and one self-contained page to read and to send to others."""

from __future__ import annotations

from pointlift.report.grouping import summarise
from pointlift.report.page import report
from pointlift.report.tables import markdown

__all__ = ["markdown", "report", "summarise"]
