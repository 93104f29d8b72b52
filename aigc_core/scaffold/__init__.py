"""Writes the files of a new plugin: templates, filled in."""

from aigc_core.scaffold.new_plugin import brought_by_a_plugin, new_plugin

__all__ = ["brought_by_a_plugin", "new_plugin"]
