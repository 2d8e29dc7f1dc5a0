"""Small trainings, by several processes or by one: what test_distributed.py compares.

torchrun starts this file, with the file to write as its argument.
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nnlab.lab.build import build_data
from nnlab.lab.sections import BlobsData
from nnlab.models import MLP
from nnlab.training import Parts, Settings, build_loss, build_optimizer, build_penalty, fit
from nnlab.training.distributed import World, called, together

CASES: dict[str, dict[str, Any]] = {
    "shares of different sizes": {"batch_size": 16},
    "fewer examples than processes": {"batch_size": 1},
    "the whole set": {"batch_size": "full"},
    "micro-batches, penalty and clipping": {
        "batch_size": 25,  # shares of 8, 8 and 9 examples: two, two and three micro-batches
        "micro_batch": 4,
        "penalty": build_penalty("l2", 0.01),
        "clip_norm": 0.5,
    },
    "class weights": {
        "batch_size": 25,
        "micro_batch": 4,
        "loss": build_loss("cross_entropy", class_weights=torch.tensor([0.4, 1.0, 3.0])),
    },
    "a sum": {"batch_size": 16, "loss": build_loss("squared_error", reduction="sum"), "lr": 0.005},
    "a line search": {"batch_size": "full", "optimizer": "lbfgs", "penalty": build_penalty("l2", 0.01)},
    "batch norm": {"batch_size": "full", "norm": True},
}


def train(case: str, world: World) -> dict[str, Any]:
    """The rows of a training, and the weights of every process after it."""
    options = {"loss": build_loss("cross_entropy"), "optimizer": "sgd", "lr": 0.2, **CASES[case]}
    name, lr, norm = options.pop("optimizer"), options.pop("lr"), options.pop("norm", False)
    loss, penalty = options.pop("loss"), options.pop("penalty", None)
    section = BlobsData(name="blobs", examples=71, spread=1.5, validation=0.03)  # 2 examples to validate
    data = build_data(section, device=torch.device("cpu"), dtype=torch.float64)
    model: nn.Module = MLP(2, [5], data.outputs, "tanh", generator=torch.Generator().manual_seed(0)).double()
    if norm:
        model = nn.Sequential(nn.BatchNorm1d(2, dtype=torch.float64), model)
    arguments = {} if name == "lbfgs" else {"momentum": 0.9}
    rows: list[dict[str, float]] = []
    optimizer = build_optimizer(name, model, lr=1.0 if name == "lbfgs" else lr, **arguments)
    result = fit(
        Parts(model, data, loss, optimizer, penalty),
        Settings(epochs=3, **options),
        generator=torch.Generator().manual_seed(1),
        log=lambda row: rows.append({key: value for key, value in row.items() if key != "split"}),
        world=world,
    )
    state = torch.cat([value.double().flatten() for value in model.state_dict().values()])
    return {"rows": rows, "metrics": result.metrics, "states": world.gather(state)}


def main() -> None:
    if os.environ["RANK"] == "0":
        with together() as world:
            torch.save({case: train(case, world) for case in CASES}, Path(sys.argv[1]))
        return
    other = called()
    assert other is not None
    for case in CASES:
        train(case, other)
    other.from_first()


if __name__ == "__main__":
    main()
    os._exit(0)  # as `nnlab train` does: see nnlab.training.distributed.together
