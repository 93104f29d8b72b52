"""Explains why a name is missing: its plugin's own error, or which plugin would provide it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from aigc_core.errors import ConfigError, PluginError, did_you_mean
from aigc_core.plugins.catalogue import Catalogue, Kind, load_catalogue
from aigc_core.plugins.installed import normal_name
from aigc_core.plugins.status import PluginStatus


def missing(
    kind: Kind, name: str, valid: Mapping[str, object], statuses: Collection[PluginStatus]
) -> PluginError:
    """Return the error for a recipe, dataset, metric or modality that no active plugin provides."""
    provider = _catalogued_provider(kind, name)
    idle = [status for status in statuses if status.state != "active"]
    for status in idle:
        theirs = normal_name(status.distribution or "")
        if provider == theirs or status.name in (name, name.split("/")[0]):
            return PluginError(_needs(kind, name, status))
    if provider is not None and provider not in {
        normal_name(status.distribution or "") for status in statuses
    }:
        return PluginError(
            f"The {kind} '{name}' needs the plugin {provider}, which is not installed. "
            f"Install it with: aigc plugins install {provider}"
        )
    message = f"There is no {kind} '{name}'.{did_you_mean(name, valid)}"
    if not valid and not statuses:
        message = (
            f"There is no {kind} '{name}': no plugin is installed. "
            "See what there is with: aigc modalities"
        )
    for status in idle:
        how = "is disabled" if status.state == "disabled" else "could not be loaded"
        message += f" (The plugin '{status.name}' {how}: {status.error})"
    return PluginError(message)


def _needs(kind: Kind, name: str, status: PluginStatus) -> str:
    needs = f"The {kind} '{name}' needs the plugin '{status.name}', which"
    if status.state == "disabled":
        return f"{needs} is disabled. {status.what_to_do}"
    return f"{needs} could not be loaded. {status.what_to_do}"


def _catalogued_provider(kind: Kind, name: str) -> str | None:
    try:
        catalogue: Catalogue = load_catalogue()
    except ConfigError:  # a faulty catalogue must not hide the error; `aigc doctor` reports it
        return None
    return catalogue.provider_of(kind, name)
