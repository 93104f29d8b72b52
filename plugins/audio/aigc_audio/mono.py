"""The check that all recipes of this plugin make on their data."""

from aigc_core.errors import ConfigError


def check_mono(recipe: str, sample_shape: tuple[int, ...]) -> int:
    """Return the length of mono clips ``(1, L)``; raise ``ConfigError`` for stereo."""
    channels, length = sample_shape
    if channels != 1:
        raise ConfigError(
            f"{recipe} makes mono sound, and this data has {channels} channels. "
            "Set dataset.options.channels to 1."
        )
    return length
