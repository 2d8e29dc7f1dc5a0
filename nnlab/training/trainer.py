"""The one training loop."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from nnlab.data import DataSet, Split
from nnlab.errors import Diverged, Interrupted
from nnlab.models import weight_matrices
from nnlab.training.capacity import out_of_memory
from nnlab.training.checkpoint import Checkpoints, State
from nnlab.training.distributed import Share, World, quiet
from nnlab.training.losses import Loss, Penalty
from nnlab.training.optimizers import Optimizer, Schedule
from nnlab.training.views import Views, views

Row = dict[str, Any]
Metrics = dict[str, float]
Precision = Literal["float32", "bfloat16", "float64"]

EVALUATION_BATCH = 512  # examples: their activations should fit into the cache
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


class Batch(NamedTuple):
    """What one process computes of one step.

    Attributes:
        inputs, targets: its share of the batch.
        counted: how many of them count; fewer than there are only where the batch has none for this process.
        scale: of its loss, so that the average over processes is the batch's loss.
    """

    inputs: Tensor
    targets: Tensor
    counted: int
    scale: float


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
    micro_batch: int | None = None,
    test_views: Views = "none",
    patience: int | None = None,
    evaluate_every: int = 1,
    observe: Callable[[nn.Module], Metrics] | None = None,
    log: Callable[[Row], None] | None = None,
    checkpoints: Checkpoints | None = None,
    stop: Callable[[], bool] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    world: World | None = None,
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
        micro_batch: examples at a time within a step, whose gradients are added up: the same step in less
            memory, and in less time where a batch is larger than the cache. Only batch norm sees a
            difference: its statistics are those of the micro-batch.
        test_views: of the images, over which the scores behind a second accuracy are averaged.
        patience: epochs without a better validation result after which the training stops.
        evaluate_every: epochs between two evaluations and two logged rows.
        observe: measures the model at the weights that a logged epoch starts from; joins the train row.
        log: takes every row: step, epoch, split and metrics.
        checkpoints: where to save, and to go on from.
        stop: asked after every step; True saves a checkpoint and raises Interrupted.
        progress: takes (steps done, steps in all, a short text) now and then.
        world: the processes that train together. Each calls fit() with the same arguments, apart from what
            writes: `log`, `checkpoints` and `observe` are the first one's. A batch is the same whatever
            their number, only batch norm sees a difference: its statistics are those of a process's share,
            and those that remain are the first process's.

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
        micro_batch,
        test_views,
        patience,
        evaluate_every,
        observe,
        log or (lambda row: None),
        checkpoints,
        stop or (lambda: False),
        progress or (lambda done, total, text: None),
        world or World(),
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
    micro_batch: int | None
    test_views: Views
    patience: int | None
    evaluate_every: int
    observe: Callable[[nn.Module], Metrics] | None
    log: Callable[[Row], None]
    checkpoints: Checkpoints | None
    stop: Callable[[], bool]
    progress: Callable[[int, int, str], None]
    world: World

    def __post_init__(self) -> None:
        train = self.data.train
        self.at = Position()
        self.weights = weight_matrices(self.model)
        self.forward = torch.compile(self.model) if self.compile else self.model
        self.autocast = autocast(train.inputs.device, self.precision)
        self.step = Step(
            self.world.parallel(self.forward), self.loss, self.optimizer, self.weights, self.penalty,
            self.clip_norm, self.autocast, self.micro_batch, self.world,
            count_correct=self.data.task == "classification",
        )  # fmt: skip
        self.full = self.batch_size == "full" or self.batch_size >= len(train)
        size = len(train) if self.full else int(self.batch_size)
        self.batches_per_epoch = math.ceil(len(train) / size)
        self.base_lrs = [group["lr"] for group in self.optimizer.param_groups]
        # The whole set as one batch is standardized once, not at every step.
        unchanging = self.full and self.data.augmentation is None
        self.whole = self.data.normalize(train.inputs) if unchanging else None
        # Asking a GPU for a number waits for it: there, losses are read some steps late.
        self.flush_every = 1 if train.inputs.device.type == "cpu" else 32
        self.pending: list[tuple[Tensor, Tensor | None, int]] = []
        self.due = False  # whether it is time for a checkpoint
        self.next_tick = time.monotonic() + TICK
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
        at = self.at
        logged = (at.epoch + 1) % self.evaluate_every == 0 or at.epoch + 1 == self.epochs
        if at.batch == 0:
            self.order_state = self.generator.get_state()
            at.observed = self._observe() if logged else {}
        self.model.train()
        for batch in self._batches(at.batch):
            if self.schedule is not None:
                for group, lr in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
                    group["lr"] = lr * self.schedule(at.step)
            loss, correct = self.step(batch.inputs, batch.targets, batch.scale)
            self.pending.append((loss, correct, batch.counted))
            at.step += 1
            at.batch += 1
            if len(self.pending) >= self.flush_every:
                self._flush()
            if time.monotonic() >= self.next_tick:
                self._tick()
            if self.world.alone or not self.pending:
                self._answer()
        self._flush()
        at.epoch += 1
        if logged:
            self._log_train()
            self._evaluate()
        at.batch, at.loss, at.correct, at.examples = 0, 0.0, 0, 0

    def _answer(self) -> None:
        """Saves where it is time to, and stops where somebody asks: all processes after the same step."""
        stop, due = self.world.any(self.stop(), self.due)
        if stop or due:
            self._save()
            self.due = False
        if stop:
            raise Interrupted(f"stopped after step {self.at.step} of {self.epochs * self.batches_per_epoch}")

    def _batches(self, done: int) -> Iterator[Batch]:
        """This process's share of this epoch's batches, without the first `done`.

        All random numbers of an epoch are drawn at its start, so that going on in its middle needs nothing
        but the generator's state at that moment.
        """
        train, augmentation = self.data.train, self.data.augmentation
        if self.whole is not None:
            share = self.world.share(len(train))
            inputs, targets = self.whole[share.part], train.targets[share.part]
            yield from [self._batch(inputs, targets, share, len(train))][done:]
            return
        self.generator.set_state(self.order_state)
        device, size = train.inputs.device, len(train) if self.full else int(self.batch_size)
        order = (
            torch.arange(len(train)) if self.full else torch.randperm(len(train), generator=self.generator)
        )
        draws = None
        if augmentation is not None:
            height, width = self.data.input_shape[-2:]
            draws = augmentation.draw(len(train), self.at.epoch, (height, width), self.generator).to(device)
        for batch in torch.split(order.to(device), size)[done:]:
            share = self.world.share(len(batch))
            chosen = batch[share.part]
            drawn = self.data.batch(chosen, None if draws is None else draws.select(chosen))
            yield self._batch(drawn.inputs, drawn.targets, share, len(batch))

    def _batch(self, inputs: Tensor, targets: Tensor, share: Share, examples: int) -> Batch:
        """`share` of a batch of so many examples."""
        scale = self.world.weight(share, examples, self.loss.reduction)
        return Batch(inputs, targets, share.counted, scale)

    def _flush(self) -> None:
        """Reads the losses of the steps since the last time, and adds them up."""
        at = self.at
        first = at.step - len(self.pending) + 1
        for offset, (value, correct, n) in enumerate(self._read()):
            if not math.isfinite(value):
                raise self._diverged(first + offset, value)
            at.last_loss = value
            at.loss += value * n if self.loss.reduction == "mean" else value
            at.correct += correct
            at.examples += n

    def _read(self) -> Iterator[tuple[float, int, int]]:
        """Loss, right answers and examples of each pending step, over all processes."""
        rows = [(float(loss), 0 if right is None else int(right), n) for loss, right, n in self.pending]
        self.pending.clear()
        if self.world.alone:
            yield from rows
            return
        mean = self.loss.reduction == "mean"
        sums = self.world.sum([
            number
            for value, right, n in rows
            for number in ((value * n if mean else value, right, n) if n else (0.0, 0, 0))
        ])  # fmt: skip
        for value, right, n in zip(sums[0::3], sums[1::3], sums[2::3], strict=True):
            yield value / n if mean else value, int(right), int(n)

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
        self.due = self.due or (self.checkpoints is not None and self.checkpoints.due())
        self.next_tick = time.monotonic() + TICK

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
        self.world.take_buffers_(self.model)
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

    def _measure(self, split: Split, test_views: Views = "none") -> Metrics:
        """Metrics of the model over a whole split, of which every process measures a share."""
        share = self.world.share(len(split))
        mine = Split(split.inputs[share.part], split.targets[share.part])
        metrics = evaluate(self.forward, self.data, mine, self.loss, self.precision, test_views)
        if self.world.alone:
            return metrics
        added = {"loss"} if self.loss.reduction == "sum" else set()  # the others are means
        sums = self.world.sum([
            value * (1 if name in added else share.counted) if share.counted else 0.0
            for name, value in metrics.items()
        ])  # fmt: skip
        return {
            name: total if name in added else total / len(split)
            for name, total in zip(metrics, sums, strict=True)
        }

    def _out_of_patience(self) -> bool:
        return self.patience is not None and self.at.stale >= self.patience

    def _copy_weights(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    def _finish(self) -> Metrics:
        """Evaluates every split at the best weights, and saves the last checkpoint."""
        at = self.at
        self.world.take_buffers_(self.model)
        if self.data.validation is None:
            self.best, at.best_epoch = self._copy_weights(), at.epoch
        last = self._copy_weights()
        self.model.load_state_dict(self.best)
        splits = {"train": self.data.train, "val": self.data.validation, "test": self.data.test}
        metrics = {
            f"{name}/{key}": value
            for name, split in splits.items()
            if split is not None
            for key, value in self._measure(split, "none" if name == "train" else self.test_views).items()
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
        self._flush()
        torch_rng = self.world.gather(torch.get_rng_state())
        cuda_rng = self.world.gather(torch.cuda.get_rng_state()) if torch.cuda.is_available() else []
        if self.checkpoints is None:
            return
        state: State = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "position": asdict(self.at),
            "order": self.order_state,
            "generator": self.generator.get_state(),
            "torch_rng": torch_rng,
            "cuda_rng": cuda_rng,
            "finished": finished,
        }
        self.checkpoints.save(state, self.best or self._copy_weights(), self.at.best_epoch)

    def _restore(self) -> Metrics | None:
        """Goes to the last checkpoint, if there is one; returns the metrics of a training that had ended."""
        loaded = self.world.from_first(self.checkpoints.load() if self.checkpoints is not None else None)
        if loaded is None:
            return None
        state, best = loaded
        try:
            self.model.load_state_dict(best)
            self.best = self._copy_weights()
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.at = Position(**state["position"])
            self.order_state = state["order"]
            self.generator.set_state(state["generator"])
            self._restore_rng(state["torch_rng"], state["cuda_rng"])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            if self.checkpoints is None:
                raise
            raise self.checkpoints.misfit(error) from None
        finished: Metrics | None = state["finished"]
        return finished

    def _restore_rng(self, torch_rng: Sequence[Tensor], cuda_rng: Sequence[Tensor]) -> None:
        """Sets the states of torch's own generators; a process that was not there keeps its own."""
        rank = self.world.rank
        if rank < len(torch_rng):
            torch.set_rng_state(torch_rng[rank])
        if rank < len(cuda_rng) and torch.cuda.is_available():
            torch.cuda.set_rng_state(cuda_rng[rank])


