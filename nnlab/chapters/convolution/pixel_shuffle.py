"""Shuffled pixels: a fully connected network never used their places; a convolutional one loses accuracy."""

import copy
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from nnlab.chapters.convolution import schema
from nnlab.chapters.convolution.figures.classes import shuffled_pixels
from nnlab.data import in_order
from nnlab.errors import InputError, Interrupted
from nnlab.lab.sections import AugmentationSection, CNNModel, Count, ImageSection, TrainingExperiment
from nnlab.lab.session import Outcome, Session
from nnlab.lab.training_run import build_parts, train, vary
from nnlab.models import MLP
from nnlab.plot.images import as_picture
from nnlab.record import Record
from nnlab.theory import Claim, exact_claim, mean_interval, measured_claim, worst
from nnlab.training import predict

TWIN_EPOCHS = 2  # every step is the same as its twin's, so that few suffice
COMPARED = 1000  # test images on which the outputs of two networks are compared
NETWORKS = {"mlp": "fully connected", "cnn": "convolutional"}
KINDS = ("plain", "shuffled")


class Config(TrainingExperiment):
    """Trains a fully connected and a convolutional network, each on plain images and with pixels shuffled.

    `model` is the convolutional network; the other has the hidden layers `hidden` and the same activation.
    """

    experiment: Literal["pixel_shuffle"]
    arrays = schema.PIXEL_SHUFFLE_ARRAYS
    hidden: list[Count] = Field([256], description="widths of the fully connected network")
    seeds: int = Field(3, ge=2, le=1000, description="trainings of each network on each kind of images")
    margin: float = Field(0.02, gt=0, lt=1, description="smallest difference of accuracies that matters")
    least_fall: float = Field(
        0.05, gt=0, lt=1, description="smallest loss of accuracy expected of the convolutional network"
    )

    def run(self, record: Record, session: Session) -> Outcome:
        """Trains both networks on both kinds of images with the same seeds, and compares accuracies."""
        _check(self)
        for network in NETWORKS:  # every error in the input comes up before anything is written
            parts = build_parts(_varied(self, network, "plain", 0), session)
        record.start()
        record.predict({
            "mlp": {"fall": 0.0, "margin": self.margin},
            "cnn": {"fall_at_least": self.least_fall},
        })  # fmt: skip
        trainings = _train(self, record, session)
        rows = [_row(network, kind, trainings) for network in NETWORKS for kind in KINDS]
        _draw(record, trainings, chance=1 / parts.data.outputs)
        metrics = {f"{row['model']}/{row['pixels']}/test/accuracy": row["test_accuracy"] for row in rows}
        return Outcome(metrics, rows, _claims(self, trainings))


@dataclass(frozen=True)
class Trainings:
    """The results of all trainings.

    Attributes:
        accuracies: network → kind of images → test accuracy for each seed.
        parameters: network → its number.
        inputs: kind → (n, C, H, W), the first test images as the networks get them.
        pixels: (C, H, W), the first plain one, in [0, 1].
        order: place k of a shuffled image holds what was at order[k].
        network: a fully connected network that was trained on plain images.
        twins: (N, outputs) test scores of two fully connected networks trained in float64, on plain images
            and on shuffled ones from the same start with the columns of W₁ in the pixels' new order.
    """

    accuracies: dict[str, dict[str, list[float]]]
    parameters: dict[str, int]
    inputs: dict[str, Tensor]
    pixels: Tensor
    order: Tensor
    network: MLP
    twins: tuple[Tensor, Tensor]

    def falls(self, network: str) -> list[float]:
        """Returns for each seed the accuracy that is lost by shuffling."""
        plain, shuffled = (self.accuracies[network][kind] for kind in KINDS)
        return [a - b for a, b in zip(plain, shuffled, strict=True)]


def _check(config: Config) -> None:
    data = config.data
    if not isinstance(config.model, CNNModel):
        raise InputError(
            f"experiment: pixel_shuffle needs model.name: cnn, not {config.model.name}; the fully connected "
            "network beside it is described by hidden"
        )
    if not isinstance(data, ImageSection):
        raise InputError(f"experiment: pixel_shuffle needs images, and data.name: {data.name} has none")
    if data.shuffle_pixels:
        raise InputError("data.shuffle_pixels: pixel_shuffle tries both, false and true; leave it out")
    if data.augmentation != AugmentationSection():
        raise InputError(
            "data.augmentation: mirroring or moving a shuffled image is not shuffling a mirrored image, so "
            "that pixel_shuffle would compare two things at once; leave it out"
        )


