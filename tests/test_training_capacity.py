"""Out of memory: what is said, and that the batch that is proposed does fit."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from command_line import nnlab

from nnlab.record import open_run
from nnlab.training.capacity import fits_in_memory, largest_batch, out_of_memory

CONFIG = """\
experiment: classify
data: {name: blobs, examples: 30000, batch_size: full, validation: 0.0}
model: {name: mlp, hidden: [4000]}
training: {epochs: 1, device: cpu}
"""  # 30,000 × 4,000 activations in float32 are 458 MiB, and their gradients as much again


@contextlib.contextmanager
def little_memory(more: int) -> Iterator[None]:
    """Lets this process have so many bytes more than it has now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.parametrize("room", [0, 1, 2, 3, 7, 100, 999, 1000])
def test_the_largest_batch_is_found_within_an_eighth(room: int) -> None:
    tried: list[int] = []

    def attempt(examples: int) -> None:
        tried.append(examples)
        if examples > room:
            raise MemoryError

    found = largest_batch(attempt, 1001)
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


def test_the_message_proposes_what_fits(tmp_path: Path) -> None:
    config = tmp_path / "large.yaml"
    config.write_text(CONFIG)
    with little_memory(2**28):
        result = nnlab("train", "--config", config, "--runs", tmp_path / "runs", "--quiet")
    assert result.code == 1
    (run,) = (tmp_path / "runs").glob("*/*")
    message, folder = result.err.removeprefix("nnlab: ").splitlines()
    assert folder == str(run)
    assert message.startswith("out of memory on cpu: no room for ")
    assert "data.batch_size full (30,000) does not fit; about " in message
    assert open_run(run).summary["message"] == message
    batch = message.partition("--set data.batch_size=")[2].partition(",")[0]
    assert 300 < int(batch) < 17_000  # 256 MiB of 16 to 800 kB for each example
    assert message.endswith(f"or, for the same steps in parts, --set training.micro_batch={batch}")
    for change in (f"data.batch_size={batch}", f"training.micro_batch={batch}"):
        with little_memory(2**28):
            again = nnlab(
                "train", "--config", config, "--runs", tmp_path / "more", "--quiet", "--set", change
            )
        assert again.code == 0, again.err
