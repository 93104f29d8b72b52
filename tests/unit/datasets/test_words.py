"""What the messages of every dataset say in the same words."""

import pytest

from aigc_core import DataError
from aigc_core.datasets import check_split, list_some


def test_a_split_that_is_there_passes() -> None:
    check_split("mine", "test", iter(("train", "test")))


def test_the_nearest_split_is_named() -> None:
    with pytest.raises(DataError, match=r"'mine' has no split 'tets'\. Did you mean 'test'\?"):
        check_split("mine", "tets", iter(("train", "test")))


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, ""), (1, "a"), (2, "a, b"), (3, "a, b and 1 more"), (5, "a, b and 3 more")],
)
def test_of_many_items_the_first_are_named(count: int, said: str) -> None:
    assert list_some("abcde"[:count], limit=2) == said


def test_odd_names_stay_on_one_line_and_can_be_printed() -> None:
    text = list_some(["new\nline[red].wav", "\x1b[31m", "\udcff", "naïve 名.wav"])
    assert text == "new\\nline[red].wav, \\x1b[31m, \\udcff, naïve 名.wav"
    assert text.encode()
