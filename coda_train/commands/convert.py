"""`coda-train export`: from a run folder to a checkpoint directory."""

from pathlib import Path
from typing import Annotated

import typer

from coda_train.commands.common import Overwrite, friendly


def export(
    runs: Annotated[list[Path], typer.Argument(help="Run folder of any stage; of several, the mean of their weights.")],
    out: Annotated[Path, typer.Option(help="The checkpoint directory to write.")],
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    averaged: Annotated[bool, typer.Option(help="Take the averaged weights where the run kept them.")] = True,
    overwrite: Overwrite = False,
) -> None:
    """Write the last checkpoint of a run as a checkpoint directory, for inference and the Hub.

    Example: coda-train export runs/sft --out model --dtype bfloat16

    Of runs that went on from one another (--init), each with a learning rate that fell to 0, the mean is often better
    than the last: coda-train export runs/sft runs/sft-again --out model
    """
    with friendly():
        from coda_train.export import export_runs

        count = export_runs(runs, out, dtype, averaged, overwrite)
        typer.echo(f"{out}: {count:,} parameters in {dtype}")
