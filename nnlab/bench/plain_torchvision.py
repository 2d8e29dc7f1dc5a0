"""What nnlab is timed against on CIFAR-10: torchvision's transforms in a DataLoader, and the bare loop.

`nnlab bench cifar10` prints this file.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision import transforms
from torchvision.transforms import v2

Transform = Callable[[Any], Tensor]


def pil_transform(size: tuple[int, int], crop: int, mean: Sequence[float], std: Sequence[float]) -> Transform:
    """The usual one, on PIL images. Mean and deviation are of pixels between 0 and 1."""
    changes: Transform = transforms.Compose(
        [
            transforms.RandomCrop(size, padding=crop, padding_mode="reflect"),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )
    return changes


def tensor_transform(
    size: tuple[int, int], crop: int, mean: Sequence[float], std: Sequence[float]
) -> Transform:
    """The same by transforms.v2, on uint8 tensors (C, H, W)."""
    changes: Transform = v2.Compose(
        [
            v2.RandomCrop(size, padding=crop, padding_mode="reflect"),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean, std),
        ]
    )
    return changes


class TransformedImages(Dataset[Any]):
    """Images that are in memory already, PIL or tensor, each changed as it is asked for."""

    def __init__(self, images: Sequence[Any], labels: Sequence[int], transform: Transform) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


def train(
    model: nn.Module,
    optimizer: Any,
    batches: Iterable[tuple[Tensor, Tensor]],
    label_smoothing: float,
    bfloat16: bool,
) -> None:
    """One step on each batch."""
    model.train()
    for x, y in batches:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = F.cross_entropy(model(x), y, label_smoothing=label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
