"""Text with gaps, filled in from both sides."""

from pathlib import Path

import pytest
import torch

from aigc_core import (
    ConfigError,
    DataError,
    Request,
    Run,
    SampleSpec,
    generate,
    open_sampler,
    train,
)
from aigc_core.api.request import with_gaps
from aigc_text.masked import MaskedTransformer
from aigc_text.modality import TextModality
from aigc_text.tokenizer import Tokenizer
from aigc_text.tokenizers import Bytes, Characters
from aigc_text.transformer_config import TransformerConfig


def modality(tokenizer: Tokenizer, length: int) -> TextModality:
    return TextModality(
        SampleSpec(
            shape=(length,),
            dtype="int16",
            units={"vocabulary_size": tokenizer.vocabulary_size},
            assets={"tokenizer": tokenizer.to_json()},
        )
    )


SMALL = TransformerConfig(layers=1, heads=2, width=16, dropout=0)


def test_every_token_sees_those_before_and_after_it() -> None:
    torch.manual_seed(0)
    network = MaskedTransformer(SMALL, vocabulary_size=7, length=6)
    tokens = torch.tensor([[1, 7, 3, 7, 5, 6]])
    before = network(tokens)
    assert before.shape == (1, 6, 7)
    for place in (0, 5):
        changed = tokens.clone()
        changed[0, place] = 2
        assert (network(changed) != before).any(2).all()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_c", [0, -1, 2, -1, -1, -1]),
        ("__a", [-1, -1, 0, -1, -1, -1]),
        ("", [-1] * 6),
        (r"a\_b_", [0, 3, 1, -1, -1, -1]),
        ("abcabc", [0, 1, 2, 0, 1, 2]),
    ],
)
def test_an_underscore_is_a_gap_unless_it_is_escaped(text: str, expected: list[int]) -> None:
    codec = modality(Characters("abc_"), length=6)
    assert with_gaps(codec, 6, text).tolist() == expected


def test_a_text_too_long_or_a_file_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    codec = modality(Bytes(), length=4)
    with pytest.raises(ConfigError, match="has 5 tokens, gaps among them, and at most 4"):
        with_gaps(codec, 4, "a___b")
    path = tmp_path / "a.txt"
    path.write_bytes(b"a_b\n")
    assert with_gaps(codec, 4, path).tolist() == [97, -1, 98, -1]
    path.write_bytes(b"\xff")
    with pytest.raises(DataError, match="cannot be read as text"):
        with_gaps(codec, 4, path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A network that has learned a text of one word, over and over."""
    folder = tmp_path_factory.mktemp("masked")
    (folder / "text.txt").write_text("cats " * 1000, encoding="utf-8")
    return train(
        "text/masked",
        preset="tiny",
        dataset="text-files",
        data_root=folder / "text.txt",
        overrides={
            "dataset.options.context": 9,
            "dataset.options.tokenizer": "characters",
            "trainer.optimizer.lr": 6e-3,
            "engine.batch_size": 32,
            "model.width": 64,
            "engine.device": "cpu",
            "engine.ema": None,
        },
        steps=400,
        out=folder / "run",
        progress=False,
    )


def test_it_fills_what_is_missing_so_that_it_fits_what_is_there(run: Run) -> None:
    sampler = open_sampler(run, device="cpu")
    asked = Request(count=4, prompt="_ats ca_s ", controls={"top_k": 1})
    texts = [sampler.validator.codec().decode(tokens) for tokens in sampler.samples(asked)]
    assert texts == ["cats cats "] * 4


def test_a_sample_does_not_depend_on_how_many_are_drawn(run: Run) -> None:
    few = generate(run, count=3, seed=1, device="cpu")
    assert torch.equal(generate(run, count=9, seed=1, device="cpu")[:3], few)
    assert few.shape == (3, 10)
