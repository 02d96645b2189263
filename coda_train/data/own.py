"""A corpus from one's own source files, made on the way to a training."""

from pathlib import Path

from coda_train.data.corpus import CorpusConfig, CorpusReport, Progress, build_corpus
from coda_train.data.examine import Rules
from coda_train.data.split import is_corpus

HELD_OUT = 0.05
EXTENSIONS = (".py", ".js", ".mjs", ".jsx", ".ts", ".tsx")
"""Of the languages whose syntax decides where holes are."""


def corpus_of(folder: Path, out: Path, progress: Progress | None = None) -> tuple[Path, CorpusReport | None]:
    """A corpus as it is, or one made of the source files in a folder.

    They are taken to be one's own: no licence is asked for, and single files are held out, since a repository is one
    package. What is generated, data-like, double or does not parse is left out as ever.

    Args:
        folder: a corpus or mixture (see `coda-train data`), or a folder of sources.
        out: where a new corpus goes; one that is there already is used again, so that a run goes on with the same text.
        progress: called with a stage's name, the items done and their total.

    Returns: the corpus' folder, and the report of a new one.

    Raises: ValueError if no file is left after filtering.
    """
    if is_corpus(folder):
        return folder, None
    if is_corpus(out):
        return out, None
    config = CorpusConfig(
        sources=(folder,),
        out=out,
        extensions=EXTENSIONS,
        rules=Rules(licences=("any",)),
        held_out_fraction=HELD_OUT,
        hold_out="file",
    )
    return out, build_corpus(config, progress)
