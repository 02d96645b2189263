"""The likelihood bound against the exact expectation over all masks, and its invariance."""

import itertools
import math
from pathlib import Path

import pytest
import torch

from coda_model import Infiller
from coda_model.evaluate.bound import likelihood_bound


@pytest.fixture(scope="module")
def infiller(tiny_checkpoint: Path) -> Infiller:
    return Infiller.from_pretrained(str(tiny_checkpoint))


def exact_bound(infiller: Infiller, prefix: str, reference: str, suffix: str) -> float:
    """The mean over n of the mean over all sets of n masked tokens, computed one mask at a time."""
    encode, mask = infiller.tokenizer.encode, infiller.model.config.mask_token_id
    before, target, after = encode(prefix), encode(reference), encode(suffix)
    total = 0.0
    for count in range(1, len(target) + 1):
        sets = list(itertools.combinations(range(len(target)), count))
        for chosen in sets:
            ids = [mask if place in chosen else token for place, token in enumerate(target)]
            logits_LxV = infiller.model(torch.tensor([before + ids + after]))[0]
            logits_LxV[:, infiller.tokenizer.is_special] = -torch.inf
            rows = [max(len(before) + place - 1, 0) for place in chosen]
            log_probability_NxV = logits_LxV[rows].log_softmax(-1)
            bits = -sum(float(row[target[place]]) for row, place in zip(log_probability_NxV, chosen, strict=True))
            total += bits / math.log(2) * len(target) / count / len(sets) / len(target)
    return total


@pytest.mark.parametrize(("prefix", "reference", "suffix"), [("x = {", "'a': 1", "}\n"), ("", "def", " f(): pass")])
def test_the_draws_estimate_the_bound(infiller: Infiller, prefix: str, reference: str, suffix: str) -> None:
    expected = exact_bound(infiller, prefix, reference, suffix)
    bound = likelihood_bound(infiller, prefix, reference, suffix, 512, draws=400, seed=0)
    assert bound is not None
    assert abs(bound.bits - expected) < 4 * bound.standard_error + 1e-3
    assert bound.characters == len(reference)
    assert bound == likelihood_bound(infiller, prefix, reference, suffix, 512, draws=400, seed=0)


def test_references_without_tokens_have_no_bound(infiller: Infiller) -> None:
    assert likelihood_bound(infiller, "x", "", "y", 512, 64, 0) is None
    assert likelihood_bound(infiller, "x", "a b " * 400, "y", 512, 64, 0) is None
