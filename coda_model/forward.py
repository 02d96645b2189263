"""One forward of the model for some rows of several sequences, which may belong to different requests.

The rows of all sequences go through the layers as one batch without padding; only attention looks at each sequence by
itself. Dimensions: T rows of all sequences, W rows and S tokens of one, D hidden, H query heads, G key/value heads,
K head size.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from coda_model.kv_cache import ContextCache, Memory
from coda_model.transformer import CodaTransformer

# Steps of fewer rows than this share a forward whatever their number is; above, only those of a similar size.
_SMALL_BUCKET = 6  # 2^6 rows


@dataclass(frozen=True)
class Rows:
    """Rows of one sequence to compute.

    `ids`, `positions` and `slots` have an entry for each row: its token, its place in the sequence, and where its keys
    and values go in the memory, of which the first `attended` tokens are looked at. The hidden states of the rows
    `wanted` (indices) come back. The first rows are the context's: where there is a `record`, `recorded` of them are
    written to it too, not rotated, at the same slots.
    """

    memory: Memory
    ids: Sequence[int]
    positions: Sequence[int]
    slots: Sequence[int]
    wanted: Sequence[int]
    attended: int
    record: ContextCache | None = None
    recorded: int = 0


@dataclass(frozen=True)
class Work:
    """A forward that a request waits for: rows of each of its sequences."""

    rows: Sequence[Rows]

    @property
    def bucket(self) -> int:
        """Requests of the same bucket may share a forward: none of them waits for another's long pass."""
        return max(_SMALL_BUCKET, (sum(len(rows.ids) for rows in self.rows) - 1).bit_length())


_T = TypeVar("_T")

Steps = Generator[Work, list[Tensor], _T]
"""A computation that yields each forward it needs and is sent the hidden states [wanted, D], one for each Rows."""


@torch.inference_mode()
def compute(model: CodaTransformer, works: Sequence[Work]) -> list[list[Tensor]]:
    """The answers to all works, from one forward."""
    batch = _Batch([rows for work in works for rows in work.rows], model.model.embed_tokens.weight.device)
    hidden_TxD = model.hidden_states(batch.ids_1xT, positions_BxL=batch.positions_1xT, attend=batch.attend)[0]
    answers = iter(hidden_TxD[batch.wanted].split([len(part.rows.wanted) for part in batch.parts]))
    return [[next(answers) for _ in work.rows] for work in works]


@dataclass(frozen=True)
class _Part:
    rows: Rows
    start: int
    end: int
    slots_W: Tensor


class _Batch:
    """The rows of several sequences one behind the other; what each attends to."""

    def __init__(self, sequences: Sequence[Rows], device: torch.device) -> None:
        starts = [0, *accumulate(len(rows.ids) for rows in sequences)]
        self.ids_1xT = torch.tensor([[token for rows in sequences for token in rows.ids]], device=device)
        self.positions_1xT = torch.tensor([[place for rows in sequences for place in rows.positions]], device=device)
        self.wanted = torch.tensor(
            [start + row for rows, start in zip(sequences, starts, strict=False) for row in rows.wanted],
            dtype=torch.int64,
            device=device,
        )
        self.parts = [
            _Part(rows, start, end, torch.tensor(rows.slots, device=device))
            for rows, (start, end) in zip(sequences, pairwise(starts), strict=True)
        ]

    def attend(self, layer: int, queries: Tensor, raw: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Put the rows' keys and values into their memories, and attend to these: an Attend with B = 1."""
        mixed = [
            _attend_part(layer, part, *(x[0, part.start : part.end] for x in (queries, raw, keys, values)))
            for part in self.parts
        ]
        return (mixed[0] if len(mixed) == 1 else torch.cat(mixed))[None]


def _attend_part(layer: int, part: _Part, q_WxHxK: Tensor, raw: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    rows, memory = part.rows, part.rows.memory
    if rows.record is not None:
        slots = part.slots_W[: rows.recorded]
        rows.record.keys[layer].index_copy_(0, slots, raw[: rows.recorded])
        rows.record.values[layer].index_copy_(0, slots, values[: rows.recorded])
    memory.keys[layer].index_copy_(0, part.slots_W, keys)
    memory.values[layer].index_copy_(0, part.slots_W, values)
    k = memory.keys[layer, : rows.attended].transpose(0, 1)[None]
    v = memory.values[layer, : rows.attended].transpose(0, 1)[None]
    # The queries that share keys become rows of one head: faster on a CPU than to have the keys repeated.
    width, heads, size = q_WxHxK.shape
    groups = k.shape[1]
    q = q_WxHxK.unflatten(1, (groups, -1)).permute(1, 2, 0, 3).reshape(1, groups, -1, size)
    mixed = F.scaled_dot_product_attention(q, k, v)
    return mixed.view(groups, heads // groups, width, size).permute(2, 0, 1, 3).reshape(width, heads, size)
