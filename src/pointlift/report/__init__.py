"""What came of runs: their figures over seeds, and one self-contained page to read and to send to others."""

from __future__ import annotations

from pointlift.report.page import report
from pointlift.report.summary import markdown, summarise

__all__ = ["markdown", "report", "summarise"]
