"""Run folders as one HTML page that needs no network."""

from nnlab.report.page import build_page

__all__ = ["build_page"]
