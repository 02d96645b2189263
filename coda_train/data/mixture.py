"""Preparing a mixture: every source of a recipe becomes a corpus of its own, with the weights beside them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from coda_train.data.corpus import CorpusConfig, CorpusReport, OrderedMap, Progress, build_corpus
from coda_train.data.examine import Rules
from coda_train.data.hub import fetch_dataset
from coda_train.data.parallel import parallel_map
from coda_train.data.recipe import Mixture, SourceRecipe
from coda_train.data.records import Columns
from coda_train.data.weights import write_weights
from coda_train.errors import ConfigError

RECIPE = "recipe.json"


def prepare_mixture(
    mixture: Mixture,
    out: Path,
    exclude: frozenset[str],
    decontaminate: tuple[Path, ...] = (),
    overwrite: bool = False,
    progress: Progress | None = None,
    run: OrderedMap = parallel_map,
) -> dict[str, CorpusReport]:
    """Build the corpus of every source as `out/NAME`, then `out/mixture.json`.

    A source that an earlier call has finished by the same recipe is kept, so that an interrupted call can be repeated.

    Args:
        mixture: the recipe.
        out: the mixture's folder.
        exclude: packages never taken, see `Rules`.
        decontaminate: benchmark files, see `CorpusConfig`.
        overwrite: build every corpus anew, whatever is there.
        progress: called with the source and stage, the items done and their total.
        run: how the work is spread.

    Returns: the report of each source that was built now; the other ones have it as `report.json`.

    Raises: ConfigError, with the source's name, for whatever `build_corpus` finds wrong.
    """
    reports = {}
    for name, recipe in mixture.sources.items():
        target = out / name
        settings = _settings(recipe, exclude, decontaminate)
        if not overwrite and _read(target / RECIPE) == settings:
            continue
        tell = (lambda stage, done, total, name=name: progress(f"{name}: {stage}", done, total)) if progress else None
        try:
            config = _config(mixture.folder, recipe, target, exclude, decontaminate, overwrite)
            reports[name] = build_corpus(config, tell, run)
        except (ValueError, OSError) as error:
            raise ConfigError(f"source {name}: {error}") from None
        (target / RECIPE).write_text(json.dumps(settings, indent=1) + "\n", "utf-8")
    write_weights(out, {name: recipe.weight for name, recipe in mixture.sources.items()})
    return reports


def _config(
    folder: Path, recipe: SourceRecipe, out: Path, exclude: frozenset[str], decontaminate: tuple[Path, ...], again: bool
) -> CorpusConfig:
    kind, names = recipe.kind, None
    sources = tuple(folder / Path(path).expanduser() for path in recipe.paths)
    if kind == "hub":
        fetched, names = fetch_dataset(recipe.dataset, recipe.revision or None, recipe.files)
        sources, kind = (fetched,), "parquet" if names[0].endswith(".parquet") else "jsonl"
    optional = (column or None for column in (recipe.path_column, recipe.package_column, recipe.licence_column))
    return CorpusConfig(
        sources=sources,
        out=out,
        kind=kind,
        columns=Columns(recipe.text_column, *optional),
        names=names,
        extensions=recipe.extensions,
        rules=Rules(recipe.content, recipe.licence or None, recipe.licences, exclude, recipe.max_bytes),
        held_out_fraction=recipe.held_out,
        package_share=recipe.package_share,
        decontaminate=decontaminate,
        overwrite=again,
    )


def _settings(recipe: SourceRecipe, exclude: frozenset[str], decontaminate: tuple[Path, ...]) -> dict[str, Any]:
    """What decides a source's corpus, as JSON gives it back; a new weight needs no new corpus."""
    table = {name: value for name, value in asdict(recipe).items() if name != "weight"}
    return json.loads(json.dumps({**table, "exclude": sorted(exclude), "decontaminate": list(map(str, decontaminate))}))


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
