"""Masking rates, and what the three strategies may never do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coda_train.config import MeshConfig, NoiseConfig, StageConfig, TrainConfig
from coda_train.data.infilling import TokenIds
from coda_train.noise import (
    choose_rows,
    corrupt,
    cut_suffix,
    keep_prefix,
    keep_prompt,
    mask_blocks,
    next_token,
    sample_sigma,
)
from coda_train.sharding import make_layout
from coda_train.step import make_targets

IDS = TokenIds(pad=0, end=2, mask=3, expand=4, delete=5)
ROWS, LENGTH = 16_384, 24


def runs(row: np.ndarray) -> list[tuple[int, int]]:
    """(start, end) of every run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
    return list(zip(edges[::2], edges[1::2], strict=True))


ONE_DEVICE = make_layout(MeshConfig(), jax.devices()[:1])
CORRUPT = make_targets(TrainConfig(), IDS, ONE_DEVICE)
MASK_BLOCKS = jax.jit(mask_blocks, static_argnames=("length", "largest", "edges"))


def packed(rows: int, length: int) -> dict[str, jax.Array]:
    tokens = jnp.arange(rows * length).reshape(rows, length) % 50 + 6
    return {
        "tokens": tokens.astype(jnp.int32),
        "segment_ids": jnp.ones((rows, length), jnp.int32),
        "maskable": jnp.ones((rows, length), bool),
    }


@pytest.mark.parametrize("antithetic", [True, False])
def test_sigma_is_uniform(antithetic):
    eps, top, rows = 0.1, 0.8, 4096
    sigma = np.sort(sample_sigma(jax.random.key(0), rows, eps, top, antithetic))
    assert eps <= sigma[0]
    assert sigma[-1] <= top
    expected = eps + (top - eps) * (np.arange(rows) + 0.5) / rows
    # 1.63 / sqrt(n) is the Kolmogorov bound at 1%; antithetic levels lie on a grid.
    assert np.abs(sigma - expected).max() < (1 / rows if antithetic else 1.63 / rows**0.5)


@pytest.mark.parametrize("sigma", [0.02, 0.3, 0.5, 0.95])
@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_clipped_blocks_mask_every_position_at_the_rate_sigma(sigma, size):
    masked = MASK_BLOCKS(
        jax.random.key(1), jnp.full(ROWS, sigma), jnp.full(ROWS, size), LENGTH, largest=8, edges="clip"
    )
    error = 3 * (sigma * (1 - sigma) / ROWS) ** 0.5
    np.testing.assert_allclose(np.mean(masked, axis=0), sigma, atol=error)


def test_windows_inside_the_row_mask_its_ends_less():
    sigma, size = 0.5, 8
    masked = np.asarray(
        MASK_BLOCKS(jax.random.key(2), jnp.full(ROWS, sigma), jnp.full(ROWS, size), LENGTH, largest=8, edges="window")
    )
    start = 1 - (1 - sigma) ** (1 / size)
    covering = np.minimum(np.minimum(np.arange(LENGTH) + 1, LENGTH - np.arange(LENGTH)), size)
    expected = 1 - (1 - start) ** covering
    np.testing.assert_allclose(masked.mean(axis=0), expected, atol=3 * 0.5 / ROWS**0.5)
    assert expected[0] == pytest.approx(0.083, abs=1e-3)  # the 8% of the description


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), sigma=st.floats(0.01, 0.99), edges=st.sampled_from(["clip", "window"]))
def test_runs_are_at_least_as_long_as_their_block(seed, sigma, edges):
    sizes = np.array([1, 2, 4, 8] * 8)
    masked = MASK_BLOCKS(jax.random.key(seed), jnp.full(32, sigma), jnp.array(sizes), LENGTH, largest=8, edges=edges)
    for row, size in zip(np.asarray(masked), sizes, strict=True):
        for start, end in runs(row):
            touches_edge = edges == "clip" and (start == 0 or end == LENGTH)
            assert end - start >= size or touches_edge


