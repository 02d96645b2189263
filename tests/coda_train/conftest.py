"""A small real corpus with its tokenizer, and settings that make XLA compile fast."""

import gc
import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import jax
import pytest

from coda_train.data.corpus import CorpusConfig, build_corpus
from coda_train.tokenizer import train_tokenizer

STDLIB = Path(sysconfig.get_paths()["stdlib"])
PROJECTS = {"alpha": "json", "beta": "email", "gamma": "logging", "delta": "unittest", "epsilon": "asyncio"}


@dataclass(frozen=True)
class Material:
    """Folders of a corpus and of a tokenizer with 512 tokens."""

    sources: list[Path]
    corpus: Path
    tokenizer: Path


def pytest_configure(config: pytest.Config) -> None:
    """Compile quickly, and each program once: the cache outlives the session, as pytest's own does."""
    jax.config.update("jax_disable_most_optimizations", True)
    jax.config.update("jax_compilation_cache_dir", str(config.cache.mkdir("xla")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


@pytest.fixture(scope="session")
def material(tmp_path_factory) -> Material:
    folder = tmp_path_factory.mktemp("material")
    sources = []
    for project, package in PROJECTS.items():
        source = folder / "src" / project
        shutil.copytree(STDLIB / package, source / package, ignore=shutil.ignore_patterns("__pycache__", "test*"))
        (source / "pyproject.toml").write_text(f'[project]\nname = "{project}"\nlicense = "MIT"\n')
        sources.append(source)
    corpus, tokenizer = folder / "corpus", folder / "tokenizer"
    build_corpus(CorpusConfig(tuple(sources), corpus, held_out_fraction=0.4, workers=1))
    train_tokenizer(corpus, tokenizer, 512)
    return Material(sources, corpus, tokenizer)


@pytest.fixture
def collected():
    """Orbax leaves the coroutines of a failed read behind: collected any later, they end in the middle of an import."""
    yield
    gc.collect()
