"""Makes `transformers.AutoModel` know checkpoints of `model_type` "CoDA", without remote code.

Registering needs transformers' own classes, which take seconds to import. So nothing is imported here: the two modules
of transformers that hold the registries are watched, and each is completed right after it was first imported.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from coda_model.config import MODEL_TYPE


def register_when_imported() -> None:
    """Register now what is already imported, and the rest when it is; calling it again changes nothing."""
    for name, register in _REGISTRIES.items():
        if name in sys.modules:
            register()
    if not any(isinstance(finder, _RegistryWatcher) for finder in sys.meta_path):
        sys.meta_path.insert(0, _RegistryWatcher())


def _register_config() -> None:
    from transformers import AutoConfig

    from coda_model.hub_config import CoDAConfig

    AutoConfig.register(MODEL_TYPE, CoDAConfig, exist_ok=True)


def _register_model() -> None:
    from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM

    from coda_model.hub_config import CoDAConfig
    from coda_model.hub_model import CoDALanguageModel

    for auto_class in (AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM):
        auto_class.register(CoDAConfig, CoDALanguageModel, exist_ok=True)


_REGISTRIES: dict[str, Callable[[], None]] = {
    "transformers.models.auto.configuration_auto": _register_config,
    "transformers.models.auto.modeling_auto": _register_model,
}


class _RegistryWatcher(MetaPathFinder):
    """Finds the watched modules as every other finder would, and has their registration follow their execution."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        register = _REGISTRIES.get(fullname)
        if register is None:
            return None
        for finder in sys.meta_path:
            spec = None if isinstance(finder, _RegistryWatcher) else finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                _after(spec.loader, register)
                return spec
        return None


def _after(loader: object, register: Callable[[], None]) -> None:
    execute = loader.exec_module  # type: ignore[attr-defined]

    def execute_and_register(module: ModuleType) -> None:
        execute(module)
        register()

    loader.exec_module = execute_and_register  # type: ignore[attr-defined]
