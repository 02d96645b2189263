"""Text to token ids and back, and what is known about each token."""

import re
from bisect import bisect_left
from functools import cached_property
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders

from coda_model.errors import CodaError, InputError

# Control characters other than tab, line feed, form feed and carriage return, and the mark of undecodable bytes.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ufffd]")

_TURN_MARKS = re.compile(r"(<\|im_(?:start|end)\|>)")


def byte_alphabet() -> dict[str, int]:
    """Character to byte of byte-level BPE vocabularies (Radford et al. 2019): printable Latin-1 stands for itself, the
    other 68 bytes are written as the characters from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


class CodeTokenizer:
    """A byte-level BPE tokenizer that takes every text as plain text: `<|mask|>` in a source file is eight characters.

    `is_special`, `is_unwritable`, `has_newline`, `has_carriage_return` are [vocab_size] bool vectors over the model's
    vocabulary, which may be larger than the tokenizer's. Special are added tokens and ids no text has; unwritable are
    tokens that are not whole UTF-8 characters by themselves or hold control characters.
    """

    def __init__(self, tokenizer: Tokenizer, vocab_size: int) -> None:
        """Raises CodaError where the tokenizer is not byte-level or has ids the model does not know."""
        if not isinstance(tokenizer.decoder, decoders.ByteLevel):
            raise CodaError("The tokenizer is not a byte-level one, which is the only kind the engine can constrain.")
        largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
        if largest >= vocab_size:
            raise CodaError(f"The tokenizer has the id {largest}, but the model's vocabulary ends at {vocab_size - 1}.")
        # Markers such as <|fim_prefix|> are often registered as plain additions; text that spells one is still text.
        added = tokenizer.get_added_tokens_decoder().values()
        tokenizer.add_special_tokens([AddedToken(token.content, special=True, normalized=False) for token in added])
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        token_bytes = _token_bytes(tokenizer, vocab_size)
        self.is_special = torch.tensor([token is None for token in token_bytes])
        self.is_unwritable = torch.tensor([token is not None and not _is_writable(token) for token in token_bytes])
        self.has_newline = torch.tensor([token is not None and b"\n" in token for token in token_bytes])
        self.has_carriage_return = torch.tensor([token is not None and b"\r" in token for token in token_bytes])
        self._bytes = token_bytes

    @classmethod
    def from_folder(cls, folder: Path, vocab_size: int) -> "CodeTokenizer":
        """Read `tokenizer.json`, or `vocab.json` with `merges.txt`. Raises CodaError naming what is missing or bad."""
        file = folder / "tokenizer.json"
        if file.is_file():
            try:
                tokenizer = Tokenizer.from_file(str(file))
            except Exception as error:  # the library raises bare Exception for every fault of the file
                raise CodaError(f"{file} is damaged or no tokenizer ({error}).") from None
        elif (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
            tokenizer = _convert_slow_files(folder)
        else:
            raise CodaError(f"{folder} holds no tokenizer: neither tokenizer.json nor vocab.json with merges.txt.")
        try:
            return cls(tokenizer, vocab_size)
        except CodaError as error:
            raise CodaError(f"{folder}: {error}") from None

    def encode(self, text: str) -> list[int]:
        """Token ids; nothing is added. Raises InputError where the text holds half of a surrogate pair."""
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise InputError("The text holds half of a surrogate pair, which is no character.") from None
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode_turns(self, text: str) -> list[int]:
        """As `encode`, but the marks of Qwen's chat template are tokens, where the vocabulary has them."""
        ids: list[int] = []
        for part in _TURN_MARKS.split(text):
            mark = self._tokenizer.token_to_id(part) if _TURN_MARKS.fullmatch(part) else None
            ids += self.encode(part) if mark is None else [mark]
        return ids

    def starting_with(self, text: str) -> torch.Tensor:
        """Ids [M] int64 of the tokens that begin with the text."""
        return _with_prefix(self._sorted, text.encode())

    def ending_with(self, text: str) -> torch.Tensor:
        """Ids [M] int64 of the tokens that end with the text."""
        return _with_prefix(self._sorted_reversed, text.encode()[::-1])

    @cached_property
    def _sorted(self) -> list[tuple[bytes, int]]:
        return sorted((token, index) for index, token in enumerate(self._bytes) if token is not None)

    @cached_property
    def _sorted_reversed(self) -> list[tuple[bytes, int]]:
        return sorted((token[::-1], index) for index, token in enumerate(self._bytes) if token is not None)

    def decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=False)


def _token_bytes(tokenizer: Tokenizer, vocab_size: int) -> list[bytes | None]:
    """The bytes of each id; None for added tokens and ids without a token."""
    alphabet = str.maketrans({character: chr(byte) for character, byte in byte_alphabet().items()})
    table: list[bytes | None] = [None] * vocab_size
    for token, token_id in tokenizer.get_vocab(with_added_tokens=True).items():
        table[token_id] = token.translate(alphabet).encode("latin-1", "replace")
    for token_id in tokenizer.get_added_tokens_decoder():
        table[token_id] = None
    return table


def _with_prefix(tokens: list[tuple[bytes, int]], prefix: bytes) -> torch.Tensor:
    first = bisect_left(tokens, (prefix,))
    # No byte of UTF-8 is 255, so this is behind every token with the prefix.
    last = bisect_left(tokens, (prefix + b"\xff",), lo=first)
    return torch.tensor([index for _, index in tokens[first:last]], dtype=torch.int64)


def _is_writable(token: bytes) -> bool:
    try:
        return not _UNPRINTABLE.search(token.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def _convert_slow_files(folder: Path) -> Tokenizer:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CodaError(f"{folder}: the tokenizer's vocab.json and merges.txt cannot be read ({reason}).") from None
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise CodaError(f"{folder}: the tokenizer is a {type(tokenizer).__name__}, which is no byte-level one.")
    return tokenizer.backend_tokenizer
