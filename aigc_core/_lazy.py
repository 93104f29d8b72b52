"""Exports that import their module on first use, so that light commands never import torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_exports(package: str, exports: Mapping[str, str]) -> Callable[[str], Any]:
    """Create a package's ``__getattr__`` (PEP 562).

    Args:
        package: the package's ``__name__``.
        exports: public name -> the submodule, relative to the package, that defines it.

    Returns:
        A function to bind to ``__getattr__`` in the package. An unknown name raises
        ``AttributeError``, as for any module.
    """

    def __getattr__(name: str) -> Any:
        if name not in exports:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{exports[name]}"), name)

    return __getattr__
