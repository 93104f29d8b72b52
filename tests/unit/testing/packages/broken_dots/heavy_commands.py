"""Nothing but a command, whose making imports torch."""

from aigc_core import hookimpl


@hookimpl
def aigc_extend_cli(app: object) -> None:
    import torch

    app.command("version-of-torch")(lambda: torch.__version__)
