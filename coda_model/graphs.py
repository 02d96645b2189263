"""Steps on a CUDA device as graphs of static shape: one launch for a step instead of some hundred.

The weights of 1.7 B parameters are read in less than a millisecond, so launches are what a step of few rows takes. A
step's rows are padded to a bucket, and its memory to another; the graph of the two is captured at its first use, and
replayed on buffers of its own. Dimensions: W rows, S tokens of the memory, N layers, D hidden.
"""

import logging
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from coda_model.forward import Rows
from coda_model.kv_cache import Memory
from coda_model.transformer import CodaTransformer

logger = logging.getLogger(__name__)

# Rows are padded to a multiple of the first, memories to one of the second; steps of more rows run without a graph.
ROW_BUCKET, TOKEN_BUCKET = 16, 256
MOST_ROWS = 64

Capture = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]
"""Makes a function that computes the same again on the same buffers, given one that computes once."""


def capture_cuda(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Capture a CUDA graph (PyTorch's notes on CUDA, "CUDA graphs"): warmed up on a stream of its own first."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = run()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


class StepGraphs:
    """The graphs of one model, by bucket."""

    def __init__(self, model: CodaTransformer, capture: Capture = capture_cuda) -> None:
        self._model = model
        self._capture = capture
        self._graphs: dict[tuple[int, int], _StepGraph] = {}
        self._failed = False

    @torch.inference_mode()
    def fits(self, rows: Rows) -> bool:
        """Whether these rows are a step for a graph: few, none to be recorded, and the graph could be captured."""
        if self._failed or rows.record is not None or len(rows.ids) > MOST_ROWS:
            return False
        key = _bucket(rows)
        if key not in self._graphs:
            try:
                self._graphs[key] = _StepGraph(self._model, *key, self._capture)
            except RuntimeError:
                self._failed = True
                logger.warning("Steps run without CUDA graphs, which could not be captured.", exc_info=True)
                return False
        return True

    @torch.inference_mode()
    def __call__(self, rows: Rows) -> Tensor:
        """Hidden states [wanted, D] of rows that fit, as without a graph; their keys and values are in their memory."""
        return self._graphs[_bucket(rows)].run(rows)


class _StepGraph:
    """One graph and its buffers. Padding rows write to a token behind all others that nobody attends to."""

    def __init__(self, model: CodaTransformer, rows: int, tokens: int, capture: Capture) -> None:
        device = model.model.norm.weight.device
        self._memory = Memory(model.config, 0, tokens + 1, model.model.norm.weight.dtype, device)
        self._memory.keys.zero_()
        self._memory.values.zero_()
        self._ids_1xW = torch.zeros(1, rows, dtype=torch.int64, device=device)
        self._positions_1xW = torch.zeros_like(self._ids_1xW)
        self._slots_W = torch.full((rows,), tokens, dtype=torch.int64, device=device)
        self._attended_S = torch.zeros(1, 1, 1, tokens + 1, dtype=torch.bool, device=device)
        self._attended_S[..., 0] = True
        self._replay = capture(partial(self._forward, model))

    def _forward(self, model: CodaTransformer) -> Tensor:
        return model.hidden_states(self._ids_1xW, self._positions_1xW, attend=self._attend)[0]

    def _attend(self, layer: int, queries: Tensor, raw: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        del raw
        self._memory.keys[layer].index_copy_(0, self._slots_W, keys[0])
        self._memory.values[layer].index_copy_(0, self._slots_W, values[0])
        q, k, v = (
            x.transpose(1, 2) for x in (queries, self._memory.keys[layer][None], self._memory.values[layer][None])
        )
        return F.scaled_dot_product_attention(q, k, v, attn_mask=self._attended_S, enable_gqa=True).transpose(1, 2)

    def run(self, rows: Rows) -> Tensor:
        width, spare = len(rows.ids), self._memory.keys.shape[1] - 1
        missing = self._ids_1xW.shape[1] - width
        device = self._ids_1xW.device
        self._ids_1xW[0].copy_(torch.tensor([*rows.ids, *[0] * missing]))
        self._positions_1xW[0].copy_(torch.tensor([*rows.positions, *[0] * missing]))
        slots_W = torch.tensor(rows.slots, device=device)
        self._slots_W[:width] = slots_W
        self._slots_W[width:] = spare
        self._attended_S.zero_()
        self._attended_S[..., : rows.attended] = True
        own, theirs = self._memory, rows.memory
        own.keys[:, : rows.attended] = theirs.keys[:, : rows.attended]
        own.values[:, : rows.attended] = theirs.values[:, : rows.attended]
        hidden_WxD = self._replay()
        theirs.keys.index_copy_(1, slots_W, own.keys.index_select(1, slots_W))
        theirs.values.index_copy_(1, slots_W, own.values.index_select(1, slots_W))
        return hidden_WxD[torch.tensor(rows.wanted, dtype=torch.int64, device=device)]


def _bucket(rows: Rows) -> tuple[int, int]:
    return _rounded(len(rows.ids), ROW_BUCKET), _rounded(rows.attended, TOKEN_BUCKET)


def _rounded(count: int, bucket: int) -> int:
    return -(-count // bucket) * bucket
