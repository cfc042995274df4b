"""SchNetPack's building blocks without the rest of SchNetPack.

``import schnetpack`` loads Lightning, data sets, molecular dynamics and sympy: about 5 s, paid by
every training and prediction job. On torch >= 2.7 it also fails: ``schnetpack.data.loader`` wants
the type variable ``torch.utils.data.dataloader.T_co``, which is gone. The network itself needs a
few small modules. They are loaded here under bare parent packages, whose ``__init__`` is not run
(0.02 s), and the bare parents are taken away again, so that a later ``import schnetpack`` is whole.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
import types
import typing
from pathlib import Path
from typing import Any

_PARENTS = (
    "schnetpack",
    "schnetpack.nn",
    "schnetpack.representation",
    "schnetpack.atomistic",
)
# In the order of their imports of each other.
_NN_MODULES = (
    "activations",
    "base",
    "utils",
    "scatter",
    "cutoff",
    "radial",
    "blocks",
    "embedding",
)


def version() -> str:
    """The installed SchNetPack version."""
    return importlib.metadata.version("schnetpack")


def allow_full_import() -> None:
    """Give torch the type variable whose absence stops ``import schnetpack`` (torch >= 2.7)."""
    import torch.utils.data.dataloader as dataloader

    if not hasattr(dataloader, "T_co"):
        dataloader.T_co = typing.TypeVar("T_co", covariant=True)  # type: ignore[attr-defined]


def load_blocks() -> types.SimpleNamespace:
    """SchNetPack's own classes: ``properties``, ``nn`` (a module), ``PaiNN``, ``Atomwise``.

    Those of the whole package where it is imported already, else loaded alone.
    """
    if "schnetpack.md" in sys.modules:
        return _blocks(sys.modules["schnetpack.nn"])
    before = {name for name in sys.modules if name.split(".")[0] == "schnetpack"}
    try:
        return _blocks(_bare_parents())
    finally:
        for name in list(sys.modules):
            if name.split(".")[0] == "schnetpack" and name not in before:
                del sys.modules[name]


def _bare_parents() -> Any:
    specification = importlib.util.find_spec("schnetpack")
    if specification is None or specification.origin is None:
        raise ImportError("schnetpack is not installed (pip install --no-deps schnetpack==2.1.1)")
    root = Path(specification.origin).parent
    for name in _PARENTS:
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
        if "." in name:
            setattr(sys.modules["schnetpack"], name.split(".")[1], package)
    nn = sys.modules["schnetpack.nn"]
    for name in _NN_MODULES:
        module = importlib.import_module(f"schnetpack.nn.{name}")
        public = getattr(module, "__all__", [n for n in vars(module) if not n.startswith("_")])
        for attribute in public:
            setattr(nn, attribute, getattr(module, attribute))
    return nn


def _blocks(nn: Any) -> types.SimpleNamespace:
    return types.SimpleNamespace(
        properties=importlib.import_module("schnetpack.properties"),
        nn=nn,
        PaiNN=importlib.import_module("schnetpack.representation.painn").PaiNN,
        Atomwise=importlib.import_module("schnetpack.atomistic.atomwise").Atomwise,
    )


blocks = load_blocks()
