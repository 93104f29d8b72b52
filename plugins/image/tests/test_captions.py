"""Captions of a folder's images."""

import json
from pathlib import Path

import pytest
from PIL import Image

from aigc_core import DataError, DataFolders
from aigc_image.datasets.folder import ImageFolder
from aigc_image.options import ImageFolderOptions


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "pictures"
    for number, name in enumerate(["a.png", "b.png", "sub/c.png"]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 10 * number).save(root / name)
    return root


def load(root: Path, **options):
    settings = ImageFolderOptions(**{"size": 8, "channels": 1, **options})
    dataset = ImageFolder(settings, DataFolders(root, root.parent / "cache"))
    dataset.prepare()
    return dataset.load("train")


def captions(store) -> list[str]:
    return [bytes(row).rstrip(b"\0").decode() for row in store.arrays["text"].tolist()]


def table(path: Path, *rows: dict) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_without_captions_there_is_no_column(root: Path) -> None:
    (root / "notes.txt").write_text("about the folder")
    store = load(root)
    assert "text" not in store.arrays
    assert not store.columns
    assert any("1 .txt" in note for note in store.notes)


def test_a_table_of_json_lines_gives_each_image_its_text(root: Path) -> None:
    table(
        root / "metadata.jsonl",
        {"file_name": "b.png", "text": "a  grey\nsquare", "more": 3},
        {"file_name": "sub/c.png", "text": "größer"},
        {"file_name": "gone.png", "text": "nothing"},
    )
    store = load(root)
    assert captions(store) == ["", "a grey square", "größer"]
    assert store.columns["text"].modality == "text"
    assert store.columns["text"].spec.shape == (16,)
    notes = " ".join(store.notes)
    assert "not there: gone.png (metadata.jsonl, line 3)" in notes
    assert "1 images without a caption: a.png" in notes
    assert "jsonl" not in notes.replace("metadata.jsonl", "")


def test_a_table_of_comma_separated_values_and_texts_beside_images_do_too(root: Path) -> None:
    (root / "sub" / "metadata.csv").write_text('file_name,text\nc.png,"one, two"\n')
    (root / "a.txt").write_text("\ufeffa dark one\n", encoding="utf-8")
    assert captions(load(root)) == ["a dark one", "", "one, two"]


def test_a_line_of_json_ends_where_the_file_says_so(root: Path) -> None:
    rows = [
        {"file_name": "a.png", "text": "one\u2028two"},
        {"file_name": "b.png", "text": "x\x85y"},
    ]
    lines = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (root / "metadata.jsonl").write_bytes(lines.encode())
    assert captions(load(root))[:2] == ["one two", "x y"]


def test_a_changed_caption_is_prepared_anew(root: Path) -> None:
    (root / "a.txt").write_text("before")
    assert captions(load(root))[0] == "before"
    (root / "a.txt").write_text("after!")
    assert captions(load(root))[0] == "after!"


def test_long_captions_are_cut_between_characters_and_mirrored_images_have_theirs(
    root: Path,
) -> None:
    (root / "a.txt").write_text("ü" * 20, encoding="utf-8")
    store = load(root, caption_bytes=9, flip=True)
    assert captions(store)[:2] == ["üüüü", "üüüü"]
    assert len(store.arrays["text"]) == len(store.arrays["samples"]) == 6
    assert any("longer than 9 bytes" in note for note in store.notes)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("metadata.jsonl", b'{"file_name": "a.png", "text": "x"}\n{oh', "line 2: not JSON"),
        ("metadata.jsonl", b"[1]", "line 1: not an object"),
        ("metadata.jsonl", b'{"text": "x"}', "line 1: there is no 'file_name'"),
        ("metadata.jsonl", b'{"file_name": "a.png", "text": 3}', "'text' is no text, but 3"),
        (
            "metadata.jsonl",
            rb'{"file_name": "a.png", "text": "\ud800"}',
            "line 1: half a character",
        ),
        ("metadata.csv", b"name,text\na.png,x\n", "'file_name' is not among them"),
        ("a.txt", b"\xff\xfe", "a.txt is not UTF-8, at byte 0"),
        (
            "metadata.jsonl",
            b'{"file_name": "a.png", "text": "x"}\n{"file_name": "a.png", "text": "y"}',
            "a.png has two captions: 'x' in metadata.jsonl, line 1, and 'y' in metadata.jsonl, li",
        ),
    ],
)
def test_what_cannot_be_read_is_a_sentence(root: Path, name, content, sentence: str) -> None:
    (root / name).write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        load(root)
