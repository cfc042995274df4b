"""The page a person looks at: :func:`build_report` makes one HTML file that works offline."""

from molsieve.report.page import build_report
from molsieve.report.results import ReportFiles

__all__ = ["ReportFiles", "build_report"]
