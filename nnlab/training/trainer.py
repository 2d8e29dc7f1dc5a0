"""The one training loop."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nnlab.data import DataSet, Split
from nnlab.errors import Diverged, Interrupted
from nnlab.models import weight_matrices
from nnlab.training.checkpoint import Checkpoints, State
from nnlab.training.losses import Loss, Penalty
from nnlab.training.optimizers import Optimizer, Schedule

Row = dict[str, Any]
Metrics = dict[str, float]
Precision = Literal["float32", "bfloat16", "float64"]

EVALUATION_BATCH = 2048  # examples: bounds the activations that an evaluation holds at once
TICK = 0.1  # seconds between two looks at the progress bar and the checkpoint clock


@dataclass
class Position:
    """Where a training is: what a checkpoint holds beside weights, optimizer and random states.

    `loss`, `correct` and `examples` are sums over the batches of the epoch so far; `observed` was measured
    at the weights that the epoch started from; `best` orders validation results, larger is better.
    """

    epoch: int = 0
    step: int = 0
    batch: int = 0
    loss: float = 0.0
    correct: int = 0
    examples: int = 0
    observed: Metrics = field(default_factory=dict)
    last_loss: float | None = None
    best: list[float] | None = None
    best_epoch: int = 0
    stale: int = 0


@dataclass(frozen=True)
class FitResult:
    """What a training leaves behind. The model that was passed in holds the best weights.

    Attributes:
        metrics: `train/loss`, `val/accuracy`, `test/accuracy`…, evaluated at the best weights.
        epochs: epochs done, fewer than asked for after an early stop.
        steps: optimizer steps done.
        best_epoch: the epoch after which the weights were best on the validation set; without one, the last.
    """

    metrics: Metrics
    epochs: int
    steps: int
    best_epoch: int


def fit(
    model: nn.Module,
    data: DataSet,
    *,
    loss: Loss,
    optimizer: Optimizer,
    epochs: int,
    batch_size: int | Literal["full"],
    generator: torch.Generator,
    penalty: Penalty | None = None,
    schedule: Schedule | None = None,
    clip_norm: float | None = None,
    precision: Precision = "float32",
    compile: bool = False,
    patience: int | None = None,
    evaluate_every: int = 1,
    observe: Callable[[nn.Module], Metrics] | None = None,
    log: Callable[[Row], None] | None = None,
    checkpoints: Checkpoints | None = None,
    stop: Callable[[], bool] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> FitResult:
    """Trains `model` on `data.train` and leaves the best weights in it.

    Where `checkpoints` holds a state, it goes on from there; on the CPU the rows logged are then, byte for
    byte, those of a training that was never cut off.

    Args:
        model: on the data's device.
        data: its splits; with `data.validation` None, the last weights count as the best.
        loss: of a batch; its mean or sum over the epoch's batches, each before its step, is the train loss.
        optimizer: over the model's parameters; its step sizes are the largest of the schedule.
        epochs: passes over the training split.
        batch_size: examples a step, drawn without replacement; `full` takes all in their order.
        generator: on the CPU, orders the examples.
        penalty: λR(W) over the weight matrices; its gradient is whole, whatever the batch.
        schedule: step → multiple of the step size.
        clip_norm: longest gradient, of loss and penalty together.
        precision: `bfloat16` computes in mixed precision; the other two are the model's own.
        compile: whether the model goes through torch.compile.
        patience: epochs without a better validation result after which the training stops.
        evaluate_every: epochs between two evaluations and two logged rows.
        observe: measures the model at the weights that a logged epoch starts from; joins the train row.
        log: takes every row: step, epoch, split and metrics.
        checkpoints: where to save, and to go on from.
        stop: asked after every step; True saves a checkpoint and raises Interrupted.
        progress: takes (steps done, steps in all, a short text) now and then.

    Raises:
        Diverged: a loss is not finite; the message says at which step and step size.
        Interrupted: `stop` said so.
        RunFolderError: a checkpoint that does not fit.
    """
    return _Training(
        model,
        data,
        loss,
        optimizer,
        epochs,
        batch_size,
        generator,
        penalty,
        schedule,
        clip_norm,
        precision,
        compile,
        patience,
        evaluate_every,
        observe,
        log or (lambda row: None),
        checkpoints,
        stop or (lambda: False),
        progress or (lambda done, total, text: None),
    ).run()


@dataclass
class _Training:
    """The arguments of fit(), and the loop over them in readable pieces."""

    model: nn.Module
    data: DataSet
    loss: Loss
    optimizer: Optimizer
    epochs: int
    batch_size: int | Literal["full"]
    generator: torch.Generator
    penalty: Penalty | None
    schedule: Schedule | None
    clip_norm: float | None
    precision: Precision
    compile: bool
    patience: int | None
    evaluate_every: int
    observe: Callable[[nn.Module], Metrics] | None
    log: Callable[[Row], None]
    checkpoints: Checkpoints | None
    stop: Callable[[], bool]
    progress: Callable[[int, int, str], None]

    def __post_init__(self) -> None:
        train = self.data.train
        self.at = Position()
        self.weights = weight_matrices(self.model)
        self.forward = torch.compile(self.model) if self.compile else self.model
        self.autocast = autocast(train.inputs.device, self.precision)
        self.step = Step(
            self.forward, self.loss, self.optimizer, self.weights, self.penalty, self.clip_norm,
            self.autocast, count_correct=self.data.task == "classification",
        )  # fmt: skip
        self.full = self.batch_size == "full" or self.batch_size >= len(train)
        size = len(train) if self.full else int(self.batch_size)
        self.batches_per_epoch = math.ceil(len(train) / size)
        self.base_lrs = [group["lr"] for group in self.optimizer.param_groups]
        # The whole set as one batch is standardized once, not at every step.
        self.whole = self.data.normalize(train.inputs) if self.full else None
        # Asking a GPU for a number waits for it: there, losses are read some steps late.
        self.flush_every = 1 if train.inputs.device.type == "cpu" else 32
        self.pending: list[tuple[Tensor, Tensor | None, int]] = []
        self.best: dict[str, Tensor] = {}
        self.order_state = self.generator.get_state()

    def run(self) -> FitResult:
        finished = self._restore()
        if finished is None:
            while self.at.epoch < self.epochs and not self._out_of_patience():
                self._epoch()
            finished = self._finish()
        self.model.load_state_dict(self.best)
        return FitResult(finished, self.at.epoch, self.at.step, self.at.best_epoch)

    # --- one epoch ---

    def _epoch(self) -> None:
        at, train = self.at, self.data.train
        logged = (at.epoch + 1) % self.evaluate_every == 0 or at.epoch + 1 == self.epochs
        if at.batch == 0:
            self.order_state = self.generator.get_state()
            at.observed = self._observe() if logged else {}
        self.model.train()
        next_tick = time.monotonic() + TICK
        for batch in self._batches()[at.batch :]:
            if self.schedule is not None:
                for group, lr in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
                    group["lr"] = lr * self.schedule(at.step)
            if batch is None:
                assert self.whole is not None
                inputs, targets = self.whole, train.targets
            else:
                inputs = self.data.normalize(train.inputs.index_select(0, batch))
                targets = train.targets.index_select(0, batch)
            self.pending.append((*self.step(inputs, targets), len(targets)))
            at.step += 1
            at.batch += 1
            if len(self.pending) >= self.flush_every:
                self._flush()
            if self.stop():
                self._save()
                raise Interrupted(f"stopped after step {at.step} of {self.epochs * self.batches_per_epoch}")
            if time.monotonic() >= next_tick:
                self._tick()
                next_tick = time.monotonic() + TICK
        self._flush()
        at.epoch += 1
        if logged:
            self._log_train()
            self._evaluate()
        at.batch, at.loss, at.correct, at.examples = 0, 0.0, 0, 0

    def _batches(self) -> Sequence[Tensor | None]:
        """The index sets of this epoch; None stands for everything."""
        if self.full:
            return [None]
        self.generator.set_state(self.order_state)
        train = self.data.train
        order = torch.randperm(len(train), generator=self.generator).to(train.inputs.device)
        return torch.split(order, int(self.batch_size))

    def _flush(self) -> None:
        """Reads the losses of the steps since the last time, and adds them up."""
        at = self.at
        first = at.step - len(self.pending) + 1
        for offset, (loss, correct, n) in enumerate(self.pending):
            value = float(loss)
            if not math.isfinite(value):
                raise self._diverged(first + offset, value)
            at.last_loss = value
            at.loss += value * n if self.loss.reduction == "mean" else value
            at.correct += int(correct) if correct is not None else 0
            at.examples += n
        self.pending.clear()

    def _diverged(self, step: int, value: float) -> Diverged:
        lr = max(group["lr"] for group in self.optimizer.param_groups)
        last = (
            "no loss was finite"
            if self.at.last_loss is None
            else f"the last finite loss was {self.at.last_loss:.6g}"
        )
        return Diverged(
            f"the loss is {value} at step {step} with step size {lr:g}; {last}. "
            "Try a smaller step size: --set optimizer.lr=..., or optimizer.clip_norm"
        )

    def _tick(self) -> None:
        at = self.at
        text = "" if at.last_loss is None else f"loss {at.last_loss:.4g}"
        self.progress(at.step, self.epochs * self.batches_per_epoch, text)
        if self.checkpoints is not None and self.checkpoints.due():
            self._save()

    # --- measuring ---

    def _observe(self) -> Metrics:
        observed: Metrics = {}
        if self.penalty is not None:
            with torch.no_grad():
                observed["penalty"] = float(self.penalty.value(self.weights))
        if self.observe is not None:
            observed |= self.observe(self.model)
        return observed

    def _log_train(self) -> None:
        at = self.at
        row: Row = {"step": at.step, "epoch": at.epoch, "split": "train"}
        row["loss"] = at.loss / at.examples if self.loss.reduction == "mean" else at.loss
        if "penalty" in at.observed:
            row["objective"] = row["loss"] + at.observed["penalty"]
        if self.data.task == "classification":
            row["accuracy"] = at.correct / at.examples
        row["lr"] = self.optimizer.param_groups[0]["lr"]
        self.log({**row, **at.observed})

    def _evaluate(self) -> None:
        """Validates, and keeps the weights where they are the best so far."""
        at, validation = self.at, self.data.validation
        if validation is None:
            return
        metrics = self._measure(validation)
        self.log({"step": at.step, "epoch": at.epoch, "split": "val", **metrics})
        if not math.isfinite(metrics["loss"]):
            raise self._diverged(at.step, metrics["loss"])
        # Accuracy decides, the loss among equals: a loss can rise while more and more is right.
        key = [metrics["accuracy"], -metrics["loss"]] if "accuracy" in metrics else [-metrics["loss"]]
        if at.best is None or key > at.best:
            at.best, at.best_epoch, at.stale = key, at.epoch, 0
            self.best = self._copy_weights()
        else:
            at.stale += self.evaluate_every

    def _measure(self, split: Split) -> Metrics:
        return evaluate(self.forward, self.data, split, self.loss, self.precision)

    def _out_of_patience(self) -> bool:
        return self.patience is not None and self.at.stale >= self.patience

    def _copy_weights(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    def _finish(self) -> Metrics:
        """Evaluates every split at the best weights, and saves the last checkpoint."""
        at = self.at
        if self.data.validation is None:
            self.best, at.best_epoch = self._copy_weights(), at.epoch
        last = self._copy_weights()
        self.model.load_state_dict(self.best)
        splits = {"train": self.data.train, "val": self.data.validation, "test": self.data.test}
        metrics = {
            f"{name}/{key}": value
            for name, split in splits.items()
            if split is not None
            for key, value in self._measure(split).items()
        }
        test = {key.removeprefix("test/"): v for key, v in metrics.items() if key.startswith("test/")}
        self.log({"step": at.step, "epoch": at.best_epoch, "split": "test", **test})
        if not math.isfinite(metrics["train/loss"]):
            raise self._diverged(at.step, metrics["train/loss"])
        self.model.load_state_dict(last)
        self._save(finished=metrics)
        self.progress(at.step, at.step, "")
        return metrics

    # --- saving and going on ---

    def _save(self, finished: Metrics | None = None) -> None:
        if self.checkpoints is None:
            return
        self._flush()
        state: State = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "position": asdict(self.at),
            "order": self.order_state,
            "generator": self.generator.get_state(),
            "torch_rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "finished": finished,
        }
        self.checkpoints.save(state, self.best or self._copy_weights(), self.at.best_epoch)

    def _restore(self) -> Metrics | None:
        """Goes to the last checkpoint, if there is one; returns the metrics of a training that had ended."""
        loaded = self.checkpoints.load() if self.checkpoints is not None else None
        if loaded is None:
            return None
        assert self.checkpoints is not None
        state, best = loaded
        try:
            self.model.load_state_dict(best)
            self.best = self._copy_weights()
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.at = Position(**state["position"])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise self.checkpoints.misfit(error) from None
        self.order_state = state["order"]
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["torch_rng"])
        if state["cuda_rng"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["cuda_rng"])
        finished: Metrics | None = state["finished"]
        return finished


class Step:
    """One optimizer step on one batch, and its loss and number of right answers before the step.

    Args:
        forward: inputs (n, …) → outputs (n, C).
        weights: the matrices that `penalty` is about.
        autocast: the context of the forward pass.
        count_correct: whether targets are labels to be counted.
    """

    def __init__(
        self,
        forward: Callable[[Tensor], Tensor],
        loss: Loss,
        optimizer: Optimizer,
        weights: Sequence[Tensor],
        penalty: Penalty | None = None,
        clip_norm: float | None = None,
        autocast: AbstractContextManager[object] | None = None,
        *,
        count_correct: bool = True,
    ) -> None:
        self._forward, self._loss, self._optimizer = forward, loss, optimizer
        self._weights, self._penalty, self._clip_norm = weights, penalty, clip_norm
        self._autocast = autocast
        self._count_correct = count_correct
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._line_search = isinstance(optimizer, torch.optim.LBFGS)

    def __call__(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        self._inputs, self._targets = inputs, targets
        self._measured: list[tuple[Tensor, Tensor | None]] = []
        self._optimizer.step(self._closure)
        if self._penalty is not None and self._penalty.proximal:
            self._penalty.shrink_(self._weights, self._optimizer.param_groups[0]["lr"])
        return self._measured[0]

    def _closure(self) -> Any:
        for p in self._parameters:
            p.grad = None
        if self._autocast is None:
            outputs = self._forward(self._inputs)
            loss = self._loss(outputs, self._targets)
        else:
            with self._autocast:
                outputs = self._forward(self._inputs)
                loss = self._loss(outputs.float(), self._targets)
        loss.backward()  # type: ignore[no-untyped-call]
        if self._penalty is not None:
            self._penalty.add_gradient_(self._weights)
        if self._clip_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters, self._clip_norm)
        loss = loss.detach()
        if not self._measured:  # a line search asks again at other weights
            correct = outputs.detach().argmax(1).eq(self._targets).sum() if self._count_correct else None
            self._measured.append((loss, correct))
        if self._line_search and self._penalty is not None:
            with torch.no_grad():
                return loss + self._penalty.value(self._weights)
        return loss


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object] | None:
    """The context of a forward pass in mixed precision; None where nothing is cast."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else None


@torch.no_grad()
def predict(
    model: Callable[[Tensor], Tensor], data: DataSet, inputs: Tensor, precision: Precision = "float32"
) -> Tensor:
    """Outputs (n, C) for inputs (n, …) of `data`, in evaluation mode and in blocks."""
    training = isinstance(model, nn.Module) and model.training
    if isinstance(model, nn.Module):
        model.eval()
    context = autocast(inputs.device, precision) or nullcontext()
    with context:
        blocks = [model(data.normalize(block)) for block in torch.split(inputs, EVALUATION_BATCH)]
    if isinstance(model, nn.Module):
        model.train(training)
    outputs = torch.cat(blocks)
    return outputs.float() if precision == "bfloat16" else outputs


@torch.no_grad()
def evaluate(
    model: Callable[[Tensor], Tensor],
    data: DataSet,
    split: Split,
    loss: Loss,
    precision: Precision = "float32",
) -> Metrics:
    """Loss, and for classes accuracy, of `model` over a whole split."""
    outputs = predict(model, data, split.inputs, precision)
    metrics = {"loss": float(loss(outputs, split.targets))}
    if data.task == "classification":
        metrics["accuracy"] = float((outputs.argmax(1) == split.targets).double().mean())
    return metrics
