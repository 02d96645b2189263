"""A document on its way from masks to text: fixed tokens, and holes whose slots are committed, grown and removed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from coda_model.lookup import Continuation

MASK = None
"""A slot that holds no token yet."""

_LONGEST_LOOP, _SHORTEST_LOOP = 8, 6


class Site(NamedTuple):
    """A masked slot: which hole, which slot of it, and the row of the model's output that predicts it."""

    hole: int
    slot: int
    row: int


Assembled = tuple[list[int], list[Site]]
"""A whole sequence of ids, and its masked sites."""


@dataclass
class OpenHole:
    """The slots of one hole, with the log-probability of each committed token, and that it is one (0 for a mask).

    A slot that is expanded becomes two, one that is deleted goes away. `expansions_left` bounds the growth. A hole that
    grows into what it was before grows no more, or a model may expand and delete in turn; nor does one whose tokens
    have begun to repeat themselves, for each repetition makes the next surer. `opening` and `closing` are the ids that
    may stand in the first and in the last slot, where not all may. Where the tokens are `given`, one for each slot, the
    model only says how likely they are, and in which order it would commit them; where some are None, the others are
    committed before it fills these, and with them nothing is said of how likely they were.
    """

    slots: list[int | None]
    max_tokens: int
    fixed: bool
    single_line: bool
    expansions_left: int
    opening: torch.Tensor | None = None
    closing: torch.Tensor | None = None
    given: Sequence[int | None] | None = None
    log_probabilities: list[float] = field(init=False)
    log_stays: list[float] = field(init=False)
    delete_log_probabilities: list[float] = field(default_factory=list)
    _grown: set[tuple[int | None, ...]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.log_probabilities = [0.0] * len(self.slots)
        self.log_stays = [0.0] * len(self.slots)

    @property
    def may_expand(self) -> bool:
        return not self.fixed and self.expansions_left > 0 and len(self.slots) < self.max_tokens

    def only(self, slot: int) -> torch.Tensor | None:
        """The ids that may stand in a slot; None where there is no such list. A slot with one is never deleted."""
        if slot == 0 and self.opening is not None:
            return self.opening
        return self.closing if slot == len(self.slots) - 1 else None

    def comes_first(self, slot: int) -> bool:
        """Whether the slot's token is given where others are not."""
        return self.given is not None and None in self.given and self.given[slot] is not None

    def reopen(self, bound: float) -> None:
        """Mask again the tokens that were committed with a probability below the bound; the length is final now."""
        for slot, value in enumerate(self.log_probabilities):
            if value < math.log(bound):
                self.slots[slot] = MASK
                self.log_probabilities[slot] = self.log_stays[slot] = 0.0
        self.fixed = True

    def commit(self, slot: int, token: int, log_probability: float = 0.0, log_stays: float = 0.0) -> None:
        self.slots[slot] = token
        self.log_probabilities[slot] = log_probability
        self.log_stays[slot] = log_stays
        if repeats_itself(self.slots, slot):
            self.expansions_left = 0

    def expand(self, slot: int) -> None:
        """Two masks in place of one; nothing happens where the hole may not grow."""
        if self.may_expand:
            self.expansions_left -= 1
            self.slots.insert(slot, MASK)
            self.log_probabilities.insert(slot, 0.0)
            self.log_stays.insert(slot, 0.0)
            if (grown := tuple(self.slots)) in self._grown:
                self.expansions_left = 0
            self._grown.add(grown)

    def delete(self, slot: int, log_probability: float) -> None:
        del self.slots[slot], self.log_probabilities[slot], self.log_stays[slot]
        self.delete_log_probabilities.append(log_probability)

    @property
    def tokens(self) -> list[int]:
        """The committed tokens."""
        return [token for token in self.slots if token is not MASK]


def repeats_itself(slots: Sequence[int | None], slot: int) -> bool:
    """Whether the committed tokens around `slot` are in a loop.

    A loop is a group of one to eight tokens that stands three times in a row, and for six tokens at least.
    """
    start = end = slot
    while start > 0 and slots[start - 1] is not MASK:
        start -= 1
    while end + 1 < len(slots) and slots[end + 1] is not MASK:
        end += 1
    for period in range(1, _LONGEST_LOOP + 1):
        same = 0  # tokens in a row that equal the one a period before
        for index in range(max(start + period, slot - 3 * period), min(end, slot + 3 * period) + 1):
            same = same + 1 if slots[index] == slots[index - period] else 0
            if same >= max(2 * period, _SHORTEST_LOOP - period):
                return True
    return False


@dataclass
class Draft:
    """One way to fill the holes. `texts` are the n + 1 token lists around the n holes, shared by all drafts."""

    texts: list[list[int]]
    holes: list[OpenHole]
    temperature: float
    generator: torch.Generator
    found: Continuation | None = None
    """Where it is a fill that stands elsewhere in the document: what is known of that."""

    @property
    def masked(self) -> int:
        return sum(hole.slots.count(MASK) for hole in self.holes)

    def assemble(self, mask_id: int) -> Assembled:
        """The whole sequence of ids and its masked sites; position s is predicted by row s - 1, position 0 by row 0."""
        ids = list(self.texts[0])
        sites = []
        for index, (hole, text) in enumerate(zip(self.holes, self.texts[1:], strict=True)):
            for slot, token in enumerate(hole.slots):
                if token is MASK:
                    sites.append(Site(index, slot, max(len(ids) - 1, 0)))
                ids.append(mask_id if token is MASK else token)
            ids += text
        return ids, sites

    def reopen(self, bound: float) -> None:
        """Mask again what was committed with a probability below the bound; the lengths of the holes stay."""
        for hole in self.holes:
            hole.reopen(bound)

    def log_length(self) -> float:
        """The sum of the log-probabilities that each slot is one token."""
        return sum(sum(hole.log_stays) for hole in self.holes)

    def mean_log_probability(self) -> float:
        """Over all committed tokens but those that came first; over the deletes where the fills are empty."""
        tokens = [
            value
            for hole in self.holes
            for slot, value in enumerate(hole.log_probabilities)
            if not hole.comes_first(slot)
        ]
        deletes = [value for hole in self.holes for value in hole.delete_log_probabilities]
        values = tokens or deletes
        return sum(values) / len(values)
