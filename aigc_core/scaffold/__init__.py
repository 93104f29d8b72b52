"""Writes the files of a new plugin: templates, filled in."""
