"""Inference for CoDA, a masked-diffusion code model: load a checkpoint, fill holes, generate, serve.

    >>> from coda_model import Hole, Infiller
    >>> Infiller.from_pretrained("bundled").fill(["def add(a, b):\\n    return ", Hole(single_line=True), "\\n"])

After `import coda_model`, `transformers.AutoModel.from_pretrained` loads checkpoints of `model_type` "CoDA" too.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from coda_model.hub import register_when_imported

if TYPE_CHECKING:
    from coda_model.checkpoint import load_model, save_checkpoint
    from coda_model.config import ModelConfig
    from coda_model.errors import CodaError, InputError
    from coda_model.generate import generate
    from coda_model.infill import Infiller
    from coda_model.request import Candidate, Hole, InfillOptions, InfillResult, Progress

__all__ = [
    "Candidate",
    "CodaError",
    "Hole",
    "InfillOptions",
    "InfillResult",
    "Infiller",
    "InputError",
    "ModelConfig",
    "Progress",
    "generate",
    "load_model",
    "save_checkpoint",
]

_HOMES = {
    "checkpoint": ("load_model", "save_checkpoint"),
    "config": ("ModelConfig",),
    "errors": ("CodaError", "InputError"),
    "generate": ("generate",),
    "infill": ("Infiller",),
    "request": ("Candidate", "Hole", "InfillOptions", "InfillResult", "Progress"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: the command line's --help and the service's first line must not wait for it.
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Bound here for good, so that the function `generate` wins over the submodule of that name.
    globals()[name] = value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    return value


register_when_imported()
