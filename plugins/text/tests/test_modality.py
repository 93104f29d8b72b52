import pytest
import torch

from aigc_core import ConfigError, DataError, SampleSpec
from aigc_core.interfaces import TextCodec
from aigc_text.bpe import BytePairs
from aigc_text.modality import TextModality
from aigc_text.tokenizer import Tokenizer
from aigc_text.tokenizers import Bytes, Characters

ALPHABET = "\n\r abcdefghé€😀"


def modality(tokenizer: Tokenizer | None = None, length: int = 8, dtype: str = "int16"):
    tokenizer = tokenizer or Characters(ALPHABET)
    return TextModality(
        SampleSpec(
            shape=(length,),
            dtype=dtype,
            units={"vocabulary_size": tokenizer.vocabulary_size},
            assets={"tokenizer": tokenizer.to_json()},
        )
    )


def samples(count: int = 4, length: int = 8, dtype=torch.int16) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, len(ALPHABET), (count, length), generator=rng).to(dtype)


@pytest.mark.parametrize("dtype", ["int16", "int32", "int64"])
def test_tokens_survive_the_way_to_the_model_and_back(dtype: str) -> None:
    text = modality(dtype=dtype)
    stored = samples(dtype=getattr(torch, dtype))
    seen = text.to_model(stored)
    assert seen.dtype == text.sample_dtype == torch.int64
    again = text.to_stored(seen)
    assert again.dtype == stored.dtype
    assert torch.equal(again, stored)


def test_what_is_no_token_is_clamped() -> None:
    wild = torch.tensor([[-5, 10**6]])
    assert modality().to_stored(wild).tolist() == [[0, len(ALPHABET) - 1]]


def test_it_reads_and_writes_text() -> None:
    text = modality()
    assert isinstance(text, TextCodec)
    tokens = text.encode("bad\né")
    assert tokens.dtype == torch.int64
    assert text.decode(tokens) == "bad\né"


def test_a_prompt_with_an_unknown_character_is_an_error_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"'Q' \(U\+0051\), character 3 of the text"):
        modality().encode("abQ")


@pytest.mark.parametrize("tokenizer", [Bytes(), Characters(ALPHABET)])
def test_a_prompt_that_is_not_unicode_is_an_error(tokenizer: Tokenizer) -> None:
    with pytest.raises(ConfigError, match="Character 2 of the text is not valid Unicode"):
        modality(tokenizer).encode("a\udcff")


def test_samples_are_saved_as_one_file_each_and_read_back(tmp_path) -> None:
    text, stored = modality(), samples()
    paths = text.save(stored, tmp_path, format="txt", start=41)
    assert [p.name for p in paths] == ["000041.txt", "000042.txt", "000043.txt", "000044.txt"]
    for path, sample in zip(paths, stored, strict=True):
        assert path.read_bytes().decode() == text.decode(sample)
        again = text.read(path)
        assert again.dtype == torch.int16
        assert torch.equal(again, sample)


def test_a_file_of_ones_own_is_filled_up(tmp_path) -> None:
    text, path = modality(Characters("\0 abc"), length=6), tmp_path / "own.txt"
    path.write_bytes(b"a bc\n")
    assert text.decode(text.adapt(path)) == "a bc\0\0"
    assert text.decode(text.adapt_beginning(path)) == "a bc"
    for content, reported in (
        (b"abcabca", "has 7 tokens"),
        (b"\xff", "cannot be read as text"),
        (b"\n", "is empty"),
    ):
        path.write_bytes(content)
        with pytest.raises((ConfigError, DataError), match=reported):
            text.adapt(path)


def test_samples_of_any_length_are_saved(tmp_path) -> None:
    (path,) = modality().save(samples(1, 500), tmp_path, format="txt")
    assert len(path.read_bytes().decode()) == 500


@pytest.mark.parametrize(
    ("tokenizer", "lossy"),
    [(Characters("ab"), ()), (Bytes(), ("txt",)), (BytePairs.of(["ab ab"], 260), ("txt",))],
)
def test_only_characters_are_read_back_for_certain(tokenizer, lossy) -> None:
    assert modality(tokenizer).lossy_formats == lossy


def test_a_file_that_is_not_this_kind_of_text_is_an_error(tmp_path) -> None:
    path = tmp_path / "x.txt"
    for content in (b"\xff", b"ab?"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"x\.txt cannot be read as text of this kind"):
            modality().read(path)


def test_an_unknown_format_is_an_error_that_names_the_known_one(tmp_path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'txt'"):
        modality().save(samples(), tmp_path, format="text")


def test_a_preview_is_a_page_with_a_line_above_every_sample(tmp_path) -> None:
    text, stored = modality(), samples(3)
    path = text.preview(stored, tmp_path / "step-000500.seed-1.5")
    assert path == tmp_path / "step-000500.seed-1.5.txt"
    page = path.read_bytes().decode()
    assert [line[:5].strip() for line in page.split("\n") if line.startswith("──")] == [
        "── 0",
        "── 1",
        "── 2",
    ]
    for sample in stored:
        assert f"─\n{text.decode(sample)}\n" in page


def test_a_preview_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch) -> None:
    path = modality().preview(samples(), tmp_path / "page")
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        modality().preview(samples(2), tmp_path / "page")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("changes", "reported"),
    [
        ({"dtype": "uint8"}, "uint8"),
        ({"shape": (2, 3)}, "shape"),
        ({"assets": {}}, "does not say what its tokens stand for"),
        ({"assets": {"tokenizer": "{}"}}, "this is no tokenizer"),
        ({"units": {}}, "vocabulary_size is None"),
        ({"units": {"vocabulary_size": 3}}, "vocabulary_size is 3.0, and its tokenizer's is 256"),
    ],
)
def test_data_that_is_no_text_is_an_error(changes: dict, reported: str) -> None:
    good = {
        "shape": (8,),
        "dtype": "int16",
        "units": {"vocabulary_size": 256},
        "assets": {"tokenizer": Bytes().to_json()},
    }
    with pytest.raises(DataError, match=reported):
        TextModality(SampleSpec(**good | changes))
