import pytest
import torch
from torch import Tensor

from coda_model.config import ModelConfig
from coda_model.errors import InputError
from coda_model.generate import generate
from coda_model.transformer import CodaTransformer
from coda_model.unmask import linear_commits


def test_prompt_is_kept_and_no_mask_is_left(tiny_model: CodaTransformer, tiny_config: ModelConfig) -> None:
    prompt = torch.tensor([[9, 10, 11], [12, 13, 14]])
    generator = torch.Generator().manual_seed(0)
    ids = generate(tiny_model, prompt, max_new_tokens=9, steps=4, generator=generator)
    assert ids.shape == (2, 12)
    assert ids[:, :3].tolist() == prompt.tolist()
    assert not (ids == tiny_config.mask_token_id).any()


class Successor(torch.nn.Module):
    """Knows one thing: the token after x is x + 1. Row i - 1 predicts token i, from its own token alone."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.forwards = 0

    def hidden_states(self, ids_BxL: Tensor) -> Tensor:
        self.forwards += 1
        following = torch.where(ids_BxL == self.config.mask_token_id, -1, ids_BxL + 1)
        hot = torch.nn.functional.one_hot(following.clamp(min=0), self.config.vocab_size).float()
        return hot * (following >= 0)[..., None] * 20

    def logits(self, rows_NxD: Tensor) -> Tensor:
        return rows_NxD.clone()


def test_the_shift(tiny_config: ModelConfig) -> None:
    """Token i comes from row i - 1, so a chain of successors unrolls to the right one token a step.

    The published schedule rounds down and so keeps two masks for its last step, of which only one is next in line.
    """
    model = Successor(tiny_config)
    ids = generate(model, torch.tensor([[20]]), max_new_tokens=7, steps=100, temperature=0.0, top_p=None)  # type: ignore[arg-type]
    assert ids[0, :-1].tolist() == [20, 21, 22, 23, 24, 25, 26]
    # Steps that commit nothing cost no forward.
    left, busy = 7, 0
    for step in range(100):
        count = linear_commits(left, step, 100)
        left, busy = left - count, busy + bool(count)
    assert model.forwards == busy == 6


def test_a_mask_at_position_zero_is_predicted_by_row_zero(tiny_config: ModelConfig) -> None:
    class First(Successor):
        def hidden_states(self, ids_BxL: Tensor) -> Tensor:
            hidden = torch.zeros(*ids_BxL.shape, self.config.vocab_size)
            hidden[:, torch.arange(ids_BxL.shape[1]), torch.arange(ids_BxL.shape[1]) + 30] = 9.0
            return hidden

    prompt = torch.tensor([[tiny_config.mask_token_id, tiny_config.mask_token_id, tiny_config.mask_token_id]])
    assert generate(First(tiny_config), prompt, 0, 3, temperature=0.0).tolist() == [[30, 30, 31]]  # type: ignore[arg-type]


@pytest.mark.parametrize("alg", ["origin", "maskgit_plus", "topk_margin", "entropy"])
def test_deterministic_given_the_generator(tiny_model: CodaTransformer, alg: str) -> None:
    prompt = torch.tensor([[9, 10, 11]])
    first, second, other = (
        generate(tiny_model, prompt, 12, 12, alg, temperature=1.0, alg_temp=0.2, generator=g)  # type: ignore[arg-type]
        for g in (torch.Generator().manual_seed(5), torch.Generator().manual_seed(5), torch.Generator().manual_seed(6))
    )
    assert first.tolist() == second.tolist() != other.tolist()


def test_a_text_at_temperature_zero_does_not_depend_on_its_batch(tiny_model: CodaTransformer) -> None:
    prompts = torch.tensor([[9, 10, 11], [50, 60, 70]])
    together = generate(tiny_model, prompts, 10, 10, temperature=0.0)
    alone = [generate(tiny_model, prompt[None], 10, 10, temperature=0.0)[0] for prompt in prompts]
    assert together.tolist() == torch.stack(alone).tolist()


@pytest.mark.parametrize(
    ("prompt", "arguments"),
    [(torch.tensor([1, 2]), {}), (torch.zeros(1, 0, dtype=torch.long), {"max_new_tokens": 0}), (None, {"steps": 0})],
)
def test_bad_arguments(tiny_model: CodaTransformer, prompt: Tensor | None, arguments: dict) -> None:
    with pytest.raises(InputError):
        generate(tiny_model, torch.tensor([[1]]) if prompt is None else prompt, **arguments)
