"""Benchmark 30-grams: the fast digests equal their definition, files load or say why not."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_train.data.decontaminate import is_contaminated, load_digests, n_gram_digests

PROBLEM = (
    "def add(a, b):\n    total = a + b\n    if a > 10 and a != b and b:\n        return total - 10\n    return total\n"
)


def definition(text: str, n: int) -> list[str]:
    tokens = re.findall(r"\w+|[^\w\s]", text)
    grams = [" ".join(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return [hashlib.sha256(gram.encode()).hexdigest()[:16] for gram in grams]


@given(st.text(alphabet="ab_1é+( \n", max_size=80), st.integers(1, 6))
def test_digests_equal_their_definition(text: str, n: int) -> None:
    assert [digest.hex() for digest in n_gram_digests(text, n)] == definition(text, n)


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".txt", ".txt.gz"])
def test_kinds_of_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"bench{suffix}"
    rows = json.dumps({"prompt": PROBLEM, "id": 3}) if "jsonl" in suffix else "\n".join(definition(PROBLEM, 30))
    (gzip.open if suffix.endswith("gz") else open)(path, "wt", encoding="utf-8").write(rows + "\n")
    digests = load_digests([path])
    assert {digest.hex() for digest in digests} == set(definition(PROBLEM, 30))
    assert is_contaminated("import os\n\n" + PROBLEM.replace("    ", "\t"), digests)
    assert not is_contaminated(PROBLEM.replace("total", "result"), digests)


def test_nested_strings_count(tmp_path: Path) -> None:
    path = tmp_path / "bench.jsonl"
    path.write_text(json.dumps({"a": [{"b": PROBLEM}], "n": [1, None, True]}) + "\n")
    assert is_contaminated(PROBLEM, load_digests([path]))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"prompt": "x"}\n{"prompt": \n', "line 2"),
        ("a.txt", b"0123456789abcdef\nxyz\n", "line 2.*16 hexadecimal"),
        ("a.txt", b"zzzzzzzzzzzzzzzz\n", "line 1"),
        ("a.csv", b"a,b\n", "reads .jsonl and .txt"),
        ("a.jsonl.gz", gzip.compress(b'{"a": "b"}\n' * 50)[:-12], "damaged"),
        ("a.txt.gz", b"not gzip", "damaged"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        load_digests([path])
    assert str(path) in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_digests([tmp_path / "none.txt"])
