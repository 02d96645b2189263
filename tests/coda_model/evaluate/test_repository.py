"""Holes cut from a repository and from a corpus' held-out packages, and the whole run over them."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from coda_model.cli import app
from coda_model.errors import CodaError
from coda_model.evaluate.repository import cut_problems, read_sources

PYTHON = (
    "import os\n\n\ndef area(width, height):\n    # the size\n    if width > height:\n        size = width * height\n"
    "        return size\n    return max(width, height)\n\n\nname = os.path.join('a', 'b')\n"
)
SCRIPT = "function area(width, height) {\n  const size = width * height;\n  return Math.max(size, 1);\n}\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    for name in ("one.py", "two.py", "sub/three.py", ".venv/hidden.py", "node_modules/other.js"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(PYTHON.replace("size", f"size_{len(name)}") + "ä = 'é'\n")
    (folder / "page.js").write_text(SCRIPT)
    (folder / "broken.py").write_text("def f(:\n")
    (folder / "binary.py").write_bytes(b"\xff\xfe\x00")
    (folder / "notes.txt").write_text("x = 1\n")
    return folder


def test_holes_are_parts_of_their_files(repository: Path) -> None:
    sources = {source.path: source.text for source in read_sources(repository)}
    assert sorted(sources) == ["broken.py", "one.py", "page.js", "sub/three.py", "two.py"]
    problems = cut_problems(read_sources(repository), 20, seed=1)
    assert {problem.kind for problem in problems} == {"line tail", "statement", "arguments", "block", "expression"}
    assert {problem.language for problem in problems} == {"python", "javascript"}
    assert len({problem.id for problem in problems}) == len(problems)
    for problem in problems:
        assert problem.program(problem.reference) == sources[problem.cluster]
        assert problem.reference.strip()
        line = problem.prefix.rpartition("\n")[2] + problem.suffix.partition("\n")[0]
        assert problem.single_line or not line.strip()
        if problem.kind == "line tail":
            assert "\n" not in problem.reference
            assert not problem.prefix.endswith("# ")


def test_holes_depend_on_the_seed_and_their_file_alone(repository: Path) -> None:
    problems = cut_problems(read_sources(repository), 12, seed=1)
    assert problems == cut_problems(read_sources(repository)[::-1], 12, seed=1)
    assert problems != cut_problems(read_sources(repository), 12, seed=2)
    (repository / "later.py").write_text("value = call(1)\n")
    more = {problem.id: problem for problem in cut_problems(read_sources(repository), 40, seed=1)}
    assert all(more[name].cluster in ("later.py", more[name].cluster) for name in more)


def test_a_corpus_gives_its_held_out_packages(tmp_path: Path) -> None:
    rows = [{"text": PYTHON, "path": f"m{n}.py", "package": f"package-{n % 2}"} for n in range(4)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "held_out-00000.parquet")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train-00000.parquet")
    shards = tmp_path / "shards" / "8192" / "held_out"
    shards.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([{"ids": [1, 2]}]), shards / "held_out-00000.parquet")
    problems = cut_problems(read_sources(tmp_path), 8, seed=0)
    assert {problem.cluster for problem in problems} == {"package-0", "package-1"}
    assert len(read_sources(tmp_path)) == 4


def test_nothing_to_cut_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CodaError, match="no source file"):
        read_sources(tmp_path)
    with pytest.raises(CodaError, match="There is no folder"):
        read_sources(tmp_path / "absent")


def test_every_measure_of_a_repository(repository: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Needs no sandbox, since nothing is run; both ways of one sweep are compared then."""
    runner, model = CliRunner(), ["--model", str(tiny_checkpoint)]
    sizes = ["--holes", "5", "--max-tokens", "4", "--nll-draws", "2", "--nll-rows", "2", "--typist-rows", "1"]
    for refresh in ("1", "0"):
        out = ["--out", str(tmp_path / refresh), "--refresh", refresh]
        done = runner.invoke(app, ["eval", "repo", str(repository), *model, *sizes, *out])
        assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "0" / "results.json").read_text())
    assert found["figures"].keys() == {"exact match", "edit similarity", "syntax validity", "bits a character"}
    assert found["figures"]["exact match"]["model"]["rows"] == 5
    assert found["typist"]["points"]["0.2"].keys() == {
        "characters saved",
        "coverage",
        "precision",
        "suggestions taken",
    }
    assert found["typist"]["copy"]["coverage"]["value"] > 0
    assert found["calibration"]["bins"]
    assert {"arguments", "python"} <= found["kinds"].keys()
    page = (tmp_path / "0" / "report.html").read_text()
    assert page.count("<svg") == 3
    done = runner.invoke(app, ["eval", "compare", str(tmp_path / "1"), str(tmp_path / "0")])
    assert done.exit_code == 0, done.output
    assert "exact match" in done.stdout
    assert (tmp_path / "0" / "comparison.html").read_text().count("<svg") == 1
    done = runner.invoke(app, ["eval", "compare", str(tmp_path / "1"), str(tmp_path)])
    assert done.exit_code == 1
    assert "results.json is missing" in " ".join(done.stderr.split())
