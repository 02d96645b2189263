"""Conversations as training rows: the assistant's turns are to be learnt, the rest is prompt (arXiv 2510.03270)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grain
import numpy as np
import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq

from coda_train.data.loaders import iterate_batches
from coda_train.data.sources import SourceError
from coda_train.tokenizer import END_OF_TEXT, IM_END, IM_START, encode_text, load_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_CONVERSATIONS = ("messages", "conversations")
_PROMPTS, _ANSWERS = ("instruction", "prompt", "question", "query"), ("output", "response", "answer", "completion")
_HELD_OUT = 0.01
_EPOCHS = 1_000_000
_BLOCK_BYTES = 64 << 20  # the longest line of a JSONL file
_NAMES = {"role": ("role", "from"), "content": ("content", "value")}
_ROLES = {"human": "user", "gpt": "assistant"}


@dataclass(frozen=True)
class Turns:
    """One conversation as tokens: [length] int32, and [length] bool true where the assistant speaks."""

    tokens: np.ndarray
    answers: np.ndarray


def read_conversations(source: Path) -> pa.Table:
    """The rows of a JSONL or Parquet file, or of all such files in a folder, in order.

    A row holds `messages` (a list of role and content), or an instruction (`instruction`, `prompt`, `question` or
    `query`, with an optional `input`) and its answer (`output`, `response`, `answer` or `completion`).

    Raises: SourceError for a source that is missing, damaged or has no such columns.
    """
    kinds = (".jsonl", ".ndjson", ".parquet")
    files = [source] if source.is_file() else sorted(file for file in source.rglob("*") if file.suffix in kinds)
    if not files:
        raise SourceError(f"{source} holds no conversations: give a .jsonl or .parquet file, or a folder of them")
    tables = []
    for file in files:
        try:
            if file.suffix == ".parquet":
                table = pq.read_table(file)
            else:
                table = pj.read_json(file, read_options=pj.ReadOptions(block_size=_BLOCK_BYTES))
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{file} is damaged: {' '.join(str(error).split())[:200]}") from None
        names = table.column_names
        wanted = _first(names, _CONVERSATIONS)
        prompt, answer = _first(names, _PROMPTS), _first(names, _ANSWERS)
        if wanted:
            tables.append(pa.table({"messages": table[wanted]}))
        elif prompt and answer:
            more = table["input"] if "input" in names else pa.nulls(len(table), pa.string())
            tables.append(pa.table({"prompt": table[prompt], "input": more, "answer": table[answer]}))
        else:
            raise SourceError(
                f"{file} has the columns {', '.join(names)}: conversations need messages, or instruction and output"
            )
    return pa.concat_tables(tables, promote_options="permissive")


def render(messages: Sequence[tuple[str, str]], tokenizer: "Tokenizer") -> Turns:
    """A conversation in Qwen's chat template; an assistant's turn counts with the token that ends it.

    Contents that spell out special tokens stay text.
    """
    start, end = (tokenizer.get_vocab()[token] for token in (IM_START, IM_END))
    tokens: list[int] = []
    answers: list[bool] = []
    for number, (role, content) in enumerate(messages):
        between = encode_text(tokenizer, "\n") if number else []
        head = [*between, start, *encode_text(tokenizer, f"{role}\n")]
        said = [*encode_text(tokenizer, content), end]
        tokens += head + said
        answers += [False] * len(head) + [role == "assistant"] * len(said)
    return Turns(np.array(tokens, np.int32), np.array(answers, bool))


def chat_batches(
    source: Path,
    split: str,
    tokenizer: Path,
    batch_size: int,
    length: int,
    seed: int,
    workers: int = 0,
    rows_of_batch: np.ndarray | None = None,
) -> grain.DatasetIterator:
    """An endless iterator over batches of `ChatRows`; see there, and `packed_batches` for `rows_of_batch`."""
    rows = ChatRows(source, split, tokenizer, length, seed)
    return iterate_batches([rows], [1.0], batch_size, workers, rows_of_batch)


class ChatRows:
    """Random access to rows, shuffled each epoch. A conversation whose answer does not fit a row gives its turn to the
    next one that does."""

    def __init__(self, source: Path, split: str, tokenizer: Path, length: int, seed: int) -> None:
        """Open `split` ("train" or "held_out": one conversation in a hundred).

        Raises: SourceError as `read_conversations`, and where no answer fits; FileNotFoundError without tokenizer.
        """
        self._arguments = (source, split, tokenizer, length, seed)
        self._length, self._seed = length, seed
        self._tokenizer = load_tokenizer(tokenizer)
        self._pad = self._tokenizer.token_to_id(END_OF_TEXT)
        self._table = read_conversations(source)
        order = np.random.default_rng(0).permutation(len(self._table))
        held_out = int(np.ceil(_HELD_OUT * len(order))) if len(order) > 1 else 0
        self._rows = order[:held_out] if split == "held_out" else order[held_out:]
        if not any(self._row(place) for place in range(min(len(self._rows), 1_000))):
            raise SourceError(
                f"{source}: no conversation of its {split} part has an answer that begins within {length} tokens"
            )

    def __len__(self) -> int:
        return len(self._rows) * _EPOCHS

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """{tokens, segment_ids [L] int32, maskable, prompt [L] bool}. The pad tail is to be learnt as well."""
        epoch, number = divmod(int(index), len(self._rows))
        seed = (self._seed * 1_000_003 + epoch) & 0xFFFFFFFF
        place = grain.experimental.index_shuffle(number, max_index=len(self._rows) - 1, seed=seed, rounds=4)
        return next(row for step in range(len(self._rows)) if (row := self._row((place + step) % len(self._rows))))

    def __reduce__(self) -> tuple:
        return ChatRows, self._arguments

    def _row(self, place: int) -> dict[str, np.ndarray] | None:
        messages = _messages(self._table.slice(int(self._rows[place]), 1).to_pylist()[0])
        turns = render(messages, self._tokenizer)
        if not turns.answers[: self._length].any():
            return None
        used = min(len(turns.tokens), self._length)
        tokens, prompt = np.full(self._length, self._pad, np.int32), np.zeros(self._length, bool)
        tokens[:used], prompt[:used] = turns.tokens[:used], ~turns.answers[:used]
        return {"tokens": tokens, "segment_ids": np.ones(self._length, np.int32), "maskable": ~prompt, "prompt": prompt}


def _messages(row: dict[str, Any]) -> list[tuple[str, str]]:
    """A row's turns as (role, content); those without text are left out."""
    if row.get("prompt"):
        asked = "\n\n".join(part for part in (row["prompt"], row["input"]) if part)
        turns = [("user", asked), ("assistant", row["answer"])]
    else:
        said = [
            {name: next((turn[k] for k in keys if k in turn), "") for name, keys in _NAMES.items()}
            for turn in row.get("messages") or ()
        ]
        turns = [(_ROLES.get(turn["role"], turn["role"]), turn["content"]) for turn in said]
    return [(role, content) for role, content in turns if role and isinstance(content, str) and content]


def _first(names: list[str], wanted: tuple[str, ...]) -> str | None:
    return next((name for name in wanted if name in names), None)
