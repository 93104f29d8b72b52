"""The judge of texts counts what it says it counts, on texts that can be counted by hand."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from aigc_core import Request, open_sampler, train

JUDGE = Path(__file__).parents[3] / "benchmarks" / "text_judge.py"


@pytest.fixture(scope="module")
def judge() -> ModuleType:
    if not JUDGE.is_file():
        pytest.skip("benchmarks/ is in the repository alone")
    spec = importlib.util.spec_from_file_location("text_judge", JUDGE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["text_judge"] = module
    spec.loader.exec_module(module)
    return module


def test_words_that_an_end_may_cut_are_left_out(judge: ModuleType) -> None:
    assert judge.words("ng the King's men, No") == ["the", "king's", "men"]
    assert judge.words("whole") == []


def test_shares_of_different_and_of_new_runs(judge: ModuleType) -> None:
    distinct, new = judge.shares(["abab", "abc"], "xabax")
    assert distinct == pytest.approx([3 / 7, 3 / 5, 3 / 3, 1 / 1], abs=1e-4)
    # ab ba ab | ab bc: bc is new; aba bab | abc: aba alone is known; abab is new.
    assert new == pytest.approx([1 / 7, 1 / 5, 2 / 3, 1], abs=1e-4)
    assert judge.shares([["to", "be"], ["to"]], ["to", "be"])[0] == [0.6667, 1.0, 0.0, 0.0]


def test_as_many_texts_are_drawn_as_asked(judge: ModuleType, tmp_path: Path) -> None:
    run = train("text/gan", preset="tiny", device="cpu", out=tmp_path / "run", progress=False)
    texts = judge.drawn(open_sampler(run, device="cpu"), Request(count=70), 8)
    assert [len(text) for text in texts] == [8] * 70
    assert len(set(texts)) > 60
