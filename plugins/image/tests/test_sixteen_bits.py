"""Pictures of more than 8 bits keep their levels from the disk to the networks and back."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aigc_core import (
    ConfigError,
    DataError,
    DataFolders,
    Run,
    SampleSpec,
    evaluate,
    generate,
    generate_files,
    open_sampler,
    resume,
    train,
)
from aigc_core.api import Request
from aigc_core.engine.data import ResidentData
from aigc_image.datasets.folder import ImageFolder
from aigc_image.datasets.two_folders import PairedFolder
from aigc_image.modality import ImageModality
from aigc_image.options import ImageFolderOptions

SIZE = 32
DEEP = {"dataset.options.bits": 16, "dataset.options.channels": 1}


def chunk(kind: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


def write_png(path: Path, levels: np.ndarray, *, further: bytes = b"") -> None:
    """Write uint16 ``(H, W)`` as a grey PNG by hand (PNG 1.2, without filters)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = levels.shape
    head = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + further
        + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )  # fmt: skip


def read_png(path: Path) -> np.ndarray:
    """Read a 16-bit grey PNG by hand (PNG 1.2, section 6: filters) as uint16 ``(H, W)``."""
    data, place, packed = path.read_bytes(), 8, b""
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        body = data[place + 8 : place + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour, *_, interlaced = struct.unpack(">IIBBBBB", body)
            assert (depth, colour, interlaced) == (16, 0, 0)
        packed += body if kind == b"IDAT" else b""
        place += 12 + length
    raw, stride = zlib.decompress(packed), 2 * width
    above, rows = [0] * stride, b""
    for y in range(height):
        kind, *line = raw[y * (stride + 1) : (y + 1) * (stride + 1)]
        for x in range(stride):
            left, corner = (line[x - 2], above[x - 2]) if x > 1 else (0, 0)
            guess = left + above[x] - corner
            near = min((left, above[x], corner), key=lambda value, g=guess: abs(g - value))
            add = (0, left, above[x], (left + above[x]) // 2, near)[kind]
            line[x] = (line[x] + add) & 255
        above, rows = line, rows + bytes(line)
    return np.frombuffer(rows, ">u2").reshape(height, width).astype(np.uint16)


def gradients(count: int = 24) -> np.ndarray:
    """Return smooth grey pictures of many levels, uint16 ``(count, SIZE, SIZE)``."""
    x, y = np.meshgrid(np.linspace(0, 1, SIZE), np.linspace(0, 1, SIZE))
    rng = np.random.default_rng(0)
    turns, scale = rng.uniform(0, 2 * np.pi, count), rng.uniform(0.6, 1, count)
    pictures = [
        s * (0.5 + 0.35 * (np.cos(t) * (2 * x - 1) + np.sin(t) * (2 * y - 1)))
        for t, s in zip(turns, scale, strict=True)
    ]
    return np.rint(65535 * np.stack(pictures).clip(0, 1)).astype(np.uint16)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, levels in enumerate(gradients()):
        write_png(tmp_path / "scans" / f"{number:03d}.png", levels)
    return tmp_path / "scans"


def load(root: Path, kind: type[ImageFolder] = ImageFolder, **options):
    settings = {"size": SIZE, "channels": 1, "bits": 16} | options
    folders = DataFolders(root=root, cache=root.parent / "cache")
    dataset = kind(ImageFolderOptions(**settings), folders)
    dataset.prepare()
    return dataset.load("train")


def deep_modality(size: int = SIZE) -> ImageModality:
    return ImageModality(SampleSpec(shape=(1, size, size), dtype="uint16"))


def test_levels_are_the_same_on_disk_in_the_model_and_on_disk_again(root, tmp_path) -> None:
    store = load(root)
    samples, written = store.arrays["samples"], torch.from_numpy(gradients())[:, None]
    assert (store.spec.dtype, samples.dtype, store.notes) == ("uint16", torch.uint16, ())
    assert len(samples.unique()) > 5000
    assert torch.equal(samples, written)
    modality = ImageModality(store.spec)
    seen = modality.to_model(samples)
    assert (seen.dtype, seen.shape) == (torch.float32, (24, 1, SIZE, SIZE))
    exact = torch.from_numpy(gradients().astype(np.float64))[:, None] / 65535 * 2 - 1
    assert (seen - exact).abs().max() < 1 / 65535 / 16
    paths = modality.save(modality.to_stored(seen), tmp_path, format="png")
    for path, levels in zip(paths, gradients(), strict=True):
        assert np.array_equal(read_png(path), levels)
        with Image.open(path) as image:
            assert np.array_equal(np.asarray(image), levels)
        assert torch.equal(modality.read(path), torch.from_numpy(levels)[None])


@pytest.mark.parametrize("size", [28, 256])
def test_every_level_survives_the_way_to_the_model_and_back(size: int) -> None:
    modality = deep_modality(size)
    count = -(-65536 // size**2)
    every = torch.arange(count * size**2).clamp(max=65535).to(torch.uint16)
    stored = every.view(count, 1, size, size)
    seen = modality.to_model(stored)
    assert (seen.min(), seen.max()) == (-1, 1)
    assert torch.equal(modality.to_stored(seen), stored)
    assert torch.equal(modality.to_stored(seen * 3), modality.to_stored((seen * 3).clamp(-1, 1)))


def test_the_engine_takes_rows_of_sixteen_bits(root) -> None:
    arrays = load(root).arrays
    data = ResidentData(arrays, torch.device("cpu"))
    rows = torch.tensor([3, 0, 3])
    taken = data.take(rows)["samples"]
    assert taken.dtype == torch.uint16
    assert torch.equal(taken, arrays["samples"][rows])
    assert torch.equal(data.stored("samples", rows), taken)


@pytest.mark.parametrize("bits", [12, 16, 31])
def test_other_depths_are_scaled_to_the_whole_range(tmp_path, bits: int) -> None:
    root = tmp_path / "scans"
    root.mkdir()
    shares = np.linspace(0, 1, 64).reshape(8, 8)
    levels = np.rint(shares * (2**bits - 1)).astype(np.int32 if bits == 31 else np.uint16)
    if bits == 12:  # Pillow writes no 12-bit TIFF: say so in a file of 16-bit words
        packed = np.array([[f"{v:012b}" for v in row] for row in levels])
        strip = b"".join(int("".join(row), 2).to_bytes(12) for row in packed)
        tags = {256: 8, 257: 8, 258: 12, 259: 1, 262: 1, 273: 122, 277: 1, 278: 8, 279: len(strip)}
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
        content = struct.pack("<2sHIH", b"II", 42, 8, 9) + entries + bytes(4) + strip
        (root / "a.tif").write_bytes(content)
    elif bits == 16:
        Image.fromarray(levels).save(root / "a.tif")
    else:
        Image.fromarray(levels).save(root / "a.tif")  # signed 32 bits
    samples = load(root, size=8).arrays["samples"]
    assert samples.dtype == torch.uint16
    found = samples[0, 0].to(torch.int64).numpy()
    assert np.abs(found - np.rint(levels / (2**bits - 1) * 65535)).max() <= (bits == 31)


def test_files_of_eight_bits_are_scaled_exactly_and_that_is_said_once(root) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(grey).save(root / "grey.png")
    Image.fromarray(grey[:4, :4]).convert("1").save(root / "few.png")
    store = load(root, size=16)
    (note,) = store.notes
    assert note.startswith("2 of 26 images have at most 8 bits, or colours, which are read with 8")
    assert "few.png" in note
    assert "grey.png" in note
    at = sorted(path.name for path in root.iterdir()).index("grey.png")
    assert np.array_equal(store.arrays["samples"][at, 0].numpy(), grey.astype(np.uint16) * 257)


def test_a_folder_of_jpegs_gains_nothing_and_that_is_said_once(tmp_path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number in range(12):
        noise = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "photos" / f"{number}.jpg")
    deep, plain = load(tmp_path / "photos"), load(tmp_path / "photos", bits=8)
    (note,) = deep.notes
    assert "12 of 12 images" in note
    assert note.endswith("dataset.options.bits=16 gains nothing.")
    assert torch.equal(deep.arrays["samples"].int(), plain.arrays["samples"].int() * 257)


def test_bits_are_part_of_what_the_cache_is_found_by(root) -> None:
    deep, plain = load(root), load(root, bits=8)
    assert plain.arrays["samples"].dtype == torch.uint8
    assert torch.equal(load(root).arrays["samples"], deep.arrays["samples"])
    assert len(list((root.parent / "cache" / "image-folder").iterdir())) == 2


def test_resizing_keeps_the_levels_between(root) -> None:
    small = load(root, size=8).arrays["samples"]
    assert len(small.unique()) > 1000
    means = torch.from_numpy(gradients()).float().mean((1, 2))
    assert (small.float().mean((1, 2, 3)) - means).abs().max() < 65535 / 256


def test_a_cut_is_from_the_middle(tmp_path) -> None:
    wide = np.zeros((8, 24), np.uint16)
    wide[:, 8:16] = 40_000 + np.arange(64).reshape(8, 8)
    write_png(tmp_path / "scans" / "wide.png", wide)
    samples = load(tmp_path / "scans", size=8).arrays["samples"]
    assert np.array_equal(samples[0, 0].numpy(), wide[:, 8:16])


def test_mirrored_pictures_are_added(root) -> None:
    samples = load(root, flip=True).arrays["samples"].numpy()
    assert np.array_equal(samples[1::2], samples[::2, ..., ::-1])
    assert np.array_equal(samples[::2, 0], gradients())


def test_pairs_have_sixteen_bits_on_both_sides(tmp_path) -> None:
    for number, levels in enumerate(gradients(4)):
        write_png(tmp_path / "pairs" / "input" / f"{number}.png", levels)
        write_png(tmp_path / "pairs" / "target" / f"{number}.png", 65535 - levels)
    store = load(tmp_path / "pairs", PairedFolder)
    assert store.columns["input"].spec.dtype == "uint16"
    both = store.arrays["input"].int() + store.arrays["samples"].int()
    assert (both == 65535).all()


def test_the_transparent_level_is_black_and_no_other(tmp_path) -> None:
    levels = gradients(1)[0]
    levels[0, :2] = 30_000, 30_001
    key = chunk(b"tRNS", struct.pack(">H", 30_000))
    write_png(tmp_path / "scans" / "a.png", levels, further=key)
    samples = load(tmp_path / "scans").arrays["samples"]
    assert np.array_equal(samples[0, 0].numpy(), np.where(levels == 30_000, 0, levels))


def test_levels_of_twelve_bits_in_sixteen_are_noted(tmp_path) -> None:
    write_png(tmp_path / "scans" / "ct.png", gradients(1)[0] >> 4)
    (note,) = load(tmp_path / "scans").notes
    assert note.startswith("1 of 1 images use less than a quarter of the range of their depth")
    assert "ct.png" in note


def test_a_gamma_is_said_and_the_numbers_are_kept(tmp_path) -> None:
    for name, gamma in (("linear", 100_000), ("srgb", 45_455)):
        further = chunk(b"gAMA", struct.pack(">I", gamma))
        write_png(tmp_path / "scans" / f"{name}.png", gradients(1)[0], further=further)
    store = load(tmp_path / "scans")
    assert np.array_equal(store.arrays["samples"][0, 0].numpy(), gradients(1)[0])
    (note,) = store.notes
    assert note.startswith("1 of 2 images of more than 8 bits have a colour profile or a gamma")
    assert "linear.png" in note


@pytest.mark.parametrize(("bits", "nearest"), [(0, 8), (7, 8), (10, 16), (12, 16), (32, 16)])
def test_other_bits_are_refused_with_the_nearest(bits: int, nearest: int) -> None:
    with pytest.raises(ConfigError, match=rf"should be 8 or 16; the nearest is {nearest}\.$"):
        ImageFolderOptions(bits=bits, channels=1)


@pytest.mark.parametrize("value", [True, "many", None])
def test_bits_that_are_no_number_are_refused(value) -> None:
    with pytest.raises(ConfigError, match="bits"):
        ImageFolderOptions(bits=value, channels=1)


def test_colours_of_sixteen_bits_are_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigError, match="set channels=1 too, or leave bits=8"):
        ImageFolderOptions(bits=16)
    with pytest.raises(DataError, match="Images of 16 bits are grey"):
        ImageModality(SampleSpec(shape=(3, 8, 8), dtype="uint16"))


def test_a_preview_shows_faint_pictures(tmp_path) -> None:
    faint = torch.from_numpy(gradients(4) // 64 + 20_000)[:, None]
    faint[0, 0, 0, 0] = 65535  # one bright pixel does not hide the rest
    path = deep_modality().preview(faint, tmp_path / "grid")
    with Image.open(path) as image:
        assert image.mode == "L"
        shown = np.asarray(image)
    assert shown.min() == 0
    assert shown.max() == 255
    assert len(np.unique(shown)) > 200


@pytest.mark.parametrize("level", [0, 300, 65535])
def test_a_preview_of_one_level_is_that_level(tmp_path, level: int) -> None:
    flat = torch.full((1, 1, 64, 64), level, dtype=torch.uint16)
    path = deep_modality(64).preview(flat, tmp_path / "flat")
    with Image.open(path) as image:
        assert set(np.unique(np.asarray(image))) == {round(level / 257)}


def test_a_preview_of_nearly_one_level_shows_the_rest(tmp_path) -> None:
    flat = torch.full((1, 1, 64, 64), 1000, dtype=torch.uint16)
    flat[0, 0, 5, 5] = 1010
    path = deep_modality(64).preview(flat, tmp_path / "flat")
    with Image.open(path) as image:
        assert image.getextrema() == (0, 255)


def test_a_file_of_another_depth_is_not_what_was_saved(tmp_path) -> None:
    write_png(tmp_path / "deep.png", gradients(1)[0])
    Image.new("L", (SIZE, SIZE)).save(tmp_path / "plain.png")
    with pytest.raises(DataError, match=r"plain\.png has 8 bits, and samples are stored with 16"):
        deep_modality().read(tmp_path / "plain.png")
    shallow = ImageModality(SampleSpec(shape=(1, SIZE, SIZE), dtype="uint8"))
    with pytest.raises(DataError, match=r"deep\.png has 16 bits, and samples are stored with 8"):
        shallow.read(tmp_path / "deep.png")


def test_a_users_file_keeps_its_levels_as_a_condition(tmp_path) -> None:
    write_png(tmp_path / "deep.png", gradients(1)[0])
    assert np.array_equal(deep_modality().adapt(tmp_path / "deep.png")[0], gradients(1)[0])
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(grey).save(tmp_path / "plain.png")
    found = deep_modality(16).adapt(tmp_path / "plain.png")
    assert np.array_equal(found[0], grey.astype(np.uint16) * 257)


RECIPES = {
    "image/dcgan": {"model.width": 8, "trainer.generator.lr": 0.01, "engine.ema": None},
    "image/vae": {"model.width": 8, "model.hidden_size": 32, "model.latent_size": 8},
    "image/flow": {"model.width": 8, "model.blocks": 1},
}


@pytest.fixture(params=RECIPES)
def runs(request, root: Path, tmp_path: Path) -> tuple[Run, Run]:
    """A run that was trained at once, and one that was interrupted."""

    def started(name: str, steps: int) -> Run:
        return train(
            request.param,
            dataset="image-folder",
            overrides={
                **DEEP, **RECIPES[request.param], "engine.batch_size": 8, "engine.device": "cpu",
                "engine.sample_count": 1, "engine.schedule_steps": 6,
            },
            steps=steps, data_root=root, out=tmp_path / name, progress=False,
        )  # fmt: skip

    return started("whole", 6), resume(started("halves", 3), steps=6, progress=False)


def test_a_run_resumes_and_draws_pictures_of_many_levels(runs, tmp_path) -> None:
    whole, halves = runs
    weights = "checkpoints/step-000006/weights.safetensors"
    assert (whole.path / weights).read_bytes() == (halves.path / weights).read_bytes()
    few = {"steps": 2} if whole.recipe == "image/flow" else {}
    asked = {"count": 4, "controls": few, "device": "cpu"}
    drawn = generate(whole, **asked)
    assert drawn.dtype == torch.uint16
    assert len(drawn.unique()) > 256
    found = generate_files(whole, out=tmp_path / "pictures", **asked)
    again = np.stack([read_png(path) for path in found.files])
    assert np.array_equal(again, drawn[:, 0].numpy())
    found = generate_files(whole, format="npy", out=tmp_path / "array", **asked)
    array = np.load(found.files[0])
    assert array.dtype == np.uint16
    assert np.array_equal(array[:, 0], again)


def test_a_reconstruction_stands_beside_the_levels_of_the_file(root, tmp_path) -> None:
    run = train(
        "image/vae", dataset="image-folder", overrides={**DEEP, **RECIPES["image/vae"]}, steps=2,
        batch_size=8, data_root=root, out=tmp_path / "run", progress=False,
    )  # fmt: skip
    found = generate_files(run, kind="reconstructions", count=2, out=tmp_path / "g")
    written = {levels.tobytes() for levels in gradients()}
    assert [read_png(p).tobytes() in written for p in found.files] == [True, False] * 2
    assert evaluate(run, count=8).metrics["sliced-wasserstein/distance"] > 0


def test_a_translation_takes_a_file_of_sixteen_bits(tmp_path) -> None:
    for number, levels in enumerate(gradients(8)):
        write_png(tmp_path / "pairs" / "input" / f"{number}.png", levels)
        write_png(tmp_path / "pairs" / "target" / f"{number}.png", 65535 - levels)
    run = train(
        "image/translate", preset="tiny", dataset="paired-folder", overrides=DEEP, steps=2,
        data_root=tmp_path / "pairs", out=tmp_path / "run", progress=False,
    )  # fmt: skip
    write_png(tmp_path / "mine.png", gradients(1)[0])
    sampler = open_sampler(run, device="cpu")
    by_file = sampler.samples(Request(count=1, inputs={"input": tmp_path / "mine.png"}))
    given = torch.from_numpy(gradients(1))[:, None]
    assert torch.equal(by_file, sampler.samples(Request(count=1, inputs={"input": given})))
    assert len(by_file.unique()) > 100  # of those near grey: two steps were learned