def _varied(config: Config, network: str, kind: str, seed: int) -> Config:
    """Returns the config of one training. Plain and shuffled images get the same seeds."""
    changes: dict[str, Any] = {
        "data.shuffle_pixels": kind == "shuffled",
        "seed": config.seed * config.seeds + seed,
    }
    if network == "mlp":
        same = config.model.model_dump(include={"activation", "pieces", "bias"})
        changes["model"] = {"name": "mlp", "hidden": config.hidden, **same}
    return vary(config, changes)


def _train(config: Config, record: Record, session: Session) -> Trainings:
    accuracies: dict[str, dict[str, list[float]]] = {network: {} for network in NETWORKS}
    parameters, inputs, kept = {}, {}, None
    for kind in KINDS:  # one after the other, as a session holds one data set at a time
        for network in NETWORKS:
            tests = accuracies[network][kind] = []
            for seed in range(config.seeds):
                part = f"{network}-{kind}-{seed}"
                if session.stop():
                    raise Interrupted(f"stopped before {part}")
                varied = _varied(config, network, kind, seed)
                parts = build_parts(varied, session)
                tests.append(train(varied, parts, record, session, part=part).metrics["test/accuracy"])
            parameters[network] = sum(p.numel() for p in parts.model.parameters())
            if network == "mlp" and kind == "plain":
                kept = parts.model
        data = parts.data
        inputs[kind] = data.normalize(data.test.inputs[:COMPARED]).cpu()
        if kind == "plain":
            pixels = data.raw(data.test.inputs[:1])[0].float().cpu() / float(data.full_scale or 1)
    assert isinstance(kept, MLP)
    assert data.pixel_order is not None
    twins = _train_twins(config, record, session, data.pixel_order)
    return Trainings(accuracies, parameters, inputs, pixels, data.pixel_order, kept, twins)


def _train_twins(config: Config, record: Record, session: Session, order: Tensor) -> tuple[Tensor, Tensor]:
    """Trains the first fully connected network in float64 on both kinds of images, from permuted columns."""
    epochs = min(TWIN_EPOCHS, config.training.epochs)
    exact = vary(
        config, {"training.precision": "float64", "training.device": "cpu", "training.epochs": epochs}
    )
    scores = []
    for kind in KINDS:
        varied = _varied(exact, "mlp", kind, 0)
        parts = build_parts(varied, session)
        if kind == "shuffled":
            assert isinstance(parts.model, MLP)
            parts.model.load_state_dict(with_permuted_columns(parts.model, order).state_dict())
        train(varied, parts, record, session, part=f"twin-{kind}")
        scores.append(
            predict(parts.model, parts.data, parts.data.test.inputs[:COMPARED], parts.precision).cpu()
        )
    plain, shuffled = scores
    return plain, shuffled


# --- results and claims ----------------------------------------------------------------------------------


def _row(network: str, kind: str, trainings: Trainings) -> dict[str, Any]:
    mean, low, high = mean_interval(trainings.accuracies[network][kind])
    return {
        "model": network,
        "parameters": trainings.parameters[network],
        "pixels": kind,
        "test_accuracy": mean,
        "interval": [low, high],
    }


def _draw(record: Record, trainings: Trainings, chance: float) -> None:
    pixels, order = trainings.pixels, trainings.order
    picture, moved = (
        as_picture(image.numpy(force=True)) for image in (pixels, in_order(pixels[None], order)[0])
    )
    record.save_arrays(
        picture=picture,
        picture_shuffled=moved,
        pixel_order=order.numpy(force=True),
        **{
            f"{network}/{kind}": values
            for network, kinds in trainings.accuracies.items()
            for kind, values in kinds.items()
        },
    )
    labelled = {
        NETWORKS[network]: (kinds["plain"], kinds["shuffled"])
        for network, kinds in trainings.accuracies.items()
    }
    record.figure("shuffled_pixels", shuffled_pixels, picture, moved, labelled, chance)


