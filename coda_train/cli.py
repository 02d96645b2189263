"""The `coda-train` command."""

import typer

from coda_train.commands.convert import export
from coda_train.commands.measure import bench, plan
from coda_train.commands.prepare import data, tokenizer
from coda_train.commands.stages import stage_command
from coda_train.huge_pages import use_huge_pages

app = typer.Typer(
    help="Train a CoDA code model: corpus, tokenizer, base (a causal model to adapt), pretrain, midtrain, sft, export.",
    epilog="Start with: coda-train data ./src --out corpus",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(data)
app.command()(tokenizer)
app.command(
    "base",
    help="Before the stages: a causal model to adapt, where there is no Qwen3. Every token is a target.\n\n"
    "Example: coda-train base --preset nano --data corpus --tokenizer tokenizer --out runs/base",
)(stage_command("base"))
app.command(
    "pretrain",
    help="First stage: learn code by unmasking packed documents.\n\n"
    "Example: coda-train pretrain --preset nano --data corpus --tokenizer tokenizer --out runs/pre",
)(stage_command("pretrain"))
app.command(
    "midtrain",
    help="Second stage: progressive masking, from scattered tokens towards prompts, cut ends and spans.\n\n"
    "Example: coda-train midtrain --preset nano --init runs/pre --data corpus --out runs/mid",
)(stage_command("midtrain", needs_init=True))
app.command(
    "sft",
    help="Third stage: fill holes of unknown length, with expand and delete tokens.\n\n"
    "Example: coda-train sft --preset nano --init runs/mid --data corpus --out runs/sft stage.steps=200",
)(stage_command("sft", needs_init=True))
app.command()(export)
app.command()(plan)
app.command()(bench)


def main() -> None:
    """Run the command line."""
    use_huge_pages()
    app(prog_name="coda-train")
