"""The holes that `coda-model bench` fills, cut from source files by seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from coda_model.errors import InputError
from coda_model.request import MAX_HOLE_TOKENS, Hole
from coda_model.tokenizer import CodeTokenizer

Kind = Literal["span", "line"]
Length = Literal["oracle", "auto"] | int

# Tokens of a hole whose length the model finds: what the language server asks for.
_MOST_TOKENS = 48
# Characters kept on each side: more than any context.
_REACH = 20_000


@dataclass(frozen=True)
class BenchHole:
    """A span of a file, as the texts on both sides and the text it held, which is `tokens` tokens."""

    prefix: str
    middle: str
    suffix: str
    tokens: int
    single_line: bool = False

    def asked(self, length: Length) -> Hole:
        """The hole as a request: of its true length, of one to be found, or of `length` tokens."""
        if length == "auto":
            return Hole(single_line=self.single_line, max_tokens=max(_MOST_TOKENS, self.tokens))
        return Hole(length=self.count(length), single_line=self.single_line, max_tokens=MAX_HOLE_TOKENS)

    def count(self, length: Length) -> int:
        """Tokens for the ways that cannot find a length: the true number where one is to be found."""
        return length if isinstance(length, int) else self.tokens


def cut_spans(files: Sequence[Path], count: int, tokens: int, tokenizer: CodeTokenizer) -> list[BenchHole]:
    """`count` spans of `tokens` tokens, spread evenly over the files. Raises InputError where a file is too short."""
    holes = []
    for number in range(count):
        file = files[number % len(files)]
        ids = tokenizer.encode(_read(file))
        share = (number // len(files) + 1) / (-(-count // len(files)) + 1)
        start = int(len(ids) * share)
        if start < 8 or start + tokens > len(ids):
            raise InputError(f"{file} has {len(ids)} tokens, too few for a hole of {tokens}.")
        end = start + tokens
        before, middle, after = (tokenizer.decode(part) for part in (ids[:start], ids[start:end], ids[end:]))
        holes.append(BenchHole(before, middle, after, tokens))
    return holes


def cut_lines(files: Sequence[Path], count: int, seed: int, tokenizer: CodeTokenizer) -> list[BenchHole]:
    """`count` rests of code lines, each cut at a random character of its text. Raises InputError where no line fits."""
    draw = random.Random(seed)
    texts = [_read(file) for file in files]
    lines = [(number, *span) for number, text in enumerate(texts) for span in _code_lines(text)]
    if not lines:
        raise InputError("The files hold no line of code of 8 to 80 characters to cut.")
    holes = []
    for number, start, end in draw.choices(lines, k=count):
        text = texts[number]
        cut = draw.randrange(start, end - 2)
        middle = text[cut:end]
        tokens = min(len(tokenizer.encode(middle)), MAX_HOLE_TOKENS)
        holes.append(BenchHole(text[max(cut - _REACH, 0) : cut], middle, text[end : end + _REACH], tokens, True))
    return holes


def _code_lines(text: str) -> list[tuple[int, int]]:
    """Starts and ends of the stripped lines that look like statements; offsets into the text."""
    found, offset = [], 0
    for line in text.split("\n"):
        code = line.strip()
        start = offset + line.find(code)
        if 8 <= len(code) <= 80 and not code.startswith(("#", '"', "'", "*", "//")) and any(c in code for c in "=(:."):
            found.append((start, start + len(code)))
        offset += len(line) + 1
    return found


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror or error}).") from None
