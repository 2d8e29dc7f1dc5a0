"""Run folders as one HTML page that needs no network."""

from nnlab.page.build import build_page, write_page

__all__ = ["build_page", "write_page"]
