"""`coda-train plan` and `coda-train bench`: what a stage takes, compiled for a TPU slice or run on this machine."""

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated

import typer

from coda_train.commands.common import friendly
from coda_train.config import STAGES, load_preset, preset_names, split_preset

if TYPE_CHECKING:
    from coda_train.plan import Plan

StagePreset = Annotated[
    str,
    typer.Option(
        "--preset", help=f"STAGE-PRESET: one of {', '.join(STAGES)}, and of {', '.join(preset_names())} or a TOML file."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Settings to change, such as stage.batch_size=8.", metavar="[KEY=VALUE]..."),
]


def plan(
    preset: StagePreset,
    topology: Annotated[str, typer.Option(help="A TPU slice, by chips a side: v4:8x8x8, v5p:4x4x4, v5e:4x4.")],
    as_json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Compile the train step for a TPU slice, with no TPU present: does it fit, and how fast can it be?

    Needs the TPU compiler: pip install 'coda-lsp[tpu]'. Status 1 if the step does not fit.

    Example: coda-train plan --preset pretrain-1.7b --topology v4:8x8x8
    """
    with friendly():
        stage, name = split_preset(preset)
        config = load_preset(name, stage, overrides or [])
        from coda_train.plan import plan as compile_for

        result = compile_for(config, preset, topology)
        if as_json:
            derived = {"fits": result.fits, "step_s": result.roofline.step_s, "mfu": result.mfu}
            typer.echo(json.dumps(dataclasses.asdict(result) | derived, indent=2))
        else:
            typer.echo(_describe(result))
        if not result.fits:
            raise typer.Exit(1)


def bench(
    preset: StagePreset,
    steps: Annotated[int, typer.Option(help="Steps to measure.", min=1)] = 20,
    as_json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Train on random tokens and print tokens a second, MFU with its formula, and peak memory.

    Example: coda-train bench --preset pretrain-1.7b stage.batch_size=4
    """
    with friendly():
        stage, name = split_preset(preset)
        config = load_preset(name, stage, overrides or [])
        import jax

        from coda_train.bench import bench as measure
        from coda_train.bench import formula
        from coda_train.sharding import check_layout, join_processes, make_layout

        join_processes()
        layout = make_layout(config.mesh)
        check_layout(config, layout)
        result = measure(config, layout, steps)
        if jax.process_index() > 0:
            return
        if as_json:
            typer.echo(json.dumps(dataclasses.asdict(result), indent=2))
            return
        share = "unknown" if result.mfu is None else f"{result.mfu:.1%}"
        typer.echo(
            f"{preset}: {result.parameters:,} parameters on {result.devices} x {result.device}, {_mesh(result.mesh)}, "
            f"{result.attention} attention\n"
            f"batch {result.batch_size} x {result.length} tokens, {result.target_share:.0%} of them targets; median of "
            f"{result.steps} steps after {result.compile_s:.1f} s of compilation\n"
            f"step {result.step_s * 1e3:,.1f} ms, {result.tokens_per_s:,.0f} tok/s, MFU {share}, peak memory "
            f"{_gib(result.peak_bytes)}\n{formula(result)}"
        )


def _describe(result: "Plan") -> str:
    roof = result.roofline
    limits = {"arithmetic": roof.compute_s, "memory": roof.memory_s, "links": roof.links_s}
    moved = [
        f"  {kind}: {each.count:,} a step, {each.payload_bytes / 1e9:,.2f} GB of arrays, "
        f"{each.sent_bytes / 1e9:,.2f} GB sent"
        for kind, each in result.collectives.items()
    ]
    return "\n".join(
        [
            f"{result.preset} on {result.topology}: {result.chips} x {result.chip}, {_mesh(result.mesh)}, "
            f"{result.tokens:,} tokens a step",
            f"memory of a chip: {_gib(result.argument_bytes)} arguments, {_gib(result.temporary_bytes)} temporaries, "
            f"{_gib(result.total_bytes)} in all of {_gib(result.available_bytes)}: "
            + ("fits" if result.fits else "does not fit"),
            f"FLOPs a step: {result.model_flops:.4g} of the model, {result.program_flops:.4g} of the program",
            "collectives of a chip:" if moved else "no collectives",
            *moved,
            f"roofline: {roof.step_s * 1e3:,.0f} ms a step by {max(limits, key=lambda name: limits[name])} ("
            + ", ".join(f"{name} {seconds * 1e3:,.0f} ms" for name, seconds in limits.items())
            + f"), {result.tokens / roof.step_s:,.0f} tok/s, MFU {result.mfu:.0%} at most",
        ]
    )


def _mesh(sizes: dict[str, int]) -> str:
    return "mesh " + " x ".join(f"{axis} {size}" for axis, size in sizes.items())


def _gib(size: float) -> str:
    return f"{size / 2**30:,.2f} GiB"
