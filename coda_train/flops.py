"""What a training step costs, and what accelerators can do: for MFU and the roofline."""

from dataclasses import dataclass

from coda_train.config import ModelConfig


@dataclass(frozen=True)
class Chip:
    """Data sheet of one device as JAX counts them (a TPU v4 chip is one: megacore)."""

    name: str
    flops: float
    """Dense bfloat16 multiply-adds a second, each counted as two."""
    memory_bytes: float
    memory_bytes_per_s: float
    link_bytes_per_s: float
    """To the other chips, all links together, one way."""


CHIPS = {
    "TPU v4": Chip("TPU v4", 275e12, 32 * 2**30, 1.228e12, 300e9),
    "TPU v5p": Chip("TPU v5p", 459e12, 95 * 2**30, 2.765e12, 600e9),
    "TPU v5": Chip("TPU v5p", 459e12, 95 * 2**30, 2.765e12, 600e9),
    "TPU v5 lite": Chip("TPU v5e", 197e12, 16 * 2**30, 0.819e12, 200e9),
    "TPU v6 lite": Chip("TPU v6e", 918e12, 32 * 2**30, 1.64e12, 448e9),
    "NVIDIA A100": Chip("A100", 312e12, 80 * 2**30, 2.0e12, 300e9),
    "NVIDIA H100": Chip("H100", 989e12, 80 * 2**30, 3.35e12, 450e9),
    "NVIDIA H200": Chip("H200", 989e12, 141 * 2**30, 4.8e12, 450e9),
}
"""By the start of JAX's `device_kind`; the makers' data sheets. A TPU's v5p also calls itself v5."""


def chip_of(device_kind: str) -> Chip | None:
    """The data sheet of a device, or None where it is not known (a CPU)."""
    known = [kind for kind in CHIPS if device_kind.startswith(kind)]
    return CHIPS[max(known, key=len)] if known else None


def step_flops(config: ModelConfig, tokens: float, length: int, targets: float) -> float:
    """Floating-point operations of a training step that the model needs, recomputation not counted.

    A product with a weight costs 2 a parameter and token forwards, twice that backwards (arXiv 2001.08361, 2.1);
    attention over a whole row of `length` 4 * length * heads * head_dim a token and layer forwards (arXiv 2204.02311,
    appendix B). Look-ups, norms and softmax are left out, and the head counts at the `targets` alone, for it runs at
    no other token.

    Args:
        tokens: tokens of a batch, batch_size * length.
        targets: tokens with a loss among them; about half of them under masking at a uniform level.
    """
    width, heads = config.hidden_size, config.num_heads * config.head_dim
    attention = width * (2 * heads + 2 * config.num_kv_heads * config.head_dim)
    layer = 2 * (attention + 3 * width * config.intermediate_size) + 4 * length * heads
    return 3.0 * (tokens * config.num_layers * layer + targets * 2 * width * config.vocab_size)


def mfu(flops_per_s: float, device_kind: str, devices: int) -> float | None:
    """Model FLOPs utilisation: the share of the peak that a run's useful operations make up; None without a peak."""
    chip = chip_of(device_kind)
    return None if chip is None else flops_per_s / (chip.flops * devices)
