"""`nnlab ntk`: the kernel experiments, with their settings as flags."""

from pathlib import Path
from typing import Annotated

import typer

from nnlab.cli.run import AsJson, CustomCode, Device, Flag, Quiet, Runs, Sets, numbers, run_config


def ntk(
    widths: Annotated[str | None, typer.Option(help="Widths of the networks, such as 64,256,1024.")] = None,
    config: Annotated[
        str, typer.Option(help="A YAML file or shipped config of an experiment over widths.")
    ] = "ntk",
    data: Annotated[
        str | None,
        typer.Option(help="line, circle, csv, digits, mnist, fashion_mnist, cifar10 or image_folder."),
    ] = None,
    examples: Annotated[int | None, typer.Option(help="Number of points, images or rows.")] = None,
    model: Annotated[str | None, typer.Option(help="mlp, cnn or custom.")] = None,
    depth: Annotated[int | None, typer.Option(help="Hidden layers, or blocks of a cnn.")] = None,
    activation: Annotated[str | None, typer.Option(help="Such as relu, erf or tanh.")] = None,
    parameterization: Annotated[str | None, typer.Option(help="ntk or standard.")] = None,
    loss: Annotated[str | None, typer.Option(help="squared_error or cross_entropy.")] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Gradient steps of every training, also with other step sizes."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of networks of each width.")] = None,
    infinite: Annotated[
        bool,
        typer.Option("--infinite", help="Also predict the ensemble of infinitely wide networks on the line."),
    ] = False,
    outputs: Annotated[
        str | None, typer.Option(help="Scores whose spectra are computed, such as 0,3.")
    ] = None,
    memory: Annotated[float | None, typer.Option(help="Limit for one kernel in GiB.")] = None,
    sets: Sets = None,
    seed: Annotated[int | None, typer.Option(help="The first seed.")] = None,
    device: Device = None,
    runs: Runs = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
    allow_custom_code: CustomCode = False,
) -> None:
    """Compute tangent kernels over widths, predict training from them, train, and compare.

    For your own table: --data csv --set data.path=FILE --set data.target=COLUMN, and for a numerical
    target --set data.task=regression. For your own model: --model custom --set model.factory=MODULE:FUNCTION;
    the function is called with (input_shape, outputs, width=WIDTH).

    The last line printed is the run's folder.
    """

    flags = [
        Flag("--widths", ("widths",), numbers("--widths", widths, int, "64,256")),
        # a name chooses which other keys a section has, so it replaces the file's section
        Flag("--data", ("data",), None if data is None else {"name": data}),
        Flag("--examples", ("data", "examples"), examples),
        Flag("--model", ("model",), None if model is None else {"name": model}),
        Flag("--depth", ("model", "depth"), depth),
        Flag("--activation", ("model", "activation"), activation),
        Flag("--parameterization", ("model", "parameterization"), parameterization),
        Flag("--loss", ("loss",), None if loss is None else {"name": loss}),
        Flag("--steps", ("training", "steps"), steps),
        Flag("--seeds", ("seeds",), seeds),
        Flag("--infinite", ("infinite",), infinite or None),
        Flag("--outputs", ("outputs",), numbers("--outputs", outputs, int, "0,3")),
        Flag("--memory", ("memory_gib",), memory),
        Flag("--seed", ("seed",), seed),
        Flag("--device", ("training", "device"), device),
    ]
    run_config(
        config, sets or [], flags, runs=runs, as_json=as_json, quiet=quiet,
        allow_custom_code=allow_custom_code,
    )  # fmt: skip
