"""`python -m nnlab` without its figures, which take most of a short run's time: for torchrun to start."""

from unittest import mock

from nnlab.cli.launch import launch
from nnlab.record import Record

if __name__ == "__main__":
    with mock.patch.object(Record, "save_figure", return_value=None):
        launch()
