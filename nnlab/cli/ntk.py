"""`nnlab ntk`: the kernel experiments, with their settings as flags."""

from pathlib import Path
from typing import Annotated

import typer


def ntk(
    widths: Annotated[str | None, typer.Option(help="Widths of the networks, such as 64,256,1024.")] = None,
    config: Annotated[
        str, typer.Option(help="A YAML file or shipped config of an experiment over widths.")
    ] = "ntk",
    data: Annotated[
        str | None,
        typer.Option(help="line, circle, csv, digits, mnist, fashion_mnist, cifar10 or image_folder."),
    ] = None,
    examples: Annotated[int | None, typer.Option(help="How many points, images or rows.")] = None,
    model: Annotated[str | None, typer.Option(help="mlp, cnn or custom.")] = None,
    depth: Annotated[int | None, typer.Option(help="Hidden layers, or blocks of a cnn.")] = None,
    activation: Annotated[str | None, typer.Option(help="Such as relu, erf or tanh.")] = None,
    parameterization: Annotated[str | None, typer.Option(help="ntk or standard.")] = None,
    loss: Annotated[str | None, typer.Option(help="squared_error or cross_entropy.")] = None,
    steps: Annotated[
        int | None, typer.Option(help="Gradient steps of every training, those with other step sizes too.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Networks of each width.")] = None,
    infinite: Annotated[
        bool,
        typer.Option("--infinite", help="Predict the ensemble of infinitely wide networks on the line, too."),
    ] = False,
    outputs: Annotated[str | None, typer.Option(help="Scores that the spectra are of, such as 0,3.")] = None,
    memory: Annotated[float | None, typer.Option(help="Limit for one kernel in GiB.")] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override any other value.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The first seed.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    runs: Annotated[Path, typer.Option(help="The folder that run folders go to.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON on stdout.")] = False,
    quiet: Annotated[bool, typer.Option(help="No progress and no tables: only the run folder.")] = False,
    allow_custom_code: Annotated[
        bool, typer.Option("--allow-custom-code", help="Let model.name: custom run your factory.")
    ] = False,
) -> None:
    """Compute tangent kernels over widths, predict training from them, train, and compare.

    A table of yours: --data csv --set data.path=FILE --set data.target=COLUMN, and for numbers in place of
    classes --set data.task=regression. A model of yours: --model custom --set model.factory=MODULE:FUNCTION;
    the function is called with (input_shape, outputs, width=WIDTH).

    The last line printed is the run's folder.
    """
    from nnlab.cli.run import Flag, numbers, run_config

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
