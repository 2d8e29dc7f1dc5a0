"""The one training loop."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from nnlab.data import DataSet, Split
from nnlab.errors import Diverged, Interrupted, RunFolderError
from nnlab.models import weight_matrices
from nnlab.training.checkpoint import Checkpoints, State, check_optimizer
from nnlab.training.distributed import Share, World, quiet
from nnlab.training.evaluation import Metrics, Precision, Views, autocast, evaluate
from nnlab.training.losses import Loss, Penalty
from nnlab.training.optimizers import Optimizer, Schedule, base_lr

Row = dict[str, Any]

STATE = ("optimizer", "position", "order", "generator", "torch_rng", "cuda_rng", "finished")
"""The fields of a checkpoint, beside the model, that a training goes on from."""

TICK = 0.1  # seconds between two looks at the progress bar and the checkpoint clock


@dataclass
class Parts:
    """The parts of a training.

    Attributes:
        model: on the data's device.
        data: its splits; without a validation split, the last weights count as the best.
        loss: of a batch; its mean or sum over the epoch's batches, each before its step, is the train loss.
        optimizer: over the model's parameters; its step sizes are the largest of the schedule.
        penalty: λR(W) over the weight matrices; its gradient is whole, whatever the batch.
        schedule: step → multiple of the step size.
        precision: of forward passes: `bfloat16` computes in mixed precision, the others are the model's own.
    """

    model: nn.Module
    data: DataSet
    loss: Loss
    optimizer: Optimizer
    penalty: Penalty | None = None
    schedule: Schedule | None = None
    precision: Precision = "float32"

    @property
    def weights(self) -> list[nn.Parameter]:
        """The matrices that the penalty is about."""
        return weight_matrices(self.model)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a training.

    Attributes:
        epochs: passes over the training split.
        batch_size: examples a step, drawn without replacement; `full` takes all in their order.
        clip_norm: longest gradient, of loss and penalty together.
        compile: True sends the model through torch.compile.
        micro_batch: examples at a time within a step, whose gradients are added up: the same step in less
            memory, and in less time where a batch is larger than the cache. Only batch norm sees a
            difference: its statistics are those of the micro-batch.
        test_time_augmentation: changes of the images over which the scores behind a second accuracy are
            averaged.
        patience: epochs without a better validation result after which the training stops.
        evaluate_every: epochs between two evaluations and two logged rows.
    """

    epochs: int = 30
    batch_size: int | Literal["full"] = 64
    clip_norm: float | None = None
    compile: bool = False
    micro_batch: int | None = None
    test_time_augmentation: Views = "none"
    patience: int | None = None
    evaluate_every: int = 1


