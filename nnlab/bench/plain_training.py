"""Training as anyone would write it: what `nnlab bench train` and `cifar10` compare nnlab to."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms import v2

Batches = Iterable[tuple[Tensor, Tensor]]
Transform = Callable[[Any], Tensor]


def build(inputs: int, hidden: int, outputs: int, lr: float, momentum: float, l2: float) -> tuple[Any, Any]:
    """A 2-layer network and its optimizer. λΣW² on the weights has the gradient 2λW: a weight decay of 2λ."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
    groups = [
        {"params": [p for p in model.parameters() if p.ndim == 2], "weight_decay": 2 * l2},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    return model, torch.optim.SGD(groups, lr=lr, momentum=momentum, fused=True)


def train(
    model: nn.Module, optimizer: Any, epoch: Callable[[], Batches], epochs: int
) -> list[tuple[float, float]]:
    """Loss and accuracy of each epoch, summed up step by step as nnlab does."""
    history = []
    for _ in range(epochs):
        total_loss, correct, seen = 0.0, 0, 0
        for x, y in epoch():
            optimizer.zero_grad()
            scores = model(x)
            loss = F.cross_entropy(scores, y)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total_loss += loss.item() * len(y)
            correct += int((scores.argmax(1) == y).sum())
            seen += len(y)
        history.append((total_loss / seen, correct / seen))
    return history


def train_on(model: nn.Module, optimizer: Any, batches: Batches, smoothing: float, bfloat16: bool) -> None:
    """One step on each batch."""
    model.train()
    for x, y in batches:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = F.cross_entropy(model(x), y, label_smoothing=smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


@torch.no_grad()
def evaluate(model: nn.Module, inputs: Tensor, targets: Tensor) -> tuple[float, float]:
    """Loss and accuracy over a whole set of tensors."""
    scores = torch.cat([model(block) for block in torch.split(inputs, 2048)])
    return F.cross_entropy(scores, targets).item(), (scores.argmax(1) == targets).double().mean().item()


def tensor_batches(inputs: Tensor, targets: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled batches of tensors that are in memory."""
    order = torch.randperm(len(inputs))
    for start in range(0, len(inputs), batch_size):
        batch = order[start : start + batch_size]
        yield inputs[batch], targets[batch]


def loader(dataset: "Dataset[Any]", batch_size: int, workers: int) -> "DataLoader[Any]":
    """The DataLoader of the tutorials; its workers stay alive and may use every core."""
    return DataLoader(
        dataset,
        batch_size=batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=_use_every_core if workers else None,
    )


def _use_every_core(worker: int) -> None:
    """The benchmark pins its threads; a worker would inherit the main thread's single core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))


class TransformedImages(Dataset[Any]):
    """Images that are in memory already, each transformed when it is read."""

    def __init__(self, images: Sequence[Any], labels: Sequence[int], transform: Transform) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


def random_transform(
    tensors: bool, size: tuple[int, int], crop: int, mean: Sequence[float], std: Sequence[float]
) -> Transform:
    """The usual transform of PIL images, or by transforms.v2 of uint8 tensors (C, H, W).

    Mean and deviation are of pixels between 0 and 1.
    """
    library: Any = v2 if tensors else transforms
    changes: Transform = library.Compose(
        [
            library.RandomCrop(size, padding=crop, padding_mode="reflect"),
            library.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True) if tensors else transforms.ToTensor(),
            library.Normalize(mean, std),
        ]
    )
    return changes