class Step:
    """One optimizer step on one batch, and its loss and number of right answers before the step.

    Args:
        forward: inputs (n, …) → outputs (n, C).
        weights: the matrices that `penalty` is about.
        autocast: the context of the forward pass.
        micro_batch: examples at a time; None for all of the batch at once.
        world: the processes over which the gradients are averaged, where `forward` averages them.
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
        micro_batch: int | None = None,
        world: World | None = None,
        *,
        count_correct: bool = True,
    ) -> None:
        self._forward, self._loss, self._optimizer = forward, loss, optimizer
        self._weights, self._penalty, self._clip_norm = weights, penalty, clip_norm
        self._autocast = autocast or nullcontext()
        self._micro_batch, self._world = micro_batch, world or World()
        self._count_correct = count_correct
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._line_search = isinstance(optimizer, torch.optim.LBFGS)

    def __call__(self, inputs: Tensor, targets: Tensor, scale: float = 1.0) -> tuple[Tensor, Tensor | None]:
        """Descends the loss times `scale`; what is returned is not scaled."""
        self._inputs, self._targets, self._scale = inputs, targets, scale
        self._measured: list[tuple[Tensor, Tensor | None]] = []
        self._optimizer.step(self._closure)
        if self._penalty is not None and self._penalty.proximal:
            self._penalty.shrink_(self._weights, self._optimizer.param_groups[0]["lr"])
        return self._measured[0]

    def _closure(self) -> Any:
        for p in self._parameters:
            p.grad = None
        loss, correct = self._backward()
        if self._penalty is not None:
            self._penalty.add_gradient_(self._weights)
        if self._clip_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters, self._clip_norm)
        if not self._measured:  # a line search asks again at other weights
            self._measured.append((loss, correct))
        return self._objective(loss) if self._line_search else loss

    @torch.no_grad()
    def _objective(self, loss: Tensor) -> Tensor | float:
        """Loss of the whole batch, over all processes, and penalty."""
        whole: Tensor | float = loss
        if not self._world.alone:
            whole = self._world.sum([float(loss) * self._scale])[0] / self._world.size
        return whole if self._penalty is None else whole + self._penalty.value(self._weights)

    def _backward(self) -> tuple[Tensor, Tensor | None]:
        """Leaves the gradient of the batch's loss in the parameters; returns that loss and what was right."""
        examples = len(self._targets)
        parts = 1 if self._micro_batch is None else math.ceil(examples / self._micro_batch)
        total: Tensor | None = None
        correct: Tensor | None = None
        for part, (inputs, targets) in enumerate(
            zip(self._inputs.tensor_split(parts), self._targets.tensor_split(parts), strict=True), 1
        ):
            with nullcontext() if part == parts else quiet(self._forward):
                with self._autocast:
                    outputs = self._forward(inputs)
                    outputs = outputs.float() if outputs.dtype == torch.bfloat16 else outputs
                    loss = self._loss(outputs, targets)
                if parts > 1 and self._loss.reduction == "mean":
                    loss = loss * (len(targets) / examples)
                (loss if self._scale == 1 else loss * self._scale).backward()  # type: ignore[no-untyped-call]
            # Added in place: a tensor that each part left behind would keep the allocator from reusing what
            # is around it, and memory would grow with the number of parts.
            total = loss.detach() if total is None else total.add_(loss.detach())
            if self._count_correct:
                right = outputs.detach().argmax(1).eq(targets).sum()
                correct = right if correct is None else correct.add_(right)
        assert total is not None
        return total, correct


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object] | None:
    """The context of a forward pass in mixed precision; None where nothing is cast."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else None


@torch.no_grad()
def predict(
    model: Callable[[Tensor], Tensor],
    data: DataSet,
    inputs: Tensor,
    precision: Precision = "float32",
    test_views: Views = "none",
) -> Tensor:
    """Outputs (n, C) for inputs (n, …) of `data`, in evaluation mode and in blocks.

    With `test_views`, they are means over changed images. Where memory runs out, the blocks are halved: a
    training that fits is never ended by its evaluation.
    """
    training = isinstance(model, nn.Module) and model.training
    if isinstance(model, nn.Module):
        model.eval()
    outputs, size = None, EVALUATION_BATCH
    while outputs is None:
        try:
            with autocast(inputs.device, precision) or nullcontext():
                outputs = _outputs(model, data, inputs, test_views, size)
        except (RuntimeError, MemoryError) as error:
            if out_of_memory(error) is None or min(size, len(inputs)) < 2:
                raise
            size = min(size, len(inputs)) // 2
    if isinstance(model, nn.Module):
        model.train(training)
    return outputs.float() if precision == "bfloat16" else outputs


def _outputs(
    model: Callable[[Tensor], Tensor], data: DataSet, inputs: Tensor, test_views: Views, size: int
) -> Tensor:
    """Outputs (n, C), computed for blocks of `size` examples.

    They go into one tensor: a small tensor left behind by each block would keep the allocator from reusing
    the memory of the activations around it.
    """
    outputs: Tensor | None = None
    for part, block in enumerate(torch.split(inputs, size)):
        seen = [weight * model(view) for weight, view in views(data.normalize(block), test_views)]
        found = sum(seen[1:], seen[0])
        if outputs is None:
            outputs = found.new_empty((len(inputs), *found.shape[1:]))
        outputs[part * size : part * size + len(block)] = found
    assert outputs is not None  # split gives at least one block
    return outputs


@torch.no_grad()
def evaluate(
    model: Callable[[Tensor], Tensor],
    data: DataSet,
    split: Split,
    loss: Loss,
    precision: Precision = "float32",
    test_views: Views = "none",
) -> Metrics:
    """Loss, and for classes accuracy, of `model` over a whole split.

    With `test_views`, `accuracy_tta` stands beside an accuracy that knows nothing of them.
    """
    outputs = predict(model, data, split.inputs, precision)
    metrics = {"loss": float(loss(outputs, split.targets))}
    if data.task == "classification":
        metrics["accuracy"] = accuracy(outputs, split.targets)
        if test_views != "none":
            averaged = predict(model, data, split.inputs, precision, test_views)
            metrics["accuracy_tta"] = accuracy(averaged, split.targets)
    return metrics


def accuracy(outputs: Tensor, targets: Tensor) -> float:
    """The share of examples whose largest score (N, C) is that of their label (N,)."""
    return float((outputs.argmax(1) == targets).double().mean())
