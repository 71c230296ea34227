"""A run's result as one HTML file that needs nothing but itself."""

from search.report.data import ReportData
from search.report.page import write_report

__all__ = ["ReportData", "write_report"]
