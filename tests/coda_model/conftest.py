"""A tiny checkpoint on random weights, with the special tokens of a model that finds an infill's length."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

# The models here are so small that a second thread only waits: for this process and those the tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from coda_model.checkpoint import save_checkpoint
from coda_model.config import ModelConfig
from coda_model.forward import Steps, compute
from coda_model.transformer import CodaTransformer

torch.set_num_threads(1)

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|mask|>", "<|expand|>", "<|delete|>"]

CORPUS = [
    "def add(a, b):\n    return a + b\n\n\ndef main():\n    print(add(1, 2))\n",
    "class Point:\n    def __init__(self, x, y):\n        self.x = x\n        self.y = y\n",
    "for i in range(10):\n    if i % 2 == 0:\n        continue\n    total += i\r\n",
    "x = {'a': 1, 'b': [1, 2, 3]}  # é ü 漢字 🙂\n",
] * 4


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


@pytest.fixture(scope="session")
def tiny_config(tokenizer: Tokenizer) -> ModelConfig:
    """A vocabulary a little larger than the tokenizer's, as the released one is."""
    return ModelConfig(
        vocab_size=tokenizer.get_vocab_size() + 5,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        rope_theta=1e4,
        max_position_embeddings=1024,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=0,
        mask_token_id=3,
        expand_token_id=4,
        delete_token_id=5,
    )


def random_model(config: ModelConfig, seed: int = 0, spread: float = 0.2) -> CodaTransformer:
    """Weights far enough from zero that every term of the forward pass shows in the logits."""
    generator = torch.Generator().manual_seed(seed)
    model = CodaTransformer(config).requires_grad_(False).eval()
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator) * spread
        parameter.copy_(noise if parameter.dim() > 1 else 1 + noise)
    return model


_T = TypeVar("_T")


def drive(model: CodaTransformer, steps: Steps[_T]) -> _T:
    """Compute the forwards that the steps ask for."""
    answer = None
    while True:
        try:
            work = steps.send(answer)  # type: ignore[arg-type]
        except StopIteration as end:
            return end.value
        (answer,) = compute(model, [work])


@pytest.fixture(scope="session")
def tiny_model(tiny_config: ModelConfig) -> CodaTransformer:
    return random_model(tiny_config)


@pytest.fixture(scope="session")
def tiny_checkpoint(
    tiny_model: CodaTransformer,
    tiny_config: ModelConfig,
    tokenizer: Tokenizer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A checkpoint that grows and shrinks its holes."""
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    save_checkpoint(tiny_model, tiny_config, tokenizer, folder)
    return folder


@pytest.fixture(scope="session")
def grid_checkpoint(tiny_config: ModelConfig, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint without expand and delete tokens, as the released one is."""
    config = replace(tiny_config, expand_token_id=None, delete_token_id=None)
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-grid"
    save_checkpoint(random_model(config), config, tokenizer, folder)
    return folder
