import pytest
import torch
from sklearn.datasets import load_digits

from aigc_core import DataError
from aigc_image.datasets.digits import Digits
from aigc_image.options import DigitsOptions


def load(folders, size=32):
    digits = Digits(DigitsOptions(size=size), folders)
    digits.prepare()
    return digits.load("train")


def test_digits_need_no_folder_at_all(no_root):
    store = load(no_root)
    assert len(store) == 1797
    assert store.spec.shape == (1, 32, 32)
    assert store.arrays["samples"].dtype == torch.uint8
    assert store.arrays["labels"].dtype == torch.int64
    assert not no_root.cache.exists()


def test_at_the_original_size_the_17_greys_are_spread_over_0_to_255(no_root):
    samples = load(no_root, size=8).arrays["samples"]
    expected = (torch.from_numpy(load_digits().images) * 255 / 16).round().to(torch.uint8)
    assert torch.equal(samples[:, 0], expected)
    assert samples.max() == 255


def test_enlarging_is_bicubic_and_clamped(no_root):
    original = torch.from_numpy(load_digits().images).float().unsqueeze(1) * 255 / 16
    smooth = torch.nn.functional.interpolate(original, (32, 32), mode="bicubic", antialias=True)
    assert smooth.min() < -1  # the kernel overshoots, and
    assert smooth.max() > 256  # a byte would wrap around
    enlarged = load(no_root, size=32).arrays["samples"]
    assert (enlarged - smooth.clamp(0, 255)).abs().max() <= 0.5


def test_labels_are_the_digits_names(no_root):
    store = load(no_root)
    assert store.label_names == ("zero", *store.label_names[1:9], "nine")
    assert store.arrays["labels"][:10].tolist() == list(range(10))


def test_an_unknown_split_is_an_error_that_names_the_known_one(no_root):
    with pytest.raises(DataError, match=r"no split 'test'.*train"):
        Digits(DigitsOptions(), no_root).load("test")
