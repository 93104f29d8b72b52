import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aigc_core import DataError, DataFolders
from aigc_core.datasets import FolderDataset
from aigc_image.datasets.folder import ImageFolder
from aigc_image.options import ImageFolderOptions

RED, GREEN = (255, 0, 0), (0, 255, 0)


@pytest.fixture
def root(tmp_path) -> Path:
    path = tmp_path / "pictures"
    path.mkdir()
    return path


def load(root, cache, **options):
    dataset = ImageFolder(
        ImageFolderOptions(**{"size": 8, **options}), DataFolders(root=root, cache=cache)
    )
    dataset.prepare()
    return dataset.load("train")


def picture(path: Path, colour=RED, size=(16, 16), mode="RGB", **save) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, **save)


def centre(store, index=0) -> list[int]:
    """The channels' values in the middle of a sample."""
    samples = store.arrays["samples"]
    return samples[index, :, samples.shape[2] // 2, samples.shape[3] // 2].tolist()


def test_images_become_squares_of_bytes(root, cache):
    picture(root / "wide.png", size=(40, 20))
    picture(root / "tall.bmp", size=(20, 40))
    store = load(root, cache, size=16)
    assert store.arrays["samples"].shape == (2, 3, 16, 16)
    assert store.arrays["samples"].dtype == torch.uint8
    assert store.spec.shape == (3, 16, 16)
    assert centre(store) == [255, 0, 0]
    assert store.notes == ()


def test_the_centre_is_kept(root, cache):
    image = Image.new("RGB", (48, 16), RED)
    image.paste(GREEN, (16, 0, 32, 16))
    image.save(root / "stripes.png")
    samples = load(root, cache, size=16).arrays["samples"]
    assert (samples[0, 1] == 255).all()
    assert (samples[0, 0] == 0).all()


def test_shrinking_is_antialiased(root, cache):
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    Image.fromarray(board).save(root / "board.png")
    samples = load(root, cache, channels=1).arrays["samples"]
    assert ((samples > 120) & (samples < 135)).all()


def test_samples_are_sorted_by_path_and_every_usual_suffix_counts(root, cache):
    picture(root / "c.PNG", (30, 0, 0))
    picture(root / "a.jpeg", (10, 0, 0), quality=100)
    picture(root / "b.gif", (20, 0, 0))
    picture(root / "d.webp", (40, 0, 0), lossless=True)
    picture(root / "e.tiff", (50, 0, 0))
    picture(root / "f.ppm", (60, 0, 0))
    (root / "notes.txt").write_text("not an image, and not named like one")
    store = load(root, cache)
    reds = [centre(store, index)[0] for index in range(len(store))]
    assert reds == pytest.approx([10, 20, 30, 40, 50, 60], abs=2)
    assert store.notes == ("1 file left out: 1 .txt.",)


def test_hidden_files_and_folders_are_left_out(root, cache):
    picture(root / "seen.png")
    picture(root / "._seen.png")
    picture(root / ".thumbnails" / "seen.png")
    assert len(load(root, cache)) == 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("mode", "colour", "name", "grey"),
    [
        ("1", 1, "a.png", 255),
        ("L", 100, "a.png", 100),
        ("LA", (100, 255), "a.png", 100),
        ("RGB", (100, 100, 100), "a.png", 100),
        ("RGBA", (100, 100, 100, 255), "a.png", 100),
        ("CMYK", (0, 0, 0, 155), "a.tif", 100),
        ("I;16", 100 * 257, "a.png", 100),
        ("I;16", 100 * 257, "a.tif", 100),
        ("I", 100 * (2**31 // 255), "a.tif", 100),
    ],
)
def test_every_mode_becomes_grey_or_rgb(root, cache, channels, mode, colour, name, grey):
    picture(root / name, colour, mode=mode)
    assert centre(load(root, cache, channels=channels)) == [grey] * channels


def test_a_palette_becomes_its_colours(root, cache):
    Image.new("RGB", (16, 16), RED).quantize(4).save(root / "palette.png")
    with Image.open(root / "palette.png") as image:
        assert image.mode == "P"
    assert centre(load(root, cache)) == [255, 0, 0]


def test_16_bits_keep_their_gradient(root, cache):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)
    Image.fromarray(np.tile(ramp, (64, 1))).save(root / "ramp.png")
    row = load(root, cache, size=64, channels=1).arrays["samples"][0, 0, 0]
    assert row.tolist() == pytest.approx(np.linspace(0, 255, 64).tolist(), abs=1)


def test_transparency_becomes_black(root, cache):
    picture(root / "clear.png", (255, 255, 255, 0), mode="RGBA")
    picture(root / "half.png", (200, 100, 0, 128), mode="RGBA")
    palette = Image.new("P", (16, 16), 0)
    palette.putpalette(RED)
    palette.save(root / "palette.png", transparency=0)
    store = load(root, cache)
    assert centre(store, 0) == [0, 0, 0]
    assert centre(store, 1) == pytest.approx([100, 50, 0], abs=1)
    assert centre(store, 2) == [0, 0, 0]


def test_a_photograph_is_turned_upright(root, cache):
    image = Image.new("RGB", (64, 64), RED)
    image.paste(GREEN, (0, 0, 64, 32))  # green above red
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to show
    image.save(root / "turned.jpg", exif=exif, quality=95)
    sample = load(root, cache).arrays["samples"][0].int()
    red, green = sample[0, :, :3], sample[1, :, 5:]
    assert red.min() > 200
    assert green.min() > 200


def test_unreadable_files_are_skipped_and_named(root, cache):
    picture(root / "good.png")
    (root / "text.png").write_text("no image")
    picture(root / "cut.png", size=(300, 300), mode="L", colour=7)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "cut.png")
    (root / "cut.png").write_bytes((root / "cut.png").read_bytes()[:5000])
    store = load(root, cache)
    assert len(store) == 1
    assert centre(store) == [255, 0, 0]
    (note,) = store.notes
    assert "text.png (not an image)" in note
    assert "cut.png (" in note
    assert "good.png" not in note


