"""Run folders: written while the experiment runs, read back by anyone afterwards.

`Record` writes one run and `Group` the folder around several seeds of one config; `open_run` reads both.
Every JSON file is replaced as a whole, so that a reader, or a run that is killed, never sees half of one;
`metrics.jsonl` grows by one whole line at a time. `nnlab.record.schema` has the names of the files and of
the summary's fields.
"""

from nnlab.files import replace_file
from nnlab.record.finding import find_run, find_runs
from nnlab.record.folders import adopted, check_writable, new_folder, slug, stamp
from nnlab.record.reading import Run, open_run
from nnlab.record.schema import SCHEMA_VERSION, plain
from nnlab.record.writing import Group, MetricsLog, Record

__all__ = [
    "SCHEMA_VERSION",
    "Group",
    "MetricsLog",
    "Record",
    "Run",
    "adopted",
    "check_writable",
    "find_run",
    "find_runs",
    "new_folder",
    "open_run",
    "plain",
    "replace_file",
    "slug",
    "stamp",
]
