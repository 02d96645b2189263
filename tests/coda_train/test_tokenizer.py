"""The tokenizer: every text survives, lines stay apart, and special tokens never come from text."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from coda_train.data.corpus import SCHEMA
from coda_train.tokenizer import (
    SPECIAL_TOKENS,
    encode_text,
    encode_texts,
    load_tokenizer,
    train_tokenizer,
)

TEXT = st.text(
    st.one_of(st.sampled_from(" \t\r\n\f\v_.()=:'\"09aZ\u2028é😀"), st.characters(codec="utf-8")), max_size=60
)
LINES = st.lists(
    st.sampled_from(["return x", "    ", "\n", "\r\n", "\t", "if a:", " ", "\n\n", "foo.bar(1)"]), max_size=12
)


def newline_token_ids(tokenizer: Tokenizer) -> frozenset[int]:
    """Ids of the tokens that hold a line feed; apart from it they hold white space alone."""
    line_feed = "\u010a"  # how the byte-level alphabet writes byte 10
    return frozenset(index for token, index in tokenizer.get_vocab().items() if line_feed in token)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of 700 tokens trained on the standard library's json and argparse."""
    root = tmp_path_factory.mktemp("tokenizer")
    import argparse
    import json.decoder
    import json.encoder

    texts = [Path(str(module.__file__)).read_text("utf-8") for module in (argparse, json.decoder, json.encoder)] * 25
    rows = [
        {"text": text, "path": "a.py", "package": f"p{n}", "version": "", "licence": "MIT"}
        for n, text in enumerate(texts)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), root / "train-00000.parquet")
    train_tokenizer(root, root / "out", 700)
    return root / "out"


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return load_tokenizer(folder)


def test_vocabulary(tokenizer: Tokenizer) -> None:
    assert tokenizer.get_vocab_size() == 700
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4, 5]
    assert tokenizer.encode("a").ids == tokenizer.encode("a", add_special_tokens=False).ids


@given(text=TEXT | LINES.map("".join))
def test_round_trip_without_special_tokens(tokenizer: Tokenizer, text: str) -> None:
    ids = encode_text(tokenizer, text)
    assert tokenizer.decode(ids, skip_special_tokens=False) == text
    assert min(ids, default=6) >= 6


@given(text=TEXT | LINES.map("".join))
def test_tokens_with_a_line_feed_hold_nothing_but_white_space(tokenizer: Tokenizer, text: str) -> None:
    line_feeds = newline_token_ids(tokenizer)
    for token in encode_text(tokenizer, text):
        piece = tokenizer.decode([token], skip_special_tokens=False)
        assert (token in line_feeds) == ("\n" in piece)
        if token in line_feeds:
            assert piece.strip(" \t\r\n") == ""
            assert "\n" not in piece.lstrip("\r\n"), "text after a line feed reached the next line end"


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("x = 1234", ["x", " =", " ", "1", "2", "3", "4"]),
        ("a\n        return b", ["a", "\n        ", "return", " b"]),
        ("a\n\n    return b", ["a", "\n\n    ", "return", " b"]),
        ("def f(self):\n    return", ["def", " f", "(self", "):", "\n    ", "return"]),
        ("a_b.name", ["a", "_b", ".name"]),
        ("a  # b", ["a", " ", " #", " b"]),
        ("a \r\n\t\nb\r", ["a", " ", "\r\n\t", "\n", "b", "\r"]),
    ],
)
def test_pieces(tokenizer: Tokenizer, text: str, pieces: list[str]) -> None:
    assert [text[start:end] for _, (start, end) in tokenizer.pre_tokenizer.pre_tokenize_str(text)] == pieces


@pytest.mark.parametrize("special", SPECIAL_TOKENS)
def test_text_that_spells_a_special_token_stays_text(folder: Path, tokenizer: Tokenizer, special: str) -> None:
    text = f'mask = "{special}"\n'
    fresh = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert fresh.token_to_id(special) in fresh.encode(text).ids
    for ids in (encode_text(tokenizer, text), encode_text(fresh, text), *encode_texts(tokenizer, [text, text])):
        assert min(ids) >= len(SPECIAL_TOKENS)
        assert tokenizer.decode(ids) == text


def test_transformers_reads_it(folder: Path, tokenizer: Tokenizer) -> None:
    from transformers import AutoTokenizer

    loaded: Any = AutoTokenizer.from_pretrained(folder)
    assert (loaded.bos_token_id, loaded.pad_token_id, loaded.eos_token_id, loaded.mask_token_id) == (0, 0, 2, 3)
    text = "def f(x):\r\n\n    return  x + 'é😀'\n"
    assert loaded(text)["input_ids"] == encode_text(tokenizer, text)
    assert loaded.decode(loaded(text)["input_ids"]) == text
    chat = loaded.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True)
    assert chat == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


def test_faults_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="vocabulary of 100 is too small"):
        train_tokenizer(tmp_path, tmp_path / "out", 100)
    with pytest.raises(FileNotFoundError, match="build the corpus first"):
        train_tokenizer(tmp_path, tmp_path / "out", 300)
    assert not (tmp_path / "out").exists()
    with pytest.raises(FileNotFoundError, match=r"holds no tokenizer\.json"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match="is no tokenizer"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text(
        Tokenizer.from_str('{"model": {"type": "BPE", "vocab": {}, "merges": []}}').to_str()
    )
    with pytest.raises(ValueError, match=r"lacks <\|endoftext\|>"):
        load_tokenizer(tmp_path)