def test_an_image_with_far_too_many_pixels_is_skipped(root, cache, monkeypatch):
    picture(root / "bomb.png", size=(50, 50))
    picture(root / "good.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    store = load(root, cache)
    assert len(store) == 1
    assert "bomb.png (too many pixels)" in store.notes[0]


def test_of_many_unreadable_files_ten_are_named(root, cache):
    picture(root / "good.png")
    for number in range(13):
        (root / f"bad-{number:02d}.png").write_text("no image")
    (note,) = load(root, cache).notes
    assert "bad-09.png" in note
    assert "bad-10.png" not in note
    assert "and 3 more" in note


def test_top_level_folders_become_labels(root, cache):
    picture(root / "dogs" / "a.png", GREEN)
    picture(root / "cats" / "young" / "b.png", RED)
    picture(root / "cats" / "c.png", RED)
    store = load(root, cache)
    assert store.label_names == ("cats", "dogs")
    assert store.arrays["labels"].tolist() == [0, 0, 1]
    assert store.arrays["labels"].dtype == torch.int64
    assert [centre(store, i)[1] for i in range(3)] == [0, 0, 255]


def test_a_folder_without_readable_images_is_no_label(root, cache):
    picture(root / "cats" / "a.png")
    picture(root / "dogs" / "b.png")
    (root / "broken").mkdir()
    (root / "broken" / "c.png").write_text("no image")
    assert load(root, cache).label_names == ("cats", "dogs")


def test_an_image_beside_the_folders_means_no_labels(root, cache):
    picture(root / "cats" / "a.png")
    picture(root / "b.png")
    store = load(root, cache)
    assert store.label_names == ()
    assert "labels" not in store.arrays


def test_a_link_to_a_folder_above_is_followed_once(root, cache):
    picture(root / "cats" / "a.png")
    (root / "cats" / "again").symlink_to(root, target_is_directory=True)
    assert len(load(root, cache)) == 1


def test_the_second_start_decodes_nothing_and_keeps_the_notes(root, cache, monkeypatch):
    picture(root / "cats" / "a.png")
    (root / "cats" / "bad.png").write_text("no image")
    first = load(root, cache)

    def no_more(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr(FolderDataset, "decode_all", no_more)
    second = load(root, cache)
    assert torch.equal(first.arrays["samples"], second.arrays["samples"])
    assert torch.equal(first.arrays["labels"], second.arrays["labels"])
    assert (second.notes, second.label_names) == (first.notes, first.label_names)
    assert second.notes


def test_a_changed_file_is_decoded_again(root, cache):
    picture(root / "a.png", RED)
    load(root, cache)
    picture(root / "a.png", GREEN)
    os.utime(root / "a.png", ns=(1, 1))
    assert centre(load(root, cache)) == [0, 255, 0]


def test_options_have_their_own_cache_files(root, cache):
    picture(root / "a.png")
    load(root, cache, channels=3)
    assert load(root, cache, channels=1).spec.shape == (1, 8, 8)
    assert load(root, cache, size=16).spec.shape == (3, 16, 16)
    assert len(list((cache / "image-folder").iterdir())) == 3


def test_a_damaged_cache_file_is_made_again(root, cache):
    picture(root / "a.png")
    load(root, cache)
    (path,) = cache.rglob("samples-*.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    assert centre(load(root, cache)) == [255, 0, 0]


def test_the_users_folder_is_only_read(root, cache):
    picture(root / "cats" / "a.png")
    before = {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}
    load(root, cache)
    assert {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]} == before


def test_two_threads_that_prepare_at_once_decode_once(root, cache, monkeypatch):
    picture(root / "a.png")
    both_inside = threading.Barrier(2)
    calls = []
    real = FolderDataset.decode_all

    def decode_slowly(*arguments):
        calls.append(arguments)
        try:
            both_inside.wait(timeout=0.5)
        except threading.BrokenBarrierError:
            return real(*arguments)
        raise AssertionError("two threads decoded at once")

    monkeypatch.setattr(FolderDataset, "decode_all", decode_slowly)
    threads = [threading.Thread(target=load, args=(root, cache)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert [path.suffix for path in (cache / "image-folder").iterdir()] == [".pack"]


def test_no_folder_given_is_an_error_that_says_how_to_give_one(no_root):
    with pytest.raises(DataError, match="--data-root FOLDER"):
        ImageFolder(ImageFolderOptions(), no_root).prepare()


def test_a_file_instead_of_a_folder_is_an_error(root, cache):
    picture(root / "a.png")
    with pytest.raises(DataError, match=r"a\.png is a file: give the folder"):
        load(root / "a.png", cache)


def test_a_folder_without_images_is_an_error_that_names_it(root, cache):
    (root / "readme.txt").write_text("nothing here")
    with pytest.raises(DataError, match=rf"no image in {root}.*\.png"):
        load(root, cache)


def test_a_folder_of_unreadable_files_is_an_error_that_names_them(root, cache):
    (root / "a.png").write_text("no image")
    with pytest.raises(DataError, match=r"The file in .*a\.png \(not an image\)"):
        load(root, cache)


def test_a_cache_that_cannot_be_written_is_named(root, cache):
    picture(root / "a.png")
    cache.write_text("a file where a folder should be")
    with pytest.raises(DataError, match=f"{cache}.*AIGC_CACHE_DIR"):
        load(root, cache)


def test_an_unknown_split_is_an_error(root, cache):
    picture(root / "a.png")
    dataset = ImageFolder(ImageFolderOptions(), DataFolders(root=root, cache=cache))
    with pytest.raises(DataError, match="no split 'test'"):
        dataset.load("test")
