"""A user's own table: how it is written, what its columns hold, and the numbers that it becomes."""

from nnlab.data.table.loading import load_csv, read_csv
from nnlab.data.table.reader import TableReader

__all__ = ["TableReader", "load_csv", "read_csv"]
