import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models

from coda_model.errors import CodaError, InputError
from coda_model.tokenizer import CodeTokenizer, byte_alphabet

from .conftest import SPECIAL

TEXT = st.text(st.characters(codec="utf-8"))


@pytest.fixture(scope="module")
def coder(tiny_checkpoint: Path, tokenizer: Tokenizer) -> CodeTokenizer:
    return CodeTokenizer.from_folder(tiny_checkpoint, tokenizer.get_vocab_size() + 5)


def test_byte_alphabet_covers_every_byte_once() -> None:
    assert sorted(byte_alphabet().values()) == list(range(256))
    assert byte_alphabet()["Ġ"] == ord(" ")
    assert byte_alphabet()["Ċ"] == ord("\n")


@given(st.lists(st.one_of(TEXT, st.sampled_from([*SPECIAL, "\r\n", "\t", "def f(x):\n    ", "é漢🙂"]))).map("".join))
def test_round_trip_without_special_ids(coder: CodeTokenizer, text: str) -> None:
    ids = coder.encode(text)
    assert coder.decode(ids) == text
    assert not any(coder.is_special[i] for i in ids)


def test_added_tokens_that_are_not_special_are_plain_text_too(tokenizer: Tokenizer) -> None:
    with_marker = Tokenizer.from_str(tokenizer.to_str())
    with_marker.add_tokens([AddedToken("<|fim_prefix|>", normalized=False)])
    coder = CodeTokenizer(with_marker, with_marker.get_vocab_size())
    marker = with_marker.token_to_id("<|fim_prefix|>")
    assert marker not in coder.encode("a <|fim_prefix|> b")
    assert coder.decode(coder.encode("a <|fim_prefix|> b")) == "a <|fim_prefix|> b"
    assert coder.is_special[marker]


def test_half_a_surrogate_pair_is_refused(coder: CodeTokenizer) -> None:
    with pytest.raises(InputError, match="surrogate"):
        coder.encode("a\ud83d")


def test_tables_agree_with_decoding(coder: CodeTokenizer) -> None:
    size = coder._tokenizer.get_vocab_size()
    for token_id in range(size):
        text = coder.decode([token_id])
        special = text in SPECIAL
        assert bool(coder.is_special[token_id]) == special
        assert bool(coder.has_newline[token_id]) == ("\n" in text)
        assert bool(coder.has_carriage_return[token_id]) == ("\r" in text)
        if not special and not coder.is_unwritable[token_id]:
            assert "\ufffd" not in text
            assert all(
                character.isprintable() or character in " \t\n\r\f" or ord(character) > 127 for character in text
            )
    assert coder.is_special[size:].all()
    assert coder.is_special.sum() == len(SPECIAL) + 5
    # Printable ASCII, tab, line feed, form feed, carriage return: what code is made of is never forbidden.
    assert not any(coder.is_unwritable[i] for i in coder.encode("azAZ09 _+-*/=()[]{}'\"\t\n\r\f"))
    assert coder.is_unwritable[coder._tokenizer.token_to_id("Ã")]
    assert coder.is_unwritable[coder._tokenizer.token_to_id("Ā")]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no tokenizer"),
        ({"vocab.json": "{}"}, "holds no tokenizer"),
        ({"tokenizer.json": "{"}, "tokenizer.json is damaged"),
        ({"tokenizer.json": json.dumps({"version": "1.0"})}, "tokenizer.json is damaged"),
    ],
)
def test_bad_folders(files: dict[str, str], message: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(CodaError, match=message):
        CodeTokenizer.from_folder(tmp_path, 400)


def test_vocabulary_and_merges_without_tokenizer_json(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.model.save(str(tmp_path))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Qwen2Tokenizer"}))
    coder = CodeTokenizer.from_folder(tmp_path, 600)
    assert coder.decode(coder.encode("def f(x):\n    return x\r\n")) == "def f(x):\n    return x\r\n"


def test_a_tokenizer_that_does_not_fit(tokenizer: Tokenizer) -> None:
    with pytest.raises(CodaError, match="vocabulary ends at 99"):
        CodeTokenizer(tokenizer, 100)
    word_level = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    word_level.decoder = decoders.WordPiece()
    with pytest.raises(CodaError, match="byte-level"):
        CodeTokenizer(word_level, 100)
