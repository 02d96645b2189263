"""One model, two layouts: our parameter tree (layers stacked, matrices [in, out]) and Hugging Face's tensors."""

from collections.abc import Iterable, Iterator

import numpy as np

LAYER_NAMES = {
    "input_norm": "input_layernorm",
    "attention/q_proj": "self_attn.q_proj",
    "attention/k_proj": "self_attn.k_proj",
    "attention/v_proj": "self_attn.v_proj",
    "attention/o_proj": "self_attn.o_proj",
    "attention/q_norm": "self_attn.q_norm",
    "attention/k_norm": "self_attn.k_norm",
    "post_norm": "post_attention_layernorm",
    "mlp/gate_proj": "mlp.gate_proj",
    "mlp/up_proj": "mlp.up_proj",
    "mlp/down_proj": "mlp.down_proj",
}
"""Names in one layer, ours to Hugging Face's. Matrices are [in, out] here and [out, in] there."""

TOP_NAMES = {"embed": "model.embed_tokens.weight", "norm": "model.norm.weight", "head": "lm_head.weight"}
STACK = "layers/"
"""What our names of stacked parameters begin with."""


def tensor_names(name: str, num_layers: int) -> list[str]:
    """The tensors that a parameter of ours is made of: one, or one a layer."""
    if not name.startswith(STACK):
        return [TOP_NAMES[name]]
    theirs = LAYER_NAMES[name.removeprefix(STACK)]
    return [f"model.layers.{layer}.{theirs}.weight" for layer in range(num_layers)]


def to_tensors(arrays: Iterable[tuple[str, np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
    """Hugging Face's tensors, views where possible, from our (name, array) pairs."""
    for name, array in arrays:
        if name.startswith(STACK):
            for theirs, layer in zip(tensor_names(name, len(array)), array, strict=True):
                yield theirs, layer.T
        else:
            yield TOP_NAMES[name], array
