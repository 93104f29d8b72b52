"""The command line: parses, calls the library, prints. One file per group of commands."""

import sys

from aigc_core import _child

__all__ = ["main"]


def main() -> None:
    """Run the command line; see ``aigc_core.cli.program``."""
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    if words[:1] == ["plugins"] and words[1:2] in (["list"], ["info"]):
        _child.start_early()
    from aigc_core.cli import program

    program.main()