def _claims(config: Config, trainings: Trainings) -> list[Claim]:
    paired = f"{config.seeds} pairs of trainings that differ only in the places of the pixels"
    network, cnn = trainings.falls("mlp"), trainings.falls("cnn")
    points = f"{100 * config.margin:g} points"
    return [
        permuted_columns_claim(trainings),
        _twins_claim(trainings),
        measured_claim(
            "network_keeps_its_accuracy",
            sentence="Shuffling the pixels does not change the accuracy of a fully connected network.",
            formula="E[accuracy, plain] − E[accuracy, shuffled] = 0",
            hypotheses=[
                "one permutation for all images; the columns of W₁ start out i.i.d.",
                paired,
            ],
            predicted=0.0,
            values=network,
            rivals={f"{points} lost": config.margin, f"{points} won": -config.margin},
            predicted_by="closed form: 0, by exchangeability",
            measured_by="nnlab.training.trainer.fit",
        ),
        measured_claim(
            "cnn_loses_accuracy",
            sentence="Shuffling the pixels lowers the accuracy of a convolutional network.",
            formula=f"E[accuracy, plain] − E[accuracy, shuffled] ≥ {config.least_fall:g}",
            hypotheses=["neighbouring pixels of the images are dependent", paired],
            predicted=(config.least_fall, None),
            values=cnn,
            predicted_by="nnlab.chapters.convolution.pixel_shuffle.Config",
            measured_by="nnlab.training.trainer.fit",
        ),
        measured_claim(
            "cnn_loses_more_than_the_network",
            sentence="Shuffling costs the convolutional network more accuracy than the fully connected one.",
            formula=f"accuracy lost by the CNN − accuracy lost by the MLP ≥ {config.margin:g}",
            hypotheses=["neighbouring pixels of the images are dependent", paired],
            predicted=(config.margin, None),
            values=[a - b for a, b in zip(cnn, network, strict=True)],
            predicted_by="nnlab.chapters.convolution.pixel_shuffle.Config",
            measured_by="nnlab.training.trainer.fit",
        ),
    ]


def permuted_columns_claim(trainings: Trainings) -> Claim:
    """Claims W₁P·Pᵀx = W₁x: with the columns of W₁ in the pixels' new order the function is the same."""
    network, (plain, shuffled) = trainings.network, (trainings.inputs[kind] for kind in KINDS)
    before = _outputs(network, plain)
    scale = float(before.abs().max())
    after = _outputs(with_permuted_columns(network, trainings.order), shuffled)
    unmoved = _outputs(network, shuffled)
    gap, rival = (worst((other - before).numpy()) / scale for other in (after, unmoved))
    return exact_claim(
        "permuted_columns_are_the_same_network",
        sentence="With the columns of W₁ permuted like the pixels, the network gives the same scores.",
        formula="W₁P (Pᵀx) = W₁x for every permutation matrix P",
        hypotheses=[f"the trained network, {len(before):,} test images, float64"],
        predicted=0.0,
        measured=gap,
        tolerance=1e-9,  # a sum in another order: rounding only
        rivals={"columns left where they are": rival} if rival > 0 else {},
        predicted_by="nnlab.models.MLP.forward, nnlab.data.in_order",
        measured_by="nnlab.chapters.convolution.pixel_shuffle.with_permuted_columns",
    )


def _twins_claim(trainings: Trainings) -> Claim:
    """Claims that gradient descent commutes with a permutation of the inputs: both trainings are the same."""
    plain, shuffled = trainings.twins
    scale = worst(plain.numpy())
    unmoved = _outputs(trainings.network, trainings.inputs["shuffled"])[: len(plain)]
    return exact_claim(
        "training_from_permuted_columns_is_the_same",
        sentence="From columns in the pixels' new order, training on shuffled images gives the same network.",
        formula="W₁(k) P at every step k, if W₁(0) P is the start on shuffled images",
        hypotheses=["the same examples in the same order, float64", f"scores of {len(plain):,} test images"],
        predicted=0.0,
        measured=worst((shuffled - plain).numpy()) / scale,
        tolerance=1e-9,  # sums in another order, through every step of training
        rivals={"a network that was not moved": worst((unmoved - plain).numpy()) / scale},
        predicted_by="nnlab.chapters.convolution.pixel_shuffle.with_permuted_columns",
        measured_by="nnlab.training.trainer.fit",
    )


def with_permuted_columns(network: MLP, order: Tensor) -> MLP:
    """Returns a copy whose first layer reads pixel order[k] of every channel at place k.

    Args:
        network: of images (C, H, W).
        order: (H·W,) a permutation, as `DataSet.pixel_order`.
    """
    moved = copy.deepcopy(network)
    weight = next(moved.parameters())  # W₁ (units, C·H·W)
    with torch.no_grad():
        by_pixel = torch.unflatten(weight, 1, (-1, len(order)))
        weight.copy_(by_pixel[:, :, order.to(weight.device)].flatten(1))
    return moved


@torch.no_grad()
def _outputs(network: MLP, images: Tensor) -> Tensor:
    scores: Tensor = copy.deepcopy(network).cpu().double()(images.double())
    return scores
