"""The training algorithms that every modality shares."""

from typing import TYPE_CHECKING

from aigc_core._lazy import lazy_exports
from aigc_core.trainers.config import AdversarialConfig

if TYPE_CHECKING:
    from aigc_core.trainers.adversarial import AdversarialTrainer

__getattr__ = lazy_exports(__name__, {"AdversarialTrainer": "adversarial"})

__all__ = ["AdversarialConfig", "AdversarialTrainer"]
