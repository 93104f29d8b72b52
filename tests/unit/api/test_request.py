"""A request is checked against what a generator declares, whatever that is."""

import logging
from pathlib import Path

import pytest
import torch
from pydantic import Field
from torch import Tensor

from aigc_core import Condition, ConfigError, ConfigModel, Generator, Modality, SampleSpec
from aigc_core.api import Request, RequestValidator


class Steps(ConfigModel):
    steps: int = Field(default=10, ge=1)
    """How many evaluations of the network a sample costs."""


class Painter(Generator):
    controls = Steps
    label_count = 3

    @property
    def conditions(self):
        return {
            **super().conditions,
            "text": Condition("caption"),
            "outline": Condition("outlines", required=True),
        }

    def sample(self, count, *, rng, conditions, controls) -> Tensor:
        raise AssertionError("nothing is drawn here")


class Pictures(Modality):
    """Reads a file's size as a picture of one pixel."""

    formats = ("bin",)

    def to_model(self, stored: Tensor) -> Tensor:
        return stored.float() / 10

    def to_stored(self, samples: Tensor) -> Tensor:
        return samples * 10

    def save(self, stored, folder, *, format, start=0):
        raise AssertionError

    def read(self, path: Path) -> Tensor:
        return torch.tensor([path.stat().st_size], dtype=torch.uint8)

    def preview(self, stored, path):
        raise AssertionError


class Words(Pictures):
    def encode(self, text: str) -> Tensor:
        return torch.tensor(list(text.encode()))

    def encode_sample(self, text: str) -> Tensor:
        if len(text) > 4:
            raise ConfigError("The text is too long.")
        return torch.tensor(list(text.ljust(4, "\0").encode()))

    def decode(self, tokens: Tensor) -> str:
        return bytes(tokens.tolist()).decode()


ONE = SampleSpec(shape=(1,), dtype="uint8")
FOUR = SampleSpec(shape=(4,), dtype="uint8")


def validator(generator: Generator | None = None) -> RequestValidator:
    modalities = {"samples": Pictures(ONE), "caption": Words(FOUR), "outlines": Pictures(ONE)}
    return RequestValidator("art/painter", generator or Painter(), modalities, ("cat", "dog", "2"))


def ask(made: RequestValidator, fields: dict) -> None:
    request = Request(**fields)
    made.controls(request)
    made.conditions(request)


@pytest.fixture
def outline(tmp_path: Path) -> Path:
    path = tmp_path / "outline.bin"
    path.write_bytes(b"12345")
    return path


def test_every_kind_of_condition_becomes_what_a_generator_takes(outline: Path) -> None:
    asked = Request(count=2, label="dog", prompt="hi", inputs={"outline": outline})
    given = validator().conditions(asked)
    assert given["label"].tolist() == [1]
    torch.testing.assert_close(given["text"], torch.tensor([[10.4, 10.5, 0, 0]]))
    torch.testing.assert_close(given["outline"], torch.tensor([[0.5]]))


