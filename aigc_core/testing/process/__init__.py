"""Checks in a separate process, and isolation of all checks from the user's files and settings."""
