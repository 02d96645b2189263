"""Keys and values of tokens that are not computed again: those of the context, and those one forward attends to.

Dimensions: N layers, B batch, C context tokens, W rows of the forward, G key/value heads, K head size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from coda_model.config import ModelConfig
from coda_model.transformer import rope_table, rotate


@dataclass(frozen=True)
class ContextCache:
    """Keys and values of context tokens, each [N, B, C, G, K]; B is 1 where all drafts share them.

    The keys are not rotated: a token that moves, because a hole before it grew or a character was typed, only gets
    another rotation, and no rounding adds up however often it moves. Nothing writes to these tensors once they are
    here, so requests share them.
    """

    keys: Tensor
    values: Tensor

    @property
    def tokens(self) -> int:
        return self.keys.shape[2]

    def rows(self, drafts: Sequence[int]) -> "ContextCache":
        """The cache of some drafts of the batch."""
        if self.keys.shape[1] == 1:
            return self
        return ContextCache(self.keys[:, list(drafts)], self.values[:, list(drafts)])

    def replaced(self, kept_from: Sequence[int], kept_to: Sequence[int], fresh: "ContextCache") -> "ContextCache":
        """The cache of another context: token `kept_to[i]` of it is token `kept_from[i]` of this one, and `fresh` holds
        the others in ascending order."""
        total = len(kept_to) + fresh.tokens
        kept = set(kept_to)
        others = [index for index in range(total) if index not in kept]
        device = fresh.keys.device
        to = torch.tensor([*kept_to, *others], dtype=torch.int64, device=device)
        order = torch.empty_like(to).scatter_(0, to, torch.arange(total, device=device))
        source = torch.tensor(kept_from, dtype=torch.int64, device=device)
        keys = torch.cat((self.keys.index_select(2, source), fresh.keys), dim=2).index_select(2, order)
        values = torch.cat((self.values.index_select(2, source), fresh.values), dim=2).index_select(2, order)
        return ContextCache(keys, values)


class Memory:
    """What the rows of a forward attend to: the frozen context tokens, rotated to their positions, and themselves.

    One buffer holds both, so a step only overwrites its own W rows; frozen tokens are rotated once for each layout.
    """

    def __init__(
        self,
        config: ModelConfig,
        dtype: torch.dtype,
        rows: int,
        positions_BxC: Tensor,
        cache: ContextCache | None = None,
        index_C: Sequence[int] = (),
    ) -> None:
        """`index_C` picks the frozen tokens out of the cache; `positions_BxC` says where each stands in each draft."""
        batch, self._frozen = positions_BxC.shape
        heads = (config.num_key_value_heads, config.head_dim)
        size = (config.num_hidden_layers, batch, self._frozen + rows, *heads)
        self._keys = torch.empty(size, dtype=dtype, device=positions_BxC.device)
        self._values = torch.empty_like(self._keys)
        self._recorded: list[tuple[Tensor, Tensor]] | None = None
        if cache is not None and self._frozen:
            index = torch.tensor(index_C, dtype=torch.int64, device=positions_BxC.device)
            table = rope_table(positions_BxC, config.head_dim, config.rope_theta)
            self._keys[:, :, : self._frozen] = rotate(cache.keys.index_select(2, index), table)
            self._values[:, :, : self._frozen] = cache.values.index_select(2, index)

    def record(self) -> None:
        """Keep the rows' keys (not rotated) and values of the next forward for `recorded`."""
        self._recorded = []

    def recorded(self, rows: int) -> ContextCache:
        """The first `rows` rows of the forward since `record`, which is ended."""
        assert self._recorded is not None, "record comes before the forward"
        keys, values = zip(*self._recorded, strict=True)
        self._recorded = None
        return ContextCache(torch.stack([k[:, :rows] for k in keys]), torch.stack([v[:, :rows] for v in values]))

    def join(self, layer: int, raw: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put the rows' own keys and values [B, W, G, K] of a layer behind the frozen ones: gives [B, C + W, G, K]."""
        if self._recorded is not None:
            self._recorded.append((raw, values))
        self._keys[layer, :, self._frozen :] = keys
        self._values[layer, :, self._frozen :] = values
        return self._keys[layer], self._values[layer]