def test_blocks_equal_the_direct_form():
    """The prefix sums against: a token is masked if any window of its row that covers it started."""
    rows, length, largest = 64, 16, 8
    sizes = np.array([1, 2, 4, 8] * 16)
    sigma = np.linspace(0.05, 0.95, rows).astype(np.float32)
    key = jax.random.key(3)
    uniform = np.asarray(jax.random.uniform(key, (rows, length + largest - 1)))
    rate = 1 - (1 - sigma) ** (1 / sizes.astype(np.float32))
    starts = uniform < rate[:, None]
    for edges in ("clip", "window"):
        expected = np.zeros((rows, length), bool)
        for row in range(rows):
            for begin in range(-(largest - 1), length):
                end = begin + sizes[row]
                if edges == "window" and (begin < 0 or end > length):
                    continue
                if starts[row, begin + largest - 1]:
                    expected[row, max(begin, 0) : max(end, 0)] = True
        got = MASK_BLOCKS(key, jnp.array(sigma), jnp.array(sizes), length, largest, edges)
        np.testing.assert_array_equal(got, expected)


def test_prefix_lengths_are_uniform_and_only_in_chosen_rows():
    chosen = jnp.arange(ROWS) % 2 == 0
    maskable = np.asarray(keep_prefix(jax.random.key(4), jnp.ones((ROWS, LENGTH), bool), chosen))
    assert maskable[1::2].all()
    lengths = (~maskable[::2]).sum(axis=1)
    assert (maskable[::2] == (np.arange(LENGTH) >= lengths[:, None])).all()
    counts = np.bincount(lengths, minlength=LENGTH + 1)
    assert counts[0] == counts[LENGTH] == 0
    expected = ROWS / 2 / (LENGTH - 1)
    assert np.abs(counts[1:LENGTH] - expected).max() < 5 * expected**0.5


def test_suffixes_are_cut_only_in_chosen_rows():
    chosen = jnp.arange(ROWS) % 4 == 0
    removed = np.asarray(cut_suffix(jax.random.key(5), LENGTH, chosen))
    assert not removed[np.arange(ROWS) % 4 != 0].any()
    lengths = removed[::4].sum(axis=1)
    assert lengths.min() >= 1
    assert lengths.max() <= LENGTH - 1
    assert (removed[::4] == (np.arange(LENGTH) >= LENGTH - lengths[:, None])).all()


@pytest.mark.parametrize("per", ["sequence", "batch"])
def test_rows_are_chosen_with_the_given_probability(per):
    draws = np.stack([choose_rows(jax.random.key(i), 16, 0.3, per) for i in range(400)])
    if per == "batch":
        assert (draws == draws[:, :1]).all()
    independent = 400 if per == "batch" else draws.size
    assert draws.mean() == pytest.approx(0.3, abs=3 * (0.21 / independent) ** 0.5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), probabilities=st.tuples(*[st.sampled_from([0.0, 0.5, 1.0])] * 3))
def test_corrupt_keeps_its_promises(seed, probabilities):
    rows, length = 8, 32
    batch = packed(rows, length)
    batch["maskable"] = batch["maskable"].at[:, 5:9].set(False)
    out = jax.device_get(CORRUPT(jax.random.key(seed), batch, np.array([*probabilities, 1], np.float32)))
    masked = out["weights"] > 0
    assert (out["inputs"][masked] == IDS.mask).all()
    assert (out["inputs"][~masked] == out["targets"][~masked]).all()
    assert not masked[:, 5:9].any()
    cut = out["segment_ids"] == 0
    assert not masked[cut].any()
    assert (out["targets"][cut] == IDS.pad).all()
    assert (out["targets"][~cut] == np.asarray(batch["tokens"])[~cut]).all()
    for weights in out["weights"]:
        values = np.unique(weights[weights > 0])
        assert len(values) <= 1  # one noise level a row
        assert (values >= 1).all()
    if probabilities[0] == 1.0:  # every row kept its prefix, so none was cut as well
        assert not cut.any()
        assert not masked[:, 0].any()
    elif probabilities[1] == 1.0 and probabilities[0] == 0.0:
        assert cut[:, -1].all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), share=st.floats(0, 1))
