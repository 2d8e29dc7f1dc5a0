"""Out of memory: what is said, and that the batch that is proposed does fit."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nnlab.record import open_run
from nnlab.training.capacity import fits_in_memory, largest_batch, out_of_memory

CONFIG = """\
experiment: classify
data: {name: blobs, examples: 60000, batch_size: full, validation: 0.0}
model: {name: mlp, hidden: [4000]}
training: {epochs: 1, device: cpu}
"""  # 60,000 × 4,000 activations in float32 are 916 MiB, and their gradients as much again


LIMITED = """\
import pathlib, resource, sys
import matplotlib.pyplot
import nnlab.lab.runner
from nnlab.cli.launch import launch
pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
room = pages * resource.getpagesize() + int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_AS, (room, room))
launch()
"""


def limited(more: int, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """nnlab in a process of its own, with so many bytes more than it has before it starts to work."""
    command = [sys.executable, "-c", LIMITED, str(more), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, 1, 2, 3, 7, 100, 999, 1000])
def test_the_largest_batch_is_found_within_an_eighth(room: int) -> None:
    tried: list[int] = []

    def attempt(examples: int) -> None:
        tried.append(examples)
        if examples > room:
            raise MemoryError

    found = largest_batch(attempt, 1001, seconds=1e9)
    assert found <= room
    assert found >= (0 if room < 2 else room / (1 + 1 / 8) - 1)
    assert max(tried) <= max(2, 2 * room)
    assert len(tried) < 16


def test_what_takes_too_long_is_not_tried() -> None:
    assert largest_batch(lambda examples: None, 10**6, seconds=0.0) == 2


def test_what_ran_out() -> None:
    def attempt(examples: int) -> None:
        torch.empty(2**58, dtype=torch.uint8)

    assert not fits_in_memory(attempt, 2)
    with pytest.raises(RuntimeError) as raised:
        attempt(2)
    assert out_of_memory(raised.value) == "no room for 2.684e+08 GiB more"
    cuda = torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which "
        "1.20 GiB is free. Process 1 has 77.90 GiB memory in use. Of the allocated memory …"
    )
    expected = "tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1.20 GiB is free"
    assert out_of_memory(cuda) == expected
    assert out_of_memory(MemoryError()) == "MemoryError"
    assert out_of_memory(RuntimeError("shapes do not match")) is None
    assert out_of_memory(ValueError("out of memory")) is None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited as on Linux")
def test_the_message_proposes_what_fits(tmp_path: Path) -> None:
    config = tmp_path / "large.yaml"
    config.write_text(CONFIG)
    result = limited(2**29, "train", "--config", config, "--runs", tmp_path / "runs", "--quiet")
    assert result.returncode == 1, result.stderr
    (run,) = (tmp_path / "runs").glob("*/*")
    message, folder = result.stderr.removeprefix("nnlab: ").splitlines()
    assert folder == str(run)
    assert message.startswith("out of memory on cpu: no room for ")
    assert "data.batch_size full (60,000) does not fit; about " in message
    assert open_run(run).summary["message"] == message
    batch = message.partition("--set data.batch_size=")[2].partition(",")[0]
    assert 300 < int(batch) < 34_000  # 512 MiB of 16 to 1,600 kB for each example
    assert message.endswith(f"or, for the same steps in parts, --set training.micro_batch={batch}")
    for change in (f"data.batch_size={batch}", f"training.micro_batch={batch}"):
        # The figures, too, need some room; all activations at once would be 916 MiB.
        room = 2**29 + 2**28
        again = limited(room, "train", "--config", config, "--runs", tmp_path, "--quiet", "--set", change)
        assert again.returncode == 0, again.stderr
