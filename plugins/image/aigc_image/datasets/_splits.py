"""The check that every dataset's ``load`` starts with."""

from collections.abc import Iterable

from aigc_core import DataError
from aigc_core.errors import did_you_mean


def check_split(dataset: str, split: str, valid: Iterable[str]) -> None:
    """Raise ``DataError`` unless ``split`` is one of the dataset's; names the nearest."""
    names = list(valid)
    if split not in names:
        raise DataError(
            f"The dataset '{dataset}' has no split '{split}'.{did_you_mean(split, names)}"
        )
