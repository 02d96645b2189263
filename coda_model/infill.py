"""Filling holes in a document: the one entry point of library, service and command line."""

from collections.abc import Iterator, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from coda_model.checkpoint import read_config, read_weights
from coda_model.confidence import Calibration, read_calibration
from coda_model.context import fit_holes, split_segments
from coda_model.filling import Filling, Plan
from coda_model.forward import Work, compute
from coda_model.graphs import StepGraphs
from coda_model.length import Baselines
from coda_model.locate import checkpoint_name, locate_checkpoint
from coda_model.placement import NumberFormat, resolve_device, resolve_format, use_fastest_threads
from coda_model.request import Candidate, Hole, InfillOptions, InfillResult, Progress, Segment, Timings
from coda_model.reuse import DocumentStore
from coda_model.tokenizer import CodeTokenizer
from coda_model.transformer import CodaTransformer

__all__ = ["Candidate", "Hole", "InfillOptions", "InfillResult", "Infiller", "Progress", "Segment", "Timings"]


class Infiller:
    """A model that fills holes; one thread uses it at a time.

    With `kept_documents` it keeps the keys and values of that many documents' contexts, so that a request after a
    keystroke computes only what changed. What it then answers may depend a little on the requests before. With 0, the
    default, it has no state between requests.
    """

    def __init__(
        self,
        model: CodaTransformer,
        tokenizer: CodeTokenizer,
        name: str,
        path: str,
        kept_documents: int = 0,
        number_format: NumberFormat | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self.calibration = calibration
        self.model = model
        self.tokenizer = tokenizer
        self.name = name
        self.path = path
        self._documents = DocumentStore(kept_documents)
        self._baselines = Baselines()
        self._graphs = StepGraphs(model) if model.model.norm.weight.device.type == "cuda" else None
        own = str(model.model.norm.weight.dtype).removeprefix("torch.")
        self.number_format = number_format or NumberFormat(own)
        self._threads = torch.get_num_threads()

    @classmethod
    def from_pretrained(
        cls,
        path: str = "bundled",
        device: str = "cpu",
        dtype: str = "float32",
        kept_documents: int = 0,
        fastest_threads: bool = False,
    ) -> Self:
        """Load `bundled`, a checkpoint folder or a Hub id. Raises CodaError in one sentence where that fails.

        With `fastest_threads` PyTorch computes on a CPU with as many threads as are fastest for this model.
        """
        place = resolve_device(device)
        number_format = resolve_format(dtype, place)
        folder = locate_checkpoint(path)
        config = read_config(folder)
        tokenizer = CodeTokenizer.from_folder(folder, config.vocab_size)
        model = read_weights(folder, config, place, number_format)
        if fastest_threads and place.type == "cpu":
            use_fastest_threads(model)
        name, calibration = checkpoint_name(path), read_calibration(folder)
        return cls(model, tokenizer, name, str(folder), kept_documents, number_format, calibration)

    def run(self, segments: Sequence[Segment], options: InfillOptions) -> Iterator[Progress | InfillResult]:
        """Fill the holes step by step: a Progress after every forward of the model, the InfillResult at last.

        Nothing is computed between two items, so closing the iterator stops all work. Deterministic for equal
        arguments, unless documents are kept. Raises InputError where there is no hole or the holes do not fit into the
        model's positions.
        """
        return self._drive(self.plan(segments, options))

    def _drive(self, plan: Plan) -> Iterator[Progress | InfillResult]:
        for item in plan:
            while isinstance(item, Work):
                item = plan.send(*self.compute([item]))
            yield item

    def compute(self, works: Sequence[Work]) -> list[list[Tensor]]:
        """What the plans of one or several requests wait for, from one forward of the model.

        On a CUDA device the step of a lone request is a graph of static shape.
        """
        if self._graphs is not None and len(works) == len(works[0].rows) == 1 and self._graphs.fits(works[0].rows[0]):
            return [[self._graphs(works[0].rows[0])]]
        return compute(self.model, works)

    def plan(self, segments: Sequence[Segment], options: InfillOptions) -> Plan:
        """As `run`, but each forward is asked for: a Work, to be sent its hidden states, comes before each Progress."""
        filling = Filling(self.model, self.tokenizer, self._documents, self._baselines, options, self.calibration)
        texts, holes = split_segments(segments)
        positions = self.model.config.max_position_embeddings
        holes = fit_holes(holes, positions)
        room = positions - sum(hole.length or hole.max_tokens for hole in holes)
        return filling.plan(texts, holes, min(options.context_tokens, room))

    def fill(self, segments: Sequence[Segment], **options: Any) -> InfillResult:
        """Fill the holes at once; the keywords are the fields of InfillOptions."""
        *_, result = self.run(segments, InfillOptions(**options))
        assert isinstance(result, InfillResult)
        return result

    def info(self) -> dict[str, Any]:
        """What is loaded: the fields of GET /v1/info in docs/protocol.md."""
        config = self.model.config
        weight = self.model.model.embed_tokens.weight
        return {
            "model": self.name,
            "path": self.path,
            "device": str(weight.device),
            "dtype": self.number_format.name,
            "measured_ms": self.number_format.measured_ms or None,
            "threads": self._threads,
            "parameters": config.parameters,
            "vocabulary": config.vocab_size,
            "layers": config.num_hidden_layers,
            "hidden": config.hidden_size,
            "max_positions": config.max_position_embeddings,
            "length": "expand-delete" if config.finds_length else "grid",
        }
