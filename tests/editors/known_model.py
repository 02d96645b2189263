"""A checkpoint whose fills are known beforehand, for tests of what an editor makes of them.

python tests/editors/known_model.py FOLDER

Its layers add nothing, so a token is predicted by the one before it alone: the weights are a table of which token
follows which. After anything else it writes

    alpha + beta * gamma            in a hole of one line; the second candidate begins with `omega` instead
    alpha + beta * gamma            in a hole that may be a block
        # delta

and it is sure of each of these tokens, once the one before is there. A mask before a token tells it nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from coda_model.checkpoint import save_checkpoint
from coda_model.config import ModelConfig
from coda_model.transformer import CodaTransformer

FILL = "alpha + beta * gamma"
SECOND_FILL = "omega + beta * gamma"
_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|mask|>", "<|expand|>", "<|delete|>"]
_MASK, _EXPAND, _DELETE = 3, 4, 5
_BEGINNINGS = {"alpha": 20.0, "omega": 19.7}
# Token, its successors and their logits. A hole of one line may not take a line end: then the second is all there is.
# A comment may stand at any depth, and no text of the tests has that token.
_SUCCESSORS = {
    "alpha": {"Ġ+": 20.0},
    "omega": {"Ġ+": 20.0},
    "Ġ+": {"Ġbeta": 20.0},
    "Ġbeta": {"Ġ*": 20.0},
    "Ġ*": {"Ġgamma": 20.0},
    "Ġgamma": {"ĊĠĠĠĠĠĠĠĠ#": 36.0, "<|delete|>": 18.0},
    "ĊĠĠĠĠĠĠĠĠ#": {"Ġdelta": 20.0},
    "Ġdelta": {"<|delete|>": 20.0},
}


def save_known_checkpoint(folder: Path) -> None:
    """Write the checkpoint into a folder that does not exist yet."""
    tokenizer = _tokenizer()
    vocabulary = tokenizer.get_vocab()
    size = len(vocabulary)
    config = ModelConfig(
        vocab_size=size,
        hidden_size=size,
        intermediate_size=2,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=2,
        rope_theta=1e4,
        max_position_embeddings=2048,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=0,
        mask_token_id=_MASK,
        expand_token_id=_EXPAND,
        delete_token_id=_DELETE,
        tie_word_embeddings=False,
    )
    logits_VxV = torch.zeros(size, size)  # row: the token before
    for token, before in vocabulary.items():
        if token not in _SPECIAL:
            for successor, logit in _SUCCESSORS.get(token, _BEGINNINGS).items():
                logits_VxV[before, vocabulary[successor]] = logit
    network = CodaTransformer(config).requires_grad_(False).eval()
    for name, weight in network.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight")):  # what a layer adds
            weight.zero_()
    network.model.embed_tokens.weight.copy_(torch.eye(size))
    assert network.lm_head is not None
    network.lm_head.weight.copy_(logits_VxV.T / size**0.5)  # the last norm makes the one of a row sqrt(size)
    save_checkpoint(network, config, tokenizer, folder)


def _tokenizer() -> Tokenizer:
    """Bytes, and the words of the fills built up letter by letter."""
    vocabulary = {token: number for number, token in enumerate(_SPECIAL)}
    for character in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary[character] = len(vocabulary)
    merges = []
    for word in _SUCCESSORS:
        for length in range(2, len(word) + 1):
            if word[:length] not in vocabulary:
                vocabulary[word[:length]] = len(vocabulary)
                merges.append((word[: length - 1], word[length - 1]))
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(_SPECIAL)
    return tokenizer


if __name__ == "__main__":
    save_known_checkpoint(Path(sys.argv[1]))
