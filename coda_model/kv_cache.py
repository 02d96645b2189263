"""Keys and values of tokens that are not computed again.

Dimensions: N layers, C context tokens, S tokens that a sequence has room for, G key/value heads, K head size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from coda_model.config import ModelConfig
from coda_model.transformer import rope_table, rotate

# Tokens a memory grows by at least, so that a hole that grows token by token does not copy it each time.
_GROWTH = 32


@dataclass(frozen=True)
class ContextCache:
    """Keys and values of context tokens, each [N, C, G, K].

    The keys are not rotated: a token that moves, because a hole before it grew or a character was typed, only gets
    another rotation, and no rounding adds up however often it moves. Nothing writes to these tensors once the pass that
    computes them has ended, so drafts and requests share them.
    """

    keys: Tensor
    values: Tensor

    @property
    def tokens(self) -> int:
        return self.keys.shape[1]

    @classmethod
    def empty(cls, config: ModelConfig, tokens: int, dtype: torch.dtype, device: torch.device) -> "ContextCache":
        size = (config.num_hidden_layers, tokens, config.num_key_value_heads, config.head_dim)
        return cls(torch.empty(size, dtype=dtype, device=device), torch.empty(size, dtype=dtype, device=device))

    def rearranged(self, source: Sequence[int], target: Sequence[int], tokens: int) -> "ContextCache":
        """Room for `tokens` tokens, of which token `target[i]` is token `source[i]` of this cache."""
        wanted = torch.tensor(source, dtype=torch.int64, device=self.keys.device)
        places = torch.tensor(target, dtype=torch.int64, device=self.keys.device)
        size = (self.keys.shape[0], tokens, *self.keys.shape[2:])
        return ContextCache(
            *(
                torch.empty(size, dtype=kept.dtype, device=kept.device).index_copy_(
                    1, places, kept.index_select(1, wanted)
                )
                for kept in (self.keys, self.values)
            )
        )


class Memory:
    """What the rows of one sequence attend to: keys, rotated to their positions, and values, each [N, S, G, K].

    The context's C tokens come first, the holes' behind them: attention does not care for the order.
    """

    def __init__(self, config: ModelConfig, context: int, room: int, dtype: torch.dtype, device: torch.device) -> None:
        self._config = config
        self._context = context
        cache = ContextCache.empty(config, context + room, dtype, device)
        self.keys, self.values = cache.keys, cache.values

    def reserve(self, tokens: int) -> None:
        """Make room for `tokens` tokens in all; those that are there stay."""
        missing = tokens - self.keys.shape[1]
        if missing > 0:
            size = (self.keys.shape[0], max(missing, _GROWTH), *self.keys.shape[2:])
            self.keys = torch.cat((self.keys, self.keys.new_empty(size)), dim=1)
            self.values = torch.cat((self.values, self.values.new_empty(size)), dim=1)

    def load(self, cache: ContextCache) -> None:
        """Take the values of the context; its keys follow with `place`."""
        self.values[:, : self._context] = cache.values

    def place(self, cache: ContextCache, first: int, positions: Sequence[int]) -> None:
        """Rotate the context's keys from the token `first` on to `positions`, one for each of them."""
        if not positions:
            return
        places = torch.tensor([positions], device=self.keys.device)
        table = rope_table(places, self._config.head_dim, self._config.rope_theta)
        self.keys[:, first : self._context] = rotate(cache.keys[:, first:], table)
