"""Options in a module that imports torch."""

import torch  # noqa: F401
from dots.settings import RingOptions

__all__ = ["RingOptions"]
