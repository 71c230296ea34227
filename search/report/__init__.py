"""A run's result as one HTML file that needs nothing but itself."""

from search.report.data import Axis, ReportData, Title
from search.report.page import write_report

__all__ = ["Axis", "ReportData", "Title", "write_report"]
