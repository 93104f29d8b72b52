"""The program: ``aigc``, or ``python -m aigc_core``."""

import sys

from aigc_core import _child


def main() -> None:
    """Run the command line; see ``aigc_core.cli.main``."""
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    if words[:2] in (["plugins", "list"], ["plugins", "info"]):
        _child.start_early()
    from aigc_core.cli import main as run  # takes as long to import as the child takes to start

    run()


if __name__ == "__main__":
    main()
