import subprocess
import sys

import pytest

from aigc_core.errors import ConfigError
from aigc_image.options import DigitsOptions, ImageFolderOptions, MnistOptions


@pytest.mark.parametrize("options", [MnistOptions, DigitsOptions, ImageFolderOptions])
@pytest.mark.parametrize("size", [7, 513])
def test_a_size_out_of_range_is_rejected(options, size):
    with pytest.raises(ConfigError, match="size"):
        options(size=size)


def test_a_folder_of_images_is_grey_or_rgb():
    assert ImageFolderOptions().channels == 3
    with pytest.raises(ConfigError, match="channels"):
        ImageFolderOptions(channels=4)


def test_options_are_imported_without_torch():
    code = "import sys, aigc_image.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
