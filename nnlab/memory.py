"""The free memory, and the part of it that one result may take by default."""

from pathlib import Path

import torch

CGROUP = Path("/sys/fs/cgroup")


def default_limit(device: torch.device | str = "cpu") -> int:
    """A quarter of the free memory of the device, in bytes."""
    return free_bytes(device) // 4


def free_bytes(device: torch.device | str = "cpu") -> int:
    """Bytes that a new allocation can have: what the machine has free, or the container allows, if less."""
    device = torch.device(device)
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:  # no Linux: half of what a small machine has
        return 4 * 2**30
    free = 1024 * int(text.partition("MemAvailable:")[2].split(None, 1)[0])
    allowed = _container_free()
    return free if allowed is None else min(free, allowed)


def _container_free() -> int | None:
    """The bytes that a memory limit on this container leaves, None if there is no limit."""
    try:
        limit = (CGROUP / "memory.max").read_text().strip()
        if limit == "max":
            return None
        used = int((CGROUP / "memory.current").read_text())
        stat = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    return max(0, int(limit) - used + int(stat.get("inactive_file", 0)))


def in_words(size: float) -> str:
    """Bytes for people: 1.5 GiB."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} GiB"
