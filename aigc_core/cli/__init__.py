"""The command line: parses, calls the library, prints. One file per group of commands."""

from aigc_core.cli.main import main

__all__ = ["main"]
