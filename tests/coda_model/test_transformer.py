"""The backbone against transformers' Qwen3, run without its causal mask on the same random weights."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers import Qwen3Config, Qwen3ForCausalLM

from coda_model.config import ModelConfig
from coda_model.transformer import CodaTransformer

from .conftest import random_model


def reference_logits(model: CodaTransformer, ids_BxL: Tensor, attention: str) -> Tensor:
    names = {"num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "rms_norm_eps"}
    names |= {"vocab_size", "hidden_size", "intermediate_size", "max_position_embeddings", "tie_word_embeddings"}
    config = Qwen3Config(
        **{name: getattr(model.config, name) for name in names},
        rope_parameters={"rope_type": "default", "rope_theta": model.config.rope_theta},
    )
    config._attn_implementation = attention
    reference = Qwen3ForCausalLM(config).eval()
    missing = reference.load_state_dict(model.state_dict(), strict=False)
    assert not missing.unexpected_keys
    assert set(missing.missing_keys) <= {"lm_head.weight"}
    batch, length = ids_BxL.shape
    mask: Tensor = torch.ones(batch, 1, length, length, dtype=torch.bool)
    if attention == "eager":
        mask = torch.zeros(batch, 1, length, length)
    with torch.no_grad():
        return reference(ids_BxL, attention_mask=mask).logits


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(
    "change", [{}, {"tie_word_embeddings": False}, {"num_key_value_heads": 4}, {"rope_theta": 1e6}]
)
def test_equals_qwen3_without_causal_mask(tiny_config: ModelConfig, change: dict, attention: str) -> None:
    model = random_model(replace(tiny_config, **change))
    ids = torch.randint(0, tiny_config.vocab_size, (3, 41), generator=torch.Generator().manual_seed(1))
    expected = reference_logits(model, ids, attention)
    assert expected.std() > 0.1
    torch.testing.assert_close(model(ids), expected, atol=1e-4, rtol=0)


def test_every_row_sees_every_token(tiny_model: CodaTransformer, tiny_config: ModelConfig) -> None:
    ids = torch.arange(10, 30)[None]
    changed = ids.clone()
    changed[0, -1] = 99
    assert ((tiny_model(ids) - tiny_model(changed)).abs().amax(-1) > 1e-4).all()


@pytest.mark.parametrize("lengths", [[7, 30, 18], [1, 2], [25, 25, 3, 1]])
def test_a_row_does_not_depend_on_its_batch(tiny_model: CodaTransformer, lengths: list[int]) -> None:
    generator = torch.Generator().manual_seed(2)
    rows = [torch.randint(6, 300, (length,), generator=generator) for length in lengths]
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=0)
    mask = torch.arange(padded.shape[1]) < torch.tensor(lengths)[:, None]
    together = tiny_model(padded, mask)
    for row, alone in zip(together, rows, strict=True):
        torch.testing.assert_close(row[: len(alone)], tiny_model(alone[None])[0], atol=1e-5, rtol=0)


def test_the_head_on_picked_rows_is_the_head_on_all(tiny_model: CodaTransformer) -> None:
    ids = torch.arange(8, 40)[None]
    rows = torch.tensor([0, 5, 31])
    picked = tiny_model.logits(tiny_model.hidden_states(ids)[0, rows])
    torch.testing.assert_close(picked, tiny_model(ids)[0, rows], atol=1e-6, rtol=0)


def test_positions_count_only_relatively(tiny_model: CodaTransformer) -> None:
    ids = torch.arange(8, 24)[None]
    moved = torch.arange(100, 116)[None]
    expected = tiny_model.hidden_states(ids)
    torch.testing.assert_close(tiny_model.hidden_states(ids, moved), expected, atol=1e-4, rtol=0)
    assert (tiny_model.hidden_states(ids, moved * 2) - expected).abs().max() > 1e-2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_stays_near_and_gives_fp32_logits(tiny_config: ModelConfig, dtype: torch.dtype) -> None:
    ids = torch.arange(8, 40)[None]
    expected = random_model(tiny_config, spread=0.1)(ids)
    logits = random_model(tiny_config, spread=0.1).to(dtype)(ids)
    assert logits.dtype == torch.float32
    assert (logits - expected).abs().max() < 0.05 * expected.abs().max()


def test_no_rotary_table_is_stored(tiny_model: CodaTransformer) -> None:
    assert not list(tiny_model.buffers())
    assert not any("inv_freq" in name for name in tiny_model.state_dict())
