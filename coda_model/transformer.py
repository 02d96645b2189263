"""The backbone: Qwen3 with full attention (arXiv 2510.03270, section 3; arXiv 2505.09388 for Qwen3).

Dimensions: B batch, L length, D hidden, H query heads, G key/value heads, K head size, V vocabulary, N rows picked out.
Parameter names are those of Qwen3 on the Hugging Face Hub.
"""

from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from coda_model.config import ModelConfig


class Attend(Protocol):
    """Mixes for each row the values of all tokens it attends to: queries [B, L, H, K], and [B, L, H, K] the result.

    `raw` are the rows' own keys before the rotation, `keys` those after it, `values` theirs too, each [B, L, G, K].
    """

    def __call__(self, layer: int, queries: Tensor, raw: Tensor, keys: Tensor, values: Tensor) -> Tensor: ...


def attend_within(
    layer: int, queries: Tensor, raw: Tensor, keys: Tensor, values: Tensor, *, mask_Bx1x1xL: Tensor | None
) -> Tensor:
    """An Attend (with the mask bound) by which the rows attend to each other."""
    del layer, raw
    q, k, v = queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask_Bx1x1xL, enable_gqa=True).transpose(1, 2)


class RMSNorm(nn.Module):
    """x / rms(x) * weight over the last axis; PyTorch computes it in fp32 whatever the dtype of x."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


def rope_table(positions_BxL: Tensor, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary angles, each [B, L, 1, K] fp32.

    They are computed at every call: a table that is no stored tensor cannot be left wrong by a loader.
    """
    exponents = torch.arange(0, head_dim, 2, device=positions_BxL.device, dtype=torch.float32) / head_dim
    angles = positions_BxL.float()[..., None] / theta**exponents
    angles = torch.cat((angles, angles), dim=-1)[:, :, None]
    return angles.cos(), angles.sin()


def rotate(x_BxLxHxK: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary position embedding, rotate-half form, in fp32; the result has the dtype of x."""
    cos, sin = table
    first, second = x_BxLxHxK.chunk(2, dim=-1)
    return (x_BxLxHxK * cos + torch.cat((-second, first), dim=-1) * sin).to(x_BxLxHxK.dtype)


class Attention(nn.Module):
    """Grouped-query attention over all positions, never causal; queries and keys are normalised before the rotation."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        queries = config.num_attention_heads * config.head_dim
        keys = config.num_key_value_heads * config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, queries, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, keys, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, keys, bias=False)
        self.o_proj: nn.Module = nn.Linear(queries, config.hidden_size, bias=False)
        self.q_norm = RMSNorm(config.head_dim, config.rms_norm_eps)
        self.k_norm = RMSNorm(config.head_dim, config.rms_norm_eps)
        self.queries, self.keys = config.num_attention_heads, config.num_key_value_heads
        # One product in place of the first three projections, where `coda_model.quantize` makes it.
        self.int8_projection: nn.Module | None = None

    def project(self, x_BxLxD: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys [B, L, H + G, K], normalised, and values [B, L, G, K]."""
        if self.int8_projection is not None:
            rows = self.int8_projection(x_BxLxD)
        else:
            rows = torch.cat((self.q_proj(x_BxLxD), self.k_proj(x_BxLxD), self.v_proj(x_BxLxD)), dim=-1)
        heads = rows.view(*x_BxLxD.shape[:2], -1, self.head_dim)
        mixing, values = heads.split((self.queries + self.keys, self.keys), dim=2)
        # Both norms as one: they differ in their weights only.
        weight = torch.cat(
            (self.q_norm.weight.expand(self.queries, -1), self.k_norm.weight.expand(self.keys, -1)), dim=0
        )
        return F.rms_norm(mixing, (self.head_dim,), eps=self.q_norm.eps) * weight, values

    def forward(self, x_BxLxD: Tensor, table: tuple[Tensor, Tensor], layer: int, attend: Attend) -> Tensor:
        raw, values = self.project(x_BxLxD)
        queries, keys = rotate(raw, table).split((self.queries, self.keys), dim=2)
        return self.o_proj(attend(layer, queries, raw[:, :, self.queries :], keys, values).flatten(2))


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj: nn.Module = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)
        self.int8_gate_up: nn.Module | None = None  # one product in place of two, as in Attention

    def forward(self, x: Tensor) -> Tensor:
        if self.int8_gate_up is not None:
            gate, up = self.int8_gate_up(x).chunk(2, dim=-1)
            return self.down_proj(F.silu(gate) * up)
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = FeedForward(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x_BxLxD: Tensor, table: tuple[Tensor, Tensor], layer: int, attend: Attend) -> Tensor:
        x_BxLxD = x_BxLxD + self.self_attn(self.input_layernorm(x_BxLxD), table, layer, attend)
        return x_BxLxD + self.mlp(self.post_attention_layernorm(x_BxLxD))


class Backbone(nn.Module):
    """Embedding, layers and last norm: the tensors named `model.*` in a checkpoint."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self,
        ids_BxL: Tensor,
        positions_BxL: Tensor | None,
        attention_mask_BxL: Tensor | None,
        attend: Attend | None = None,
    ) -> Tensor:
        if positions_BxL is None:
            positions_BxL = torch.arange(ids_BxL.shape[1], device=ids_BxL.device)[None]
        if attend is None:
            mask = None if attention_mask_BxL is None else attention_mask_BxL[:, None, None].bool()
            attend = partial(attend_within, mask_Bx1x1xL=mask)
        table = rope_table(positions_BxL, self.config.head_dim, self.config.rope_theta)
        x_BxLxD = self.embed_tokens(ids_BxL)
        for index, layer in enumerate(self.layers):
            x_BxLxD = layer(x_BxLxD, table, index, attend)
        return self.norm(x_BxLxD)


class CodaTransformer(nn.Module):
    """Backbone and head. Row i - 1 of the logits predicts token i (row 0 predicts tokens 0 and 1).

    Whether the head is tied to the embedding is `config.tie_word_embeddings`; a tied head holds no tensor of its own.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Backbone(config)
        self.lm_head = (
            None if config.tie_word_embeddings else nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        )
        self.int8_head: nn.Module | None = None  # takes the place of either

    def hidden_states(
        self,
        ids_BxL: Tensor,
        positions_BxL: Tensor | None = None,
        attention_mask_BxL: Tensor | None = None,
        attend: Attend | None = None,
    ) -> Tensor:
        """Normalised last hidden states [B, L, D].

        ids_BxL: int64. positions_BxL: int64, 0..L-1 when None. attention_mask_BxL: bool, True for real tokens; every
        row needs one True, and no row attends to another token than these. `attend` says instead what the rows attend
        to, where that is not each other.
        """
        return self.model(ids_BxL, positions_BxL, attention_mask_BxL, attend)

    def logits(self, rows_NxD: Tensor) -> Tensor:
        """Logits [N, V] fp32 of hidden states picked out of `hidden_states`; leading axes may be several."""
        if self.int8_head is not None:
            return self.int8_head(rows_NxD)
        weight = self.model.embed_tokens.weight if self.lm_head is None else self.lm_head.weight
        return F.linear(rows_NxD, weight).float()

    def forward(self, ids_BxL: Tensor, attention_mask_BxL: Tensor | None = None) -> Tensor:
        """Logits [B, L, V] fp32, rows not shifted."""
        return self.logits(self.hidden_states(ids_BxL, attention_mask_BxL=attention_mask_BxL))
