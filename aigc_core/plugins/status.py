"""The status of one plugin: what it provides, or why it does not work and how to fix it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from aigc_core.plugins.installed import InstalledPlugin, as_argument, removal

State = Literal["active", "disabled", "incompatible", "error"]


@dataclass
class PluginStatus:
    """One installed plugin, whether or not it could be loaded."""

    name: str
    module: str
    distribution: str | None = None
    version: str | None = None
    location: str | None = None
    editable: bool = False
    metadata_path: str | None = None
    """The ``.dist-info`` folder."""
    state: State = "active"
    error: str | None = None
    """Why it is not active, as a sentence."""
    fix: str | None = None
    """How to fix that: a command, ready to type."""
    warning: str | None = None
    """What its author should fix, although it works."""
    hooks: list[str] = field(default_factory=list)
    modalities: list[str] = field(default_factory=list)
    datasets: list[str] = field(default_factory=list)
    recipes: list[str] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, plugin: InstalledPlugin) -> PluginStatus:
        """Create a status from what the metadata says."""
        return cls(
            plugin.name,
            plugin.module,
            plugin.distribution,
            plugin.version,
            plugin.location,
            plugin.editable,
            plugin.metadata_path,
        )

    def fail(self, state: State, error: str, fix: str | None = None) -> None:
        """Record why it is not active; the default fix is to disable it."""
        self.state = state
        self.error = error
        self.fix = fix or f"aigc plugins disable {as_argument(self.name)}"

    def warn(self, text: str) -> None:
        """Add a warning about something that its author should fix."""
        self.warning = f"{self.warning} {text}" if self.warning else text

    @property
    def broken(self) -> bool:
        """Whether it should be active but is not."""
        return self.state in ("incompatible", "error")

    @property
    def removal(self) -> str:
        """How to remove it: a command, or an instruction in words if pip cannot."""
        return removal(self.distribution, self.metadata_path)

    @property
    def what_to_do(self) -> str:
        """The error and the command that fixes it, on one line."""
        error = (self.error or "").rstrip()
        end = "" if error.endswith((".", "?", "!")) else "."
        return f"{error}{end} To fix it: {self.fix}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, as printed by ``aigc plugins list --json``."""
        return asdict(self)
