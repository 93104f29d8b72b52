import numpy as np
import pytest
import torch
from PIL import Image

from aigc_core import ConfigError, DataError, SampleSpec
from aigc_image.modality import ImageModality


def modality(channels: int = 1, size: int = 28) -> ImageModality:
    return ImageModality(SampleSpec(shape=(channels, size, size), dtype="uint8"))


def images(count: int, channels: int = 1, size: int = 28) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    shape = (count, channels, size, size)
    return torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [28, 29, 32, 48, 64])
def test_every_byte_survives_the_way_to_the_model_and_back(channels, size):
    stored = images(4, channels, size)
    stored[0, 0].view(-1)[:256] = torch.arange(256)
    image = modality(channels, size)
    assert torch.equal(image.to_stored(image.to_model(stored)), stored)


@pytest.mark.parametrize(
    ("size", "model_size"), [(8, 32), (28, 32), (32, 32), (33, 64), (48, 64), (64, 64), (100, 128)]
)
def test_networks_see_a_power_of_two_of_at_least_32_pixels(size, model_size):
    image = modality(3, size)
    assert image.sample_shape == (3, model_size, model_size)
    assert image.to_model(images(2, 3, size)).shape == (2, 3, model_size, model_size)


def test_networks_see_floats_from_minus_one_to_one_in_the_middle_of_a_black_frame():
    seen = modality(size=28).to_model(torch.full((1, 1, 28, 28), 255, dtype=torch.uint8))
    assert seen.dtype == torch.float32
    assert (seen[..., 2:30, 2:30] == 1).all()
    assert (seen == -1).sum() == 32 * 32 - 28 * 28


def test_to_model_leaves_the_resident_data_alone():
    stored = images(2, size=32)
    before = stored.clone()
    modality(size=32).to_model(stored)
    assert torch.equal(stored, before)


def test_values_beyond_the_range_are_clamped():
    wild = torch.tensor([-7.0, 7.0]).repeat(16).expand(1, 1, 32, 32)
    assert set(modality(size=32).to_stored(wild).unique().tolist()) == {0, 255}


def test_half_precision_samples_are_stored_too():
    image = modality()
    stored = torch.arange(784).remainder(256).to(torch.uint8).view(1, 1, 28, 28)
    assert torch.equal(image.to_stored(image.to_model(stored).bfloat16()), stored)


@pytest.mark.parametrize("shape", [(28, 28), (2, 28, 28), (4, 28, 28), (3, 28, 32)])
def test_only_square_grey_or_rgb_images_are_accepted(shape):
    with pytest.raises(DataError, match="1 or 3 channels"):
        ImageModality(SampleSpec(shape=shape, dtype="uint8"))


def test_only_bytes_are_accepted():
    with pytest.raises(DataError, match="float32"):
        ImageModality(SampleSpec(shape=(1, 28, 28), dtype="float32"))


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_samples_are_saved_as_one_png_each_numbered_from_start(tmp_path, channels, mode):
    stored = images(3, channels)
    paths = modality(channels).save(stored, tmp_path, format="png", start=41)
    assert [path.name for path in paths] == ["000041.png", "000042.png", "000043.png"]
    for path, sample in zip(paths, stored, strict=True):
        with Image.open(path) as image:
            assert image.mode == mode
            pixels = torch.from_numpy(np.array(image)).reshape(28, 28, channels)
        assert torch.equal(pixels.permute(2, 0, 1), sample)


def test_an_unknown_format_is_an_error_that_names_the_known_one(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'png'"):
        modality().save(images(1), tmp_path, format="pngs")


def test_a_preview_is_a_grid_of_enlarged_tiles(tmp_path):
    stored = images(7)
    path = modality().preview(stored, tmp_path / "grid")
    with Image.open(path) as image:
        assert image.mode == "L"
        assert image.size == (3 * (56 + 2) + 2, 3 * (56 + 2) + 2)  # 7 tiles: 3 columns, 3 rows
        first = torch.from_numpy(np.array(image))[2:58, 2:58]
    assert torch.equal(first[::2, ::2], stored[0, 0])
    assert torch.equal(first[1::2, 1::2], stored[0, 0])


def test_a_preview_of_large_images_is_not_enlarged(tmp_path):
    path = modality(3, 64).preview(images(4, 3, 64), tmp_path / "grid")
    with Image.open(path) as image:
        assert (image.mode, image.size) == ("RGB", (2 * 66 + 2, 2 * 66 + 2))


def test_a_preview_of_one_sample_is_that_sample(tmp_path):
    path = modality(size=64).preview(images(1, size=64), tmp_path / "one")
    with Image.open(path) as image:
        assert image.size == (64, 64)


def test_a_name_with_dots_keeps_them(tmp_path):
    path = modality().preview(images(1), tmp_path / "step-000500.seed-1.5")
    assert path == tmp_path / "step-000500.seed-1.5.png"
    assert path.is_file()


def test_a_preview_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    path = modality().preview(images(1), tmp_path / "grid")
    before = path.read_bytes()

    def full_disk(image, target, **_):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(OSError, match="No space"):
        modality().preview(images(2), tmp_path / "grid")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
