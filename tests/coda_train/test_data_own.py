"""A folder of one's own sources becomes a corpus on the way, whatever its licence, with single files held out."""

from pathlib import Path

import pytest

from coda_train.data.corpus import CorpusConfig, build_corpus
from coda_train.data.examine import Rules
from coda_train.data.own import corpus_of


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    (folder / "venv" / "lib").mkdir(parents=True)
    (folder / "venv" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (folder / "venv" / "lib" / "other.py").write_text("def other(a):\n    a = a + 1\n    return a\n")
    (folder / "LICENSE").write_text("Proprietary. All rights reserved.\n")
    for number in range(100):
        body = "".join(f"    total_{number}_{line} = first * {line} - second\n" for line in range(number % 5 + 3))
        (folder / f"part{number}.py").write_text(f"def part_{number}(first, second):\n{body}    return first\n")
    (folder / "page.ts").write_text("function page(name: string) {\n  const a = name\n  return a\n}\n")
    return folder


def test_every_file_counts_but_for_an_environment_inside(sources: Path, tmp_path: Path) -> None:
    corpus, report = corpus_of(sources, tmp_path / "run" / "corpus")
    assert corpus == tmp_path / "run" / "corpus"
    assert report is not None
    assert 1 <= report.files["held_out"] <= 10
    dropped = sum(report.dropped.values())
    assert report.files["train"] + report.files["held_out"] + dropped == 101
    assert "licence" not in report.dropped


def test_a_corpus_stays_as_it_is_and_a_second_start_uses_it_again(sources: Path, tmp_path: Path) -> None:
    corpus, _ = corpus_of(sources, tmp_path / "made")
    assert corpus_of(corpus, tmp_path / "unused") == (corpus, None)
    (sources / "later.py").write_text("def later(a):\n    b = a\n    return b\n")
    assert corpus_of(sources, tmp_path / "made") == (corpus, None)
    assert not (tmp_path / "unused").exists()


def test_nothing_to_learn_from_is_said(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "data.py").write_text("X = 1\n")
    with pytest.raises(ValueError, match="no file is left for the corpus: 1 too short"):
        corpus_of(tmp_path / "src", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_corpus_made_meanwhile_is_not_replaced(sources: Path, tmp_path: Path) -> None:
    def other_first(stage: str, done: int, total: int) -> None:
        if stage == "examine" and done == total:
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "train-00000.parquet").write_text("of another process")

    config = CorpusConfig((sources,), tmp_path / "out", rules=Rules(licences=("any",)), workers=1)
    with pytest.raises(FileExistsError, match="already exists"):
        build_corpus(config, other_first)
    assert (tmp_path / "out" / "train-00000.parquet").read_text() == "of another process"