def test_samples_may_be_given_as_tensors_one_for_each_or_one_for_all() -> None:
    for rows in (1, 3):
        values = torch.full((rows, 1), 7, dtype=torch.uint8)
        given = validator().conditions(Request(count=3, inputs={"outline": values, "label": 2}))
        assert given["outline"].shape == (rows, 1)
        assert given["label"].tolist() == [2]
    labels = torch.tensor([0, 1, 2])
    inputs = {"outline": values, "label": labels}
    assert validator().conditions(Request(count=3, inputs=inputs))["label"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("request_", "reported"),
    [
        ({}, "art/painter draws nothing without 'outline'. Give it with: --input FILE"),
        ({"inputs": {"outlin": "x"}}, "no condition 'outlin'. Did you mean 'outline'?"),
        ({"label": "cow"}, "There is no class 'cow'."),
        ({"label": 3}, "There is no class '3'."),
        ({"prompt": "a long one"}, "The text is too long"),
        ({"prompt": ""}, "The text for 'text' is empty. Say something, or leave it out."),
        ({"inputs": {"outline": torch.zeros(3, 1).byte()}}, "has 3 values for 2 samples"),
        ({"inputs": {"outline": torch.zeros(2, 1)}}, "takes torch.uint8 of the shape (count, 1)"),
        ({"inputs": {"outline": torch.zeros(2, 5).byte()}}, "given torch.uint8 of (2, 5)"),
        ({"inputs": {"label": torch.tensor([0, 5])}}, "takes 2 numbers from 0 to 2"),
        ({"inputs": {"label": torch.tensor([0.5, 1])}}, "takes 2 numbers from 0 to 2"),
        ({"label": "cat", "inputs": {"label": 1}}, "'label' is given twice: --label CLASS too"),
        ({"inputs": {"outline": 3}}, "'outline' is a file, and 3 was given"),
        ({"controls": {"stepz": 3}}, "Did you mean 'controls.steps'?"),
        ({"controls": {"steps": 0}}, "controls.steps=0"),
        ({"count": 0}, "count=0 is not valid"),
        ({"seed": -1}, "seed=-1 is not valid"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(request_: dict, reported: str) -> None:
    with pytest.raises(ConfigError) as raised:
        ask(validator(), {"count": 2, **request_})
    assert reported in str(raised.value)


def test_of_several_texts_a_prompt_could_be_any(tmp_path: Path) -> None:
    class Letter(Painter):
        @property
        def conditions(self):
            return {"greeting": Condition("caption"), "text": Condition("caption", required=True)}

    asked = validator(Letter())
    with pytest.raises(ConfigError) as raised:
        asked.conditions(Request(prompt="hi"))
    assert str(raised.value) == (
        "art/painter takes several texts, so it is not clear which one the prompt is. Give each by "
        "its name: --input greeting=FILE, --input text=FILE"
    )
    with pytest.raises(ConfigError, match=r"without 'text'\. Give it with: --input text=FILE"):
        asked.conditions(Request())
    given = asked.conditions(Request(inputs={"greeting": "ho", "text": "hi"}))
    assert given["greeting"][0, 1] - given["text"][0, 1] == pytest.approx(0.6)
    assert validator().describe()["conditions"]["text"]["option"] == "--prompt TEXT"


def test_a_file_is_for_the_condition_that_reads_it(tmp_path: Path) -> None:
    class Sounds(Pictures):
        formats = ("snd",)

    class Band(Painter):
        conditions = {
            "picture": Condition("outlines"), "sound": Condition("sounds"),
            "other": Condition("sounds"), "label": Condition("labels"),
        }  # fmt: skip

    modalities = {"outlines": Pictures(ONE), "sounds": Sounds(ONE)}
    asked = RequestValidator("art/band", Band(), modalities, ("cat",))
    assert asked.named_file("dir/a.BIN") == ("picture", Path("dir/a.BIN"))
    assert asked.named_file("other=a.snd") == ("other", Path("a.snd"))
    assert asked.named_file("any=a.snd") == ("any", Path("a.snd"))  # refused as any other name is
    for text, reported in (
        ("a.snd", "several conditions that a.snd could be. Say which with: --input sound=FILE, "
         "--input other=FILE"),
        ("a.txt", "no condition that a.txt could be. Say which with: --input picture=FILE,"),
        ("=a.bin", "takes NAME=FILE"), ("", "takes NAME=FILE"),
    ):  # fmt: skip
        with pytest.raises(ConfigError) as raised:
            asked.named_file(text)
        assert reported in str(raised.value)
    odd = tmp_path / "a=b.bin"
    odd.write_bytes(b"1")
    assert asked.named_file(str(odd)) == ("picture", odd)
    assert validator().named_file("any.thing") == ("outline", Path("any.thing"))  # the only one
    both = asked.named_files(["a.bin", "sound=b.snd"])
    assert both == {"picture": Path("a.bin"), "sound": Path("b.snd")}
    with pytest.raises(ConfigError, match="The condition 'picture' is given twice"):
        asked.named_files(["a.bin", "b.bin"])


def test_a_name_that_is_also_a_number_is_the_name(caplog) -> None:
    with caplog.at_level(logging.WARNING, "aigc"):
        logging.getLogger("aigc").propagate = True
        assert validator().label("2") == 2
        assert validator().label(0) == 0


class Plain(Generator):
    def sample(self, count, *, rng, conditions, controls) -> Tensor:
        raise AssertionError


@pytest.mark.parametrize(
    ("request_", "reported"),
    [
        ({"label": "cat"}, "is unconditional, so it cannot be asked for 'cat'"),
        ({"prompt": "a cat"}, "takes no text, so it takes no prompt"),
        ({"controls": {"steps": 3}}, "it takes no controls, such as 'steps'"),
        ({"inputs": {"outline": "x"}}, "has no condition 'outline'."),
    ],
)
def test_a_generator_that_declares_nothing_takes_nothing(request_: dict, reported: str) -> None:
    with pytest.raises(ConfigError) as raised:
        ask(validator(Plain()), request_)
    assert reported in str(raised.value)


def test_it_says_what_can_be_asked() -> None:
    about = validator().describe()
    assert about["conditions"] == {
        "label": {
            "kind": "class",
            "required": False,
            "option": "--label CLASS",
            "classes": ["cat", "dog", "2"],
        },
        "text": {
            "kind": "text",
            "modality": "caption",
            "required": False,
            "option": "--prompt TEXT",
        },
        "outline": {
            "kind": "file",
            "modality": "outlines",
            "required": True,
            "option": "--input FILE",
        },
    }
    steps = about["controls"]["properties"]["steps"]
    assert (steps["default"], steps["minimum"]) == (10, 1)
    assert steps["description"] == "How many evaluations of the network a sample costs."


def test_a_file_that_is_to_be_continued_is_read_as_a_beginning(tmp_path: Path) -> None:
    class Teller(Painter):
        conditions = {"prompt": Condition("samples"), "text": Condition("caption")}

    class Beginnings(Words):
        def read(self, path: Path) -> Tensor:
            return self.encode_sample(path.read_text())

        def adapt_beginning(self, path: Path) -> Tensor:
            return self.encode(path.read_text())

    modalities = {"samples": Beginnings(FOUR), "caption": Beginnings(FOUR)}
    made = RequestValidator("art/teller", Teller(), modalities, ())
    (tmp_path / "a.bin").write_text("ab")
    inputs = {"prompt": tmp_path / "a.bin", "text": tmp_path / "a.bin"}
    found = made.conditions(Request(inputs=inputs, count=1))
    assert torch.equal(found["prompt"], torch.tensor([[97, 98]]) / 10)
    assert torch.equal(found["text"], torch.tensor([[97, 98, 0, 0]]) / 10)


@pytest.mark.parametrize("text", ["~nobody-of-this-name/x.bin", "x" * 300 + ".bin"])
def test_a_path_that_cannot_be_is_a_path(text: str) -> None:
    assert validator().named_file(f"outline={text}") == ("outline", Path(text))
    assert validator().named_file(text) == ("outline", Path(text))
