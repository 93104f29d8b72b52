"""The check that every data set's ``load`` starts with."""

from collections.abc import Iterable

from aigc_core import DataError
from aigc_core.errors import did_you_mean


def check_split(dataset: str, split: str, valid: Iterable[str]) -> None:
    """Raise ``DataError`` unless ``split`` is one of the data set's; names the nearest."""
    names = list(valid)
    if split not in names:
        raise DataError(
            f"The data set '{dataset}' has no split '{split}'.{did_you_mean(split, names)}"
        )
