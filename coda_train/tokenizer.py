"""A byte-level BPE tokenizer for code: training it, and encoding text that may spell out special tokens.

Pieces follow the GPT-4/Qwen family with two changes that make lines the natural unit of a fill: digits stand alone, and
a line end takes the indentation that follows it, so that "\\n        " can be one token. No piece mixes text before a
line end with text after it.
"""

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from coda_train.data.split import read_split
from coda_train.files import write_whole

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END_OF_TEXT, IM_START, IM_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
MASK, EXPAND, DELETE = "<|mask|>", "<|expand|>", "<|delete|>"
SPECIAL_TOKENS = (END_OF_TEXT, IM_START, IM_END, MASK, EXPAND, DELETE)
"""In the order of their ids, from 0: bos = pad is the first, eos the third."""

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")

SAMPLE_BYTES = 60_000_000
MAX_PACKAGE_SHARE = 0.05
"""No package gives more of the sample: the vocabulary is for code at large, not for the largest code base."""

PIECES = "|".join(
    (
        r"(?:\r?\n)+[ \t]*",  # line ends, blank lines, and the next line's indentation
        r"[^\r\n\p{L}\p{N}]?\p{L}+",  # a word with the space, dot or underscore before it
        r"\p{N}",
        r" ?[^\s\p{L}\p{N}]+",  # punctuation
        r"[^\S\r\n]+(?!\S)",  # spaces, but for the last, which goes to the word it precedes
        r"[^\S\r\n]+",
        r"\s",
    )
)

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def train_tokenizer(
    corpus: Path, out: Path, vocab_size: int, progress: Callable[[str, int, int], None] | None = None
) -> "Tokenizer":
    """Train on a sample of the corpus' training split and write `tokenizer.json` and `tokenizer_config.json`.

    Args:
        corpus: folder written by `build_corpus`.
        out: folder, made if missing; `transformers.AutoTokenizer` reads it.
        vocab_size: with the 6 special tokens and the 256 bytes, so at least 262.
        progress: called with a stage's name, bytes done and their total.

    Raises: FileNotFoundError for a folder without a training split, ValueError for a vocabulary too small.
    """
    from tokenizers import trainers
    from tokenizers.pre_tokenizers import ByteLevel

    smallest = 256 + len(SPECIAL_TOKENS)
    if vocab_size < smallest:
        raise ValueError(
            f"a vocabulary of {vocab_size} is too small: the bytes and special tokens alone are {smallest}"
        )
    tokenizer = untrained()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=ByteLevel.alphabet(),
        max_token_length=32,
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_sample(corpus, progress), trainer)
    save_tokenizer(tokenizer, out)
    return tokenizer


def untrained() -> "Tokenizer":
    """The tokenizer's rules with an empty vocabulary: no normalisation, so that every text survives a round trip."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def save_tokenizer(tokenizer: "Tokenizer", out: Path) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` into `out`, each whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "tokenizer.json", tokenizer.to_str(pretty=True))
    _write_config(out)


def adopt_tokenizer(tokenizer: "Tokenizer", source: Path, out: Path) -> None:
    """Copy the tokenizer read from a model's folder into `out`, with the special tokens added that it lacks.

    Qwen3's gets `<|mask|>` 151669, as the released CoDA has it, `<|expand|>` 151670 and `<|delete|>` 151671: rows of
    its embedding that nothing uses. Where it lacks none the files are copied as they are.
    """
    if source.resolve() == out.resolve():
        return
    out.mkdir(parents=True, exist_ok=True)
    missing = [token for token in SPECIAL_TOKENS if tokenizer.token_to_id(token) is None]
    if missing:
        tokenizer.add_special_tokens(missing)
        write_whole(out / "tokenizer.json", tokenizer.to_str(pretty=True))
    else:
        write_whole(out / "tokenizer.json", (source / "tokenizer.json").read_text("utf-8"))
    if (source / "tokenizer_config.json").is_file():
        write_whole(out / "tokenizer_config.json", (source / "tokenizer_config.json").read_text("utf-8"))
    else:
        _write_config(out)


def _write_config(out: Path) -> None:
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END_OF_TEXT,
        "eos_token": IM_END,
        "pad_token": END_OF_TEXT,
        "mask_token": MASK,
        "additional_special_tokens": [IM_START, EXPAND, DELETE],
        "clean_up_tokenization_spaces": False,
        "model_max_length": 1_000_000,
        "chat_template": CHAT_TEMPLATE,
    }
    write_whole(out / "tokenizer_config.json", json.dumps(config, indent=2) + "\n")


def read_tokenizer(folder: Path) -> "Tokenizer":
    """Read `tokenizer.json`, whatever special tokens it has.

    Raises: FileNotFoundError without the file, ValueError if it can't be read.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no tokenizer.json")
    try:
        tokenizer = Tokenizer.from_str(path.read_text("utf-8"))
    except Exception as error:  # tokenizers raises bare Exception for a file it can't read
        raise ValueError(f"{path} is no tokenizer: {error}") from None
    return tokenizer


def load_tokenizer(folder: Path) -> "Tokenizer":
    """Read `tokenizer.json` for encoding documents: text that spells a special token stays plain text.

    Raises: FileNotFoundError without the file, ValueError if it can't be read or lacks one of the special tokens.
    """
    tokenizer = read_tokenizer(folder)
    missing = [token for token in SPECIAL_TOKENS if tokenizer.token_to_id(token) is None]
    if missing:
        raise ValueError(f"{folder / 'tokenizer.json'} lacks {', '.join(missing)}")
    tokenizer.encode_special_tokens = True
    return tokenizer


def encode_text(tokenizer: "Tokenizer", text: str) -> list[int]:
    """Token ids of a text, none of them special even where the text spells one out."""
    tokenizer.encode_special_tokens = True
    return tokenizer.encode(text, add_special_tokens=False).ids


def encode_texts(tokenizer: "Tokenizer", texts: list[str]) -> list[list[int]]:
    """`encode_text` of many texts, on all cores."""
    tokenizer.encode_special_tokens = True
    return [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]


def _sample(corpus: Path, progress: Callable[[str, int, int], None] | None) -> Iterator[str]:
    """Documents of the training split in random order, at most SAMPLE_BYTES, no package above its share."""
    table = read_split(corpus, "train", ["text", "package"])
    texts, packages = table["text"], table["package"].to_pylist()
    order = list(range(len(texts)))
    random.Random(0).shuffle(order)
    taken: dict[str, int] = defaultdict(int)
    done = 0
    for index in order:
        text = texts[index].as_py()
        if taken[packages[index]] > MAX_PACKAGE_SHARE * SAMPLE_BYTES:
            continue
        taken[packages[index]] += len(text)
        done += len(text)
        if progress:
            progress("sample", min(done, SAMPLE_BYTES), SAMPLE_BYTES)
        yield text
        if done >= SAMPLE_BYTES:
            return
