"""A command whose signature typer cannot read, which it says only when the program runs."""

from aigc_core import hookimpl


@hookimpl
def aigc_extend_cli(app: object) -> None:
    @app.command("odd")
    def odd(y: int | str = 1) -> None:
        """Never gets this far."""