@dataclass
class Position:
    """The place that a training has reached: beside weights, optimizer and random states, a checkpoint.

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


_POSITION = TypeAdapter(Position)


def _position(fields: object) -> Position:
    """The position of a checkpoint. Raises ValueError where a field has another type than it should."""
    return _POSITION.validate_python(fields)


@dataclass(frozen=True)
class FitResult:
    """The outcome of a training. The model that was passed in holds the best weights.

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
    parts: Parts,
    settings: Settings,
    *,
    generator: torch.Generator,
    observe: Callable[[nn.Module], Metrics] | None = None,
    log: Callable[[Row], None] = lambda row: None,
    checkpoints: Checkpoints | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
    world: World | None = None,
) -> FitResult:
    """Trains `parts.model` on `parts.data.train` and leaves the best weights in it.

    Where `checkpoints` holds a state, it goes on from there; on the CPU the rows logged are then, byte for
    byte, those of a training that was never cut off. A training that had ended after fewer epochs than
    `settings` asks for goes on past its end, too, to the rows and weights of one that never stopped there.

    Args:
        parts: model, data, loss and optimizer.
        settings: epochs, batch size and the like.
        generator: on the CPU, orders the examples.
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
    world = world or World()
    return _Training(parts, settings, generator, observe, log, checkpoints, stop, progress, world).run()


ROW_METRICS = ("loss", "accuracy", "accuracy_tta", "weighted_accuracy")
"""The metrics of a split that have a place in its rows; the others are for the end."""


def _of_rows(metrics: Metrics) -> Metrics:
    return {name: metrics[name] for name in ROW_METRICS if name in metrics}


@dataclass
class _Training:
    """The arguments of fit(), and the loop over them in readable pieces."""

    parts: Parts
    settings: Settings
    generator: torch.Generator
    observe: Callable[[nn.Module], Metrics] | None
    log: Callable[[Row], None]
    checkpoints: Checkpoints | None
    stop: Callable[[], bool]
    progress: Callable[[int, int, str], None]
    world: World

    def __post_init__(self) -> None:
        parts, train = self.parts, self.parts.data.train
        self.model, self.data = parts.model, parts.data
        self.loss, self.optimizer = parts.loss, parts.optimizer
        self.at = Position()
        self.forward = torch.compile(self.model) if self.settings.compile else self.model
        self.step = Step(parts, self.settings, self.world.parallel(self.forward), self.world)
        size = self.settings.batch_size
        self.batch_size = len(train) if size == "full" else min(size, len(train))
        self.total = self.settings.epochs * math.ceil(len(train) / self.batch_size)  # steps
        self.base_lrs = [group["lr"] for group in self.optimizer.param_groups]
        # The whole set as one batch is standardized once, not at every step.
        unchanging = self.batch_size == len(train) and self.data.augmentation is None
        self.whole = self.data.normalize(train.inputs) if unchanging else None
        # Asking a GPU for a number waits for it: its losses are read some steps late.
        self.flush_every = 1 if train.inputs.device.type == "cpu" else 32
        self.pending: list[tuple[Tensor, Tensor | None, int]] = []
        self.due = False  # whether it is time for a checkpoint
        self.next_tick = time.monotonic() + TICK
        self.best: dict[str, Tensor] = {}
        self.ending: State | None = None  # where a longer training would go on, once this one is at its end
        self.order_state = self.generator.get_state()

    def run(self) -> FitResult:
        finished = self._restore()
        if finished is None:
            while self._goes_on(self.at):
                self._epoch()
            finished = self._finish()
        self.model.load_state_dict(self.best)
        return FitResult(finished, self.at.epoch, self.at.step, self.at.best_epoch)

    def _goes_on(self, at: Position) -> bool:
        return at.epoch < self.settings.epochs and at.stale < (self.settings.patience or math.inf)

    # --- one epoch ---

    def _epoch(self) -> None:
        at, schedule = self.at, self.parts.schedule
        logged = (at.epoch + 1) % self.settings.evaluate_every == 0 or at.epoch + 1 == self.settings.epochs
        if at.batch == 0:
            self.order_state = self.generator.get_state()
            at.observed = self._observe() if logged else {}
        self.model.train()
        for inputs, targets, share, scale in self._batches(at.batch):
            if schedule is not None:
                for group, lr in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
                    group["lr"] = lr * schedule(at.step)
            loss, correct = self.step(inputs, targets, scale)
            self.pending.append((loss, correct, share.counted))
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
            if at.epoch % self.settings.evaluate_every:  # logged as the last one only
                self.ending = self._here()
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
            raise Interrupted(f"stopped after step {self.at.step} of {self.total}")

    def _batches(self, done: int) -> Iterator[tuple[Tensor, Tensor, Share, float]]:
        """Inputs, targets and share of this process in this epoch's batches, without the first `done`.

        The last number is the scale of its loss, so that the average over processes is the batch's loss. All
        random numbers of an epoch are drawn at its start, so that going on in its middle needs nothing but
        the generator's state at that moment.
        """
        train, augmentation, world = self.data.train, self.data.augmentation, self.world
        device, examples, reduction = train.inputs.device, len(train), self.loss.reduction
        full = self.batch_size == examples
        self.generator.set_state(self.order_state)
        order = torch.arange(examples) if full else torch.randperm(examples, generator=self.generator)
        draws = None
        if augmentation is not None:
            height, width = self.data.input_shape[-2:]
            draws = augmentation.draw(examples, self.at.epoch, (height, width), self.generator).to(device)
        for batch in torch.split(order.to(device), self.batch_size)[done:]:
            share = world.share(len(batch))
            if self.whole is not None:
                inputs, targets = self.whole[share.part], train.targets[share.part]
            else:
                chosen = batch[share.part]
                drawn = self.data.batch(chosen, None if draws is None else draws.select(chosen))
                inputs, targets = drawn.inputs, drawn.targets
            yield inputs, targets, share, world.weight(share, len(batch), reduction)

    def _flush(self) -> None:
        """Reads the losses of the steps since the last time, over all processes, and adds them up."""
        at, mean = self.at, self.loss.reduction == "mean"
        rows = [
            (float(loss) * (n if mean else 1), 0 if right is None else int(right), n) if n else (0, 0, 0)
            for loss, right, n in self.pending
        ]
        sums = self.world.sum([number for row in rows for number in row])
        first = at.step - len(self.pending) + 1
        self.pending.clear()
        for step, (total, right, n) in enumerate(zip(sums[0::3], sums[1::3], sums[2::3], strict=True), first):
            value = total / n if mean else total
            if not math.isfinite(value):
                raise self._diverged(step, value)
            at.last_loss = value
            at.loss += total
            at.correct += int(right)
            at.examples += int(n)

    def _diverged(self, step: int, value: float) -> Diverged:
        groups, last = self.optimizer.param_groups, self.at.last_loss
        lr = max(group["lr"] / group.get("scale", 1.0) for group in groups)
        finite = "no loss was finite" if last is None else f"the last finite loss was {last:.6g}"
        return Diverged(
            f"the loss is {value} at step {step} with step size {lr:g}; {finite}. "
            "Try a smaller step size: --set optimizer.lr=..., or optimizer.clip_norm"
        )

    def _tick(self) -> None:
        at = self.at
        text = "" if at.last_loss is None else f"loss {at.last_loss:.4g}"
        self.progress(at.step, self.total, text)
        self.due = self.due or (self.checkpoints is not None and self.checkpoints.due())
        self.next_tick = time.monotonic() + TICK

    # --- measuring ---

    def _observe(self) -> Metrics:
        observed: Metrics = {}
        if self.parts.penalty is not None:
            with torch.no_grad():
                observed["penalty"] = float(self.parts.penalty.value(self.parts.weights))
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
        row["lr"] = base_lr(self.optimizer)
        self.log({**row, **at.observed})

    def _evaluate(self) -> None:
        """Validates, and keeps the weights where they are the best so far."""
        at, validation = self.at, self.data.validation
        if validation is None:
            return
        self.world.take_buffers_(self.model)
        metrics = self._measure(validation)
        self.log({"step": at.step, "epoch": at.epoch, "split": "val", **_of_rows(metrics)})
        if not math.isfinite(metrics["loss"]):
            raise self._diverged(at.step, metrics["loss"])
        # Accuracy decides, the loss among equals: a loss can rise while more and more is right. Where
        # classes have weights, so has accuracy: else a model that knows only the largest class would win.
        deciding = [metrics[name] for name in ("weighted_accuracy", "accuracy") if name in metrics]
        key = [*deciding[:1], -metrics["loss"]]
        if at.best is None or key > at.best:
            at.best, at.best_epoch, at.stale = key, at.epoch, 0
            self.best = self._copy_weights()
        else:
            at.stale += self.settings.evaluate_every

    def _measure(self, split: Split, test_views: Views = "none") -> Metrics:
        """Metrics of the model over a whole split, of which every process measures a share."""
        precision = self.parts.precision
        return evaluate(self.forward, self.data, split, self.loss, precision, test_views, self.world)

    def _copy_weights(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    def _finish(self) -> Metrics:
        """Evaluates every split at the best weights, and saves the last checkpoint."""
        at, augmented = self.at, self.settings.test_time_augmentation
        self.ending = self.ending or self._here()
        self.world.take_buffers_(self.model)
        if self.data.validation is None:
            self.best, at.best_epoch = self._copy_weights(), at.epoch
        last = self._copy_weights()
        self.model.load_state_dict(self.best)
        splits = {"train": self.data.train, "val": self.data.validation, "test": self.data.test}
        measured = {
            name: self._measure(split, "none" if name == "train" else augmented)
            for name, split in splits.items()
            if split is not None
        }
        row = {"step": at.step, "epoch": at.best_epoch, "split": "test"}
        self.log({**row, **_of_rows(measured["test"])})
        metrics = {f"{name}/{key}": v for name, values in measured.items() for key, v in values.items()}
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
        ending = None if finished is None else self.ending
        if ending is not None and ending["best"] is self.best:
            ending["best"] = None  # what best.pt holds
        state: State = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "position": asdict(self.at),
            "order": self.order_state,
            "generator": self.generator.get_state(),
            "torch_rng": torch_rng,
            "cuda_rng": cuda_rng,
            "finished": finished,
            "ending": ending,
        }
        self.checkpoints.save(state, self.best or self._copy_weights(), self.at.best_epoch)

    def _here(self) -> State:
        """Returns what differs at the end of a training from a longer one there: position, weights, rows."""
        at = replace(self.at, batch=0, loss=0.0, correct=0, examples=0)
        offset = None if self.checkpoints is None else self.checkpoints.log_offset()
        return {"position": asdict(at), "best": self.best, "log_offset": offset}

    def _restore(self) -> Metrics | None:
        """Goes to the last checkpoint, if there is one; returns the metrics of a training that had ended.

        One that had ended after fewer epochs than are asked for goes on as if it had not.
        """
        loaded = self.checkpoints.load(STATE) if self.checkpoints is not None else None
        loaded = self.world.from_first(loaded)
        if loaded is None:
            return None
        state, best = loaded
        rank = self.world.rank
        try:
            self.model.load_state_dict(best)
            self.best = self._copy_weights()
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            check_optimizer(self.optimizer)
            self.at = _position(state["position"])
            finished: Metrics | None = state["finished"]
            offset = state["log_offset"]
            if finished is not None and self.at.epoch < self.settings.epochs:
                ending = state.get("ending") or self._end_of_earlier_version()
                if self._goes_on(_position(ending["position"])):
                    finished, offset = None, ending["log_offset"]
                    self.at = _position(ending["position"])
                    if ending["best"] is not None:
                        self.best = self._on_device(ending["best"])
            if self.checkpoints is not None:
                self.checkpoints.accept(offset)
            self.order_state = state["order"]
            torch.Generator().set_state(self.order_state)  # or it would fail in the next epoch
            self.generator.set_state(state["generator"])
            # A process that has joined since keeps its own random state.
            if rank < len(state["torch_rng"]):
                torch.set_rng_state(state["torch_rng"][rank])
            if rank < len(state["cuda_rng"]) and torch.cuda.is_available():
                torch.cuda.set_rng_state(state["cuda_rng"][rank])
        except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
            if self.checkpoints is None:
                raise
            raise self.checkpoints.misfit(error) from None
        return finished

    def _end_of_earlier_version(self) -> State:
        """The end of a training whose checkpoint does not say where a longer one would be."""
        if self.at.epoch % self.settings.evaluate_every:
            raise RunFolderError(
                f"the run was finished by an earlier version, after {self.at.epoch} epochs, which are no "
                f"multiple of training.evaluate_every: {self.settings.evaluate_every}: the weights that a "
                "longer training would hold as best there are not known. Start a new run"
            )
        offset = None if self.checkpoints is None else self.checkpoints.offset_of_last_row()
        return {"position": asdict(self.at), "best": None, "log_offset": offset}

    def _on_device(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor.to(self.data.train.inputs.device) for name, tensor in weights.items()}


class Step:
    """One optimizer step on one batch, and its loss and number of right answers before the step.

    Args:
        parts: the optimizer, and what it descends.
        settings: of them clip_norm and micro_batch.
        forward: inputs (n, …) → outputs (n, C); the model if left out.
        world: the processes over which the gradients are averaged, where `forward` averages them.
    """

    def __init__(
        self,
        parts: Parts,
        settings: Settings,
        forward: Callable[[Tensor], Tensor] | None = None,
        world: World | None = None,
    ) -> None:
        self._loss, self._optimizer, self._penalty = parts.loss, parts.optimizer, parts.penalty
        self._weights, self._settings = parts.weights, settings
        # a compiled model has no truth value
        self._forward = parts.model if forward is None else forward
        self._world = world or World()
        self._autocast = autocast(parts.data.train.inputs.device, parts.precision)
        self._count_correct = parts.data.task == "classification"
        self._parameters = [p for group in parts.optimizer.param_groups for p in group["params"]]
        self._line_search = isinstance(parts.optimizer, torch.optim.LBFGS)

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
        if self._settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters, self._settings.clip_norm)
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
        examples, micro_batch = len(self._targets), self._settings.micro_batch
        parts = 1 if micro_batch is None else math.ceil(examples / micro_batch)
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
