"""`coda-train export`: from a run folder to a checkpoint directory."""

from pathlib import Path
from typing import Annotated

import typer

from coda_train.commands.common import Overwrite, friendly


def export(
    run: Annotated[Path, typer.Argument(help="Run folder of any stage.")],
    out: Annotated[Path, typer.Option(help="The checkpoint directory to write.")],
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    averaged: Annotated[bool, typer.Option(help="Take the averaged weights where the run kept them.")] = True,
    overwrite: Overwrite = False,
) -> None:
    """Write the last checkpoint of a run as a checkpoint directory, for inference and the Hub.

    Example: coda-train export runs/sft --out model --dtype bfloat16
    """
    with friendly():
        from coda_train.export import export_run

        count = export_run(run, out, dtype, averaged, overwrite)
        typer.echo(f"{out}: {count:,} parameters in {dtype}")
