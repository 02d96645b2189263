"""Targets of packed batches: noise levels and the progressive strategies S1, S2, S3 (arXiv 2510.03270, section 3).

Pure functions of arrays and keys. Probabilities are traced, so a schedule never compiles anything anew.
"""

import jax
import jax.numpy as jnp

Batch = dict[str, jax.Array]


def sample_sigma(key: jax.Array, batch: int, eps: float, max_sigma: float, antithetic: bool) -> jax.Array:
    """[batch] float32 noise levels, each uniform on [eps, max_sigma).

    Antithetic levels are (u + i/B) mod 1 for one u: every row is uniform, the batch is spread evenly.
    """
    if antithetic:
        uniform = (jax.random.uniform(key) + jnp.arange(batch) / batch) % 1.0
    else:
        uniform = jax.random.uniform(key, (batch,))
    return (max_sigma - eps) * uniform + eps


def choose_rows(key: jax.Array, batch: int, probability: jax.Array | float, per: str) -> jax.Array:
    """[batch] bool: rows a strategy applies to, drawn for each sequence or once for the whole batch."""
    draws = jax.random.uniform(key, (1 if per == "batch" else batch,))
    return jnp.broadcast_to(draws < probability, (batch,))


def keep_prefix(key: jax.Array, maskable: jax.Array, rows: jax.Array) -> jax.Array:
    """S1: in the chosen rows a prefix of uniform length in [1, L-1] can't be masked.

    Args:
        maskable: [batch, length] bool.
        rows: [batch] bool.

    Returns:
        The new [batch, length] bool.
    """
    batch, length = maskable.shape
    cut = jax.random.randint(key, (batch, 1), 1, length)
    return maskable & ~(rows[:, None] & (jnp.arange(length) < cut))


def cut_suffix(key: jax.Array, length: int, rows: jax.Array) -> jax.Array:
    """S2: [batch, length] bool, true from a uniform position in [1, L-1] on in the chosen rows."""
    cut = jax.random.randint(key, (rows.shape[0], 1), 1, length)
    return rows[:, None] & (jnp.arange(length) >= cut)


def mask_blocks(key: jax.Array, sigma: jax.Array, sizes: jax.Array, length: int, largest: int, edges: str) -> jax.Array:
    """S3: contiguous spans become masks, at the rate sigma; a size of 1 is plain independent masking.

    A span of k starts at a position with probability 1-(1-sigma)^(1/k), and a token is masked if one of the k spans
    that can cover it started. The count of those is a difference of prefix sums, so the cost is O(B L).

    Args:
        sigma: [batch] float32.
        sizes: [batch] int32, each at most `largest`.
        edges: "clip" lets spans start up to k-1 before the row, which gives exactly sigma at every position;
            "window" only allows spans that lie inside the row, which masks its ends less.

    Returns:
        [batch, length] bool.
    """
    start_rate = 1.0 - (1.0 - sigma) ** (1.0 / sizes)
    position = jnp.arange(-(largest - 1), length)
    starts = jax.random.uniform(key, (sigma.shape[0], position.size)) < start_rate[:, None]
    if edges == "window":
        starts &= (position >= 0) & (position + sizes[:, None] <= length)
    sums = jnp.pad(jnp.cumsum(starts, axis=1), ((0, 0), (1, 0)))
    last = jnp.arange(length) + largest
    first = jnp.broadcast_to(last, (sigma.shape[0], length)) - sizes[:, None]
    return sums[:, largest:] > jnp.take_along_axis(sums, first, axis=1)


def keep_prompt(prompt: jax.Array, share: jax.Array | float) -> jax.Array:
    """The first `share` of each row's prompt tokens, which stay as they are; the others may be masked.

    From 0 to 1 over the first epoch this leads from unconditional to conditional training (arXiv 2510.03270, SFT).

    Args:
        prompt: [batch, length] bool.
        share: traced number in [0, 1].

    Returns:
        [batch, length] bool, within `prompt`.
    """
    place = jnp.cumsum(prompt, axis=1)
    return prompt & (place <= share * place[:, -1:])


def corrupt(
    key: jax.Array,
    batch: Batch,
    probabilities: jax.Array,
    *,
    eps: float,
    max_sigma: float,
    antithetic: bool,
    per: str,
    block_rows: str,
    block_sizes: tuple[int, ...],
    edges: str,
    mask_id: int,
    pad_id: int,
) -> Batch:
    """Noise one batch of packed documents or of chats.

    Args:
        batch: `tokens`, `segment_ids` [B, L] int32, `maskable` [B, L] bool; for chats `prompt` [B, L] bool too.
        probabilities: [4] float32, of S1, S2 and S3, and the share of a prompt that stays unmasked.

    Returns:
        `inputs`, `targets`, `segment_ids` [B, L] int32 and `weights` [B, L] float32: 1/sigma where a mask stands,
        0 elsewhere.
    """
    keys = jax.random.split(key, 8)
    tokens = batch["tokens"]
    rows, length = tokens.shape
    sigma = sample_sigma(keys[0], rows, eps, max_sigma, antithetic)

    maskable = batch["maskable"]
    if "prompt" in batch:
        maskable |= batch["prompt"] & ~keep_prompt(batch["prompt"], probabilities[3])
    prefixed = choose_rows(keys[1], rows, probabilities[0], per)
    maskable = keep_prefix(keys[2], maskable, prefixed)

    # A row that keeps its prefix is not cut as well: as released, it would lose the text its prefix speaks of.
    removed = cut_suffix(keys[4], length, choose_rows(keys[3], rows, probabilities[1], per) & ~prefixed)
    tokens = jnp.where(removed, pad_id, tokens)
    segment_ids = jnp.where(removed, 0, batch["segment_ids"])

    blocked = choose_rows(keys[5], rows, probabilities[2], per)
    if block_rows == "all":
        blocked = jnp.broadcast_to(probabilities[2] > 0, blocked.shape)
    sizes = jnp.where(blocked, jax.random.choice(keys[6], jnp.array(block_sizes), (rows,)), 1)
    masked = mask_blocks(keys[7], sigma, sizes, length, max(block_sizes), edges) & maskable & ~removed
    return {
        "inputs": jnp.where(masked, mask_id, tokens),
        "targets": tokens,
        "weights": jnp.where(masked, 1.0 / sigma[:, None], 0.0),
        "segment_ids": segment_ids,
    }


def next_token(batch: Batch) -> Batch:
    """A packed batch without noise, for a causal model: every token but the first of its segment is a target.

    Row i-1 predicts token i, as everywhere here: that is what a causal model does, so the diffusion stages can go on
    from its weights (arXiv 2510.03270 adapts Qwen3 in this way).

    Args:
        batch: `tokens`, `segment_ids` [B, L] int32.

    Returns:
        `inputs`, `targets`, `segment_ids` [B, L] int32 and `weights` [B, L] float32.
    """
    tokens, segment_ids = batch["tokens"], batch["segment_ids"]
    follows = jnp.pad(segment_ids[:, 1:] == segment_ids[:, :-1], ((0, 0), (1, 0)))
    return {"inputs": tokens, "targets": tokens, "weights": follows.astype(jnp.float32), "segment_ids": segment_ids}