def test_the_first_share_of_a_prompt_is_kept(seed, share):
    prompt = np.random.default_rng(seed).random((4, 40)) < 0.4
    kept = np.asarray(keep_prompt(jnp.asarray(prompt), share))
    assert not (kept & ~prompt).any()
    for row, chosen in zip(prompt, kept, strict=True):
        assert abs(chosen.sum() - np.floor(share * row.sum())) <= 1
        places = np.flatnonzero(row)
        assert chosen[places].tolist() == sorted(chosen[places].tolist(), reverse=True)


@pytest.mark.parametrize(("share", "prompt_rate"), [(0.0, 0.5), (1.0, 0.0)])
def test_chats_go_from_unconditional_to_conditional(share, prompt_rate):
    rows, length = 512, 16
    batch = packed(rows, length)
    batch["prompt"] = jnp.broadcast_to(jnp.arange(length) < 6, (rows, length))
    batch["maskable"] = ~batch["prompt"]
    masked = np.asarray(CORRUPT(jax.random.key(7), batch, np.array([0, 0, 0, share], np.float32))["weights"]) > 0
    assert masked[:, 6:].mean() == pytest.approx(0.5, abs=0.03)
    assert masked[:, :6].mean() == pytest.approx(prompt_rate, abs=0.03)


@pytest.mark.parametrize(
    ("block_rows", "probability", "blocked"), [("all", 0.01, 1.0), ("all", 0.0, 0.0), ("chosen", 0.0, 0.0)]
)
def test_released_code_masks_every_row_in_blocks(block_rows, probability, blocked):
    settings = NoiseConfig(block_rows=block_rows, block_sizes=(8,), edges="window")
    targets = make_targets(TrainConfig(noise=settings), IDS, ONE_DEVICE)
    out = targets(jax.random.key(8), packed(64, 64), np.array([0, 0, probability, 1], np.float32))
    masked = np.asarray(out["weights"]) > 0
    long = [min(end - start for start, end in runs(row)) >= 8 for row in masked if row.any()]
    assert np.mean(long) == pytest.approx(blocked, abs=0.1)


def test_rows_of_one_text_see_all_of_it_but_not_what_was_cut():
    targets = make_targets(TrainConfig(stage=StageConfig(segments=False)), IDS, ONE_DEVICE)
    batch = packed(8, 32)
    batch["segment_ids"] = jnp.broadcast_to(1 + jnp.arange(32) // 8, (8, 32))
    out = targets(jax.random.key(9), batch, np.array([0, 1, 0, 1], np.float32))
    assert set(np.unique(out["segment_ids"])) == {0, 1}


def test_schedules_compile_nothing_anew():
    traces = []

    @jax.jit
    def counted(key, batch, probabilities):
        traces.append(probabilities)
        settings = {
            "eps": 1e-3,
            "max_sigma": 1.0,
            "antithetic": True,
            "per": "sequence",
            "block_rows": "chosen",
            "block_sizes": (2, 4, 8),
            "edges": "clip",
        }
        return corrupt(key, batch, probabilities, **settings, mask_id=3, pad_id=0)

    for value in (0.0, 0.1, 0.9):
        counted(jax.random.key(0), packed(8, 32), np.full(4, value, np.float32))
    assert len(traces) == 1


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_next_token_targets_every_token_but_the_first_of_its_segment(seed):
    rng = np.random.default_rng(seed)
    segments = np.sort(rng.integers(1, 5, (4, 16)), axis=1).astype(np.int32)
    tokens = rng.integers(0, 99, (4, 16)).astype(np.int32)
    batch = {"tokens": jnp.asarray(tokens), "segment_ids": jnp.asarray(segments)}
    out = jax.device_get(next_token(batch))
    np.testing.assert_array_equal(out["inputs"], tokens)
    np.testing.assert_array_equal(out["targets"], tokens)
    for row, weights in zip(segments, out["weights"], strict=True):
        assert weights.tolist() == [float(i > 0 and row[i - 1] == row[i]) for i in range(16)]
