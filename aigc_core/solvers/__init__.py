"""How generators that draw in many steps get from noise to a sample."""

from typing import TYPE_CHECKING

from aigc_core._lazy import lazy_exports

if TYPE_CHECKING:
    from aigc_core.solvers.ode import SOLVERS, Velocity, solve

__getattr__ = lazy_exports(__name__, {"SOLVERS": "ode", "Velocity": "ode", "solve": "ode"})

__all__ = ["SOLVERS", "Velocity", "solve"]
