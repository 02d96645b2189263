"""Conversations as rows: the template is Qwen's, prompts and answers are told apart, what does not fit gives way."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import PreTrainedTokenizerFast

from coda_train.data.chat import ChatRows, read_conversations, render
from coda_train.data.sources import SourceError
from coda_train.tokenizer import load_tokenizer

ASKED, ANSWERED = "Sort a list.", "def f(x):\n    return sorted(x)"
ROWS = {
    "instruction": [{"instruction": ASKED, "output": ANSWERED}],
    "input": [{"instruction": "Sort", "input": "[3, 1]", "response": ANSWERED}],
    "prompt": [{"prompt": ASKED, "completion": ANSWERED}],
    "messages": [{"messages": [{"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}]}],
    "conversations": [{"conversations": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": ANSWERED}]}],
}


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_template_is_the_tokenizers_own(material) -> None:
    messages = [
        ("system", "Be brief."),
        ("user", ASKED),
        ("assistant", ANSWERED),
        ("user", "Why?"),
        ("assistant", "So."),
    ]
    turns = render(messages, load_tokenizer(material.tokenizer))
    reference = PreTrainedTokenizerFast.from_pretrained(material.tokenizer)
    listed = [{"role": role, "content": content} for role, content in messages]
    text = reference.apply_chat_template(listed, tokenize=False)
    assert f"{reference.decode(turns.tokens)}\n" == text
    answers = reference.decode(turns.tokens[turns.answers])
    assert answers == f"{ANSWERED}<|im_end|>So.<|im_end|>"


def test_text_that_spells_a_special_token_stays_text(material) -> None:
    tokenizer = load_tokenizer(material.tokenizer)
    turns = render([("user", "<|im_end|>"), ("assistant", "<|mask|>")], tokenizer)
    assert (turns.tokens == tokenizer.token_to_id("<|im_end|>")).sum() == 2
    assert (turns.tokens == tokenizer.token_to_id("<|mask|>")).sum() == 0


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_rows_of_every_kind(material, tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"chat.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS[kind]), path)
    else:
        write(path, ROWS[kind])
    rows = ChatRows(path, "train", material.tokenizer, 128, 0)
    row, tokenizer = rows[0], load_tokenizer(material.tokenizer)
    assert {name: value.dtype.kind for name, value in row.items()} == {
        "tokens": "i", "segment_ids": "i", "maskable": "b", "prompt": "b",
    }  # fmt: skip
    assert not (row["maskable"] & row["prompt"]).any()
    assert (row["maskable"] | row["prompt"]).all()
    assert (row["segment_ids"] == 1).all()
    learnt = row["tokens"][row["maskable"]]
    end, pad = (tokenizer.token_to_id(token) for token in ("<|im_end|>", "<|endoftext|>"))
    answer = learnt[: learnt.tolist().index(end)]
    assert tokenizer.decode(answer.tolist()) == ANSWERED
    assert (learnt[len(answer) + 1 :] == pad).all(), "the pad tail is to be learnt"
    asked = "Sort\n\n[3, 1]" if kind == "input" else ASKED
    assert asked in tokenizer.decode(row["tokens"][row["prompt"]].tolist())


def test_epochs_hold_every_conversation_once_and_one_in_a_hundred_is_held_out(material, tmp_path: Path) -> None:
    path = write(tmp_path / "chat.jsonl", [{"instruction": f"n {n}", "output": f"{n}"} for n in range(200)])
    train, held_out = (ChatRows(path, split, material.tokenizer, 32, 7) for split in ("train", "held_out"))
    tokens = [{tuple(train[epoch * 198 + n]["tokens"]) for n in range(198)} for epoch in range(2)]
    assert len(tokens[0]) == 198
    assert tokens[0] == tokens[1]
    assert not tokens[0] & {tuple(held_out[n]["tokens"]) for n in range(2)}
    assert any((train[n]["tokens"] != train[198 + n]["tokens"]).any() for n in range(5)), "in another order"
    np.testing.assert_array_equal(train[3]["tokens"], ChatRows(path, "train", material.tokenizer, 32, 7)[3]["tokens"])


def test_long_ones_are_cut_and_unanswered_ones_left_out(material, tmp_path: Path) -> None:
    long, fits = {"instruction": "word " * 90, "output": "x"}, {"instruction": "a", "output": "long " * 90}
    path = write(tmp_path / "chat.jsonl", [long, fits, {"instruction": "b", "output": None}])
    rows = ChatRows(path, "train", material.tokenizer, 24, 0)
    for number in range(4):
        assert rows[number]["maskable"].any()
        assert rows[number]["tokens"].shape == (24,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"text": "x"}\n', "has the columns text: conversations need messages, or instruction and output"),
        ('{"instruction": "x", "outp', "is damaged"),
        ('{"instruction": "x", "output": ""}\n', "has an answer that begins within 24 tokens"),
    ],
)
def test_what_can_not_be_used(material, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text(text)
    with pytest.raises(SourceError, match=message) as error:
        ChatRows(path, "train", material.tokenizer, 24, 0)
    assert "\n" not in str(error.value)


def test_a_folder_without_any(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no conversations"):
        read_conversations(tmp_path)
