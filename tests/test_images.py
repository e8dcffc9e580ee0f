"""An image file is read as a viewer shows it, whatever it is stored as; or it is told why not."""

import io
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import Base
from PIL.PngImagePlugin import PngInfo
from torchvision.datasets.folder import pil_loader

from workers.data.decode import decode
from workers.data.image import FORMATS, PIXELS

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (5, 6, 3), np.uint8)
GREYS = RNG.integers(0, 256, (5, 6), np.uint8)
# Greys of 16 bits, from black to white, and what they are in 8.
DEEP = np.array([[0, 128, 129, 257], [32767, 32768, 65406, 65535]], np.uint16)
SHALLOW = [[0, 0, 1, 1], [127, 128, 254, 255]]


def shown(path: Path) -> np.ndarray:
    """What Loci reads, as (height, width, colours)."""
    images, problems = decode(path.parent, [path.name], None)
    assert problems == []
    return images[0].transpose(1, 2, 0)


def refusal(path: Path, size: int | None = None) -> str:
    _, problems = decode(path.parent, [path.name], size)
    (problem,) = problems
    return problem


def saved(image: Image.Image, path: Path, **how: object) -> Path:
    image.save(path, **how)
    return path


def as_viewed(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))


# ---- what a file can hold


@pytest.mark.parametrize("kind", ["bmp", "gif", "png", "ppm", "tif", "webp"])
def test_colours_survive_in_every_lossless_format(kind: str, tmp_path: Path) -> None:
    image = Image.fromarray(COLOURS)
    if kind == "gif":
        image = image.quantize(30)
    stored = saved(image, tmp_path / f"x.{kind}", **({"lossless": True} if kind == "webp" else {}))
    assert np.array_equal(shown(stored), as_viewed(image))


def test_plain_images_are_what_torchvision_makes_of_them(tmp_path: Path) -> None:
    """Where nothing is transparent, turned or deep, ImageFolder gives the same pixels."""
    smooth = Image.fromarray(COLOURS).resize((40, 30))
    modes = {
        "jpg": "RGB L CMYK",
        "png": "RGB L P 1",
        "tif": "RGB L P CMYK",
        "webp": "RGB",
        "gif": "P",
    }
    for kind, some in modes.items():
        for mode in some.split():
            stored = saved(smooth.convert(mode), tmp_path / f"{mode}.{kind}")
            assert np.array_equal(shown(stored), np.asarray(pil_loader(stored))), stored.name


def test_a_jpeg_of_two_pictures_is_its_first(tmp_path: Path) -> None:
    """Cameras and phones store a preview or a second exposure behind the picture (MPO)."""
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    stored = tmp_path / "x.jpg"
    first.save(stored, "MPO", save_all=True, append_images=[second])
    assert shown(stored)[4, 4].tolist() == pytest.approx([254, 0, 0], abs=3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_grey_black_and_white_and_palette_become_colours(mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(COLOURS).convert(mode)
    stored = saved(image, tmp_path / "x.png")
    assert np.array_equal(shown(stored), as_viewed(image))


def test_cmyk_becomes_colours(tmp_path: Path) -> None:
    image = Image.fromarray(COLOURS).convert("CMYK")
    assert np.array_equal(shown(saved(image, tmp_path / "x.tif")), as_viewed(image))


# ---- transparency


@pytest.mark.parametrize("kind", ["png", "webp", "tif"])
def test_what_is_transparent_is_white(kind: str, tmp_path: Path) -> None:
    """A black drawing on nothing is stored as black on transparent black."""
    drawing = np.zeros((5, 6, 4), np.uint8)
    drawing[2, :, 3] = 255
    drawing[3, :, 3] = 51  # a fifth of black on white
    stored = saved(
        Image.fromarray(drawing),
        tmp_path / f"x.{kind}",
        **({"lossless": True} if kind == "webp" else {}),
    )
    assert shown(stored)[:, 0, 0].tolist() == [255, 255, 0, 204, 255]


def test_an_opaque_alpha_channel_changes_nothing(tmp_path: Path) -> None:
    opaque = np.dstack([COLOURS, np.full((5, 6), 255, np.uint8)])
    assert np.array_equal(shown(saved(Image.fromarray(opaque), tmp_path / "x.png")), COLOURS)


def test_a_transparent_shade_or_palette_entry_is_white(tmp_path: Path) -> None:
    pixels = np.array([[0, 1, 2]], np.uint8)
    grey = saved(Image.fromarray(pixels * 100), tmp_path / "grey.png", transparency=100)
    assert shown(grey)[0, :, 0].tolist() == [0, 255, 200]
    with_palette = Image.fromarray(pixels, "P")
    with_palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    for name in ("x.gif", "x.png"):
        stored = saved(with_palette, tmp_path / name, transparency=1)
        assert shown(stored)[0].tolist() == [[10, 20, 30], [255, 255, 255], [70, 80, 90]]


# ---- orientation

# The letter F, and how it is stored by a camera that is held in each of EXIF's eight ways.
LETTER = np.array([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 0, 0]], np.uint8) * 255
STORED = {
    1: LETTER,
    2: LETTER[:, ::-1],
    3: LETTER[::-1, ::-1],
    4: LETTER[::-1],
    5: LETTER.T,
    6: LETTER.T[::-1],
    7: LETTER.T[::-1, ::-1],
    8: LETTER.T[:, ::-1],
}


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", STORED)
def test_images_are_turned_upright(orientation: int, kind: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    large = np.repeat(np.repeat(STORED[orientation], 8, 0), 8, 1)
    stored = saved(Image.fromarray(large), tmp_path / f"x.{kind}", exif=exif)
    assert np.array_equal(shown(stored)[4::8, 4::8, 0] > 127, LETTER > 127)


@pytest.mark.parametrize("data", [b"Exif\0\0no TIFF", b"Exif\0\0II*\0\xff\xff\xff\xff", b"?", b""])
def test_damaged_exif_data_turn_nothing(data: bytes, tmp_path: Path) -> None:
    stored = saved(Image.fromarray(COLOURS), tmp_path / "x.png", exif=data)
    assert np.array_equal(shown(stored), COLOURS)


def test_an_orientation_that_is_no_number_turns_nothing(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_text("Raw profile type exif", "\nexif\n  4\nnothing hexadecimal")
    stored = saved(Image.fromarray(COLOURS), tmp_path / "x.png", pnginfo=info)
    assert np.array_equal(shown(stored), COLOURS)


# ---- more than 8 bits


def tiff(pixels: np.ndarray, *, bits: int, photometric: int, order: str = "<") -> bytes:
    """A plain TIFF file; Pillow does not write all that others do."""
    data = pixels.tobytes()
    height, width = pixels.shape if bits != 12 else (1, pixels.size * 2 // 3)
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric)]
    start = 8 + 2 + 12 * 9 + 4
    tags += [(273, start), (277, 1), (278, height), (279, len(data))]
    out = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(tags))
    for tag, value in tags:
        out += struct.pack(f"{order}HHII", tag, 4, 1, value)
    return out + bytes(4) + data


def test_16_bit_greys_are_scaled(tmp_path: Path) -> None:
    stored = saved(Image.fromarray(DEEP), tmp_path / "x.png")
    for colour in range(3):
        assert shown(stored)[:, :, colour].tolist() == SHALLOW
    files = {
        "little.tif": tiff(DEEP.astype("<u2"), bits=16, photometric=1),
        "big.tif": tiff(DEEP.astype(">u2"), bits=16, photometric=1, order=">"),
        "inverted.tif": tiff(0xFFFF - DEEP.astype("<u2"), bits=16, photometric=0),
        "x.pgm": b"P5 4 2 65535 " + DEEP.astype(">u2").tobytes(),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        assert shown(tmp_path / name)[:, :, 0].tolist() == SHALLOW, name


def test_every_16_bit_grey_is_rounded_to_the_nearest(tmp_path: Path) -> None:
    every = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    stored = shown(saved(Image.fromarray(every), tmp_path / "x.png"))[:, :, 0]
    assert np.abs(stored.astype(np.int64) * 257 - every).max() <= 128


def test_12_bits_reach_white(tmp_path: Path) -> None:
    twelve = np.array([0xFF, 0xFF, 0xFF, 0x00, 0x08, 0x00], np.uint8)  # 4095, 4095, 0, 2048
    (tmp_path / "x.tif").write_bytes(tiff(twelve, bits=12, photometric=1))
    assert shown(tmp_path / "x.tif")[0, :, 0].tolist() == [255, 255, 0, 128]
    (tmp_path / "x.pgm").write_bytes(b"P5 3 1 4095 " + struct.pack(">HHH", 0, 2048, 4095))
    assert shown(tmp_path / "x.pgm")[0, :, 0].tolist() == [0, 128, 255]


def test_16_bit_colours_are_scaled(tmp_path: Path) -> None:
    colours = np.array([[0, 32768, 65535]], ">u2")
    (tmp_path / "x.ppm").write_bytes(b"P6 1 1 65535 " + colours.tobytes())
    assert shown(tmp_path / "x.ppm")[0, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_without_a_white_there_is_no_scale(kind: type, tmp_path: Path) -> None:
    problem = refusal(saved(Image.fromarray(np.ones((2, 2), kind)), tmp_path / "x.tif"))
    assert "nothing says what is white" in problem and "store it with 8 or 16 bits" in problem


# ---- what is refused


def header(width: int, height: int) -> bytes:
    """The beginning of a PNG that says how large it is, and a few bytes of it."""
    out = io.BytesIO()
    Image.new("1", (8, 8)).save(out, "PNG")
    data = bytearray(out.getvalue())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def test_an_image_of_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(header(13377, 13377))  # just below where Pillow itself refuses
    with warnings.catch_warnings(record=True) as warned:  # as it does here, without the file's name
        warnings.simplefilter("always")
        problem = refusal(bomb, 8)
    assert warned == []
    assert problem == (
        "bomb.png cannot be read as an image (it has 13377x13377 = 178,944,129 pixels, and at "
        f"most {PIXELS:,} are decoded): make it smaller or remove it"
    )
    bomb.write_bytes(header(60000, 60000))
    problem = refusal(bomb, 8)
    assert "3600000000 pixels" in problem and problem.endswith(": make it smaller or remove it")


def test_the_largest_image_is_decoded_and_one_row_more_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.data.image.PIXELS", 30)
    assert np.array_equal(shown(saved(Image.fromarray(COLOURS), tmp_path / "x.png")), COLOURS)
    larger = saved(Image.new("RGB", (6, 6)), tmp_path / "larger.png")
    assert "it has 6x6 = 36 pixels, and at most 30" in refusal(larger)


@pytest.mark.parametrize("kind", ["ico", "pcx", "tga", "jp2", "eps", "sgi", "dds", "pdf"])
def test_other_formats_are_not_decoded_whatever_they_are_called(kind: str, tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.fromarray(COLOURS).resize((32, 32)).save(out, {"jp2": "JPEG2000"}.get(kind, kind))
    for name in (f"x.{kind}", "x.png"):
        (tmp_path / name).write_bytes(out.getvalue())
        problem = refusal(tmp_path / name)
        assert problem.startswith(f"{name} cannot be read as an image (it is no BMP, GIF, JPEG, ")
        assert problem.endswith(": convert, repair or remove it")


def test_the_decoders_of_other_formats_are_not_even_loaded() -> None:
    code = """
from pathlib import Path
from PIL import Image
import sys
from workers.data.image import FORMATS, Unreadable, read
try:
    read(Path(sys.executable))
except Unreadable:
    pass
print(sorted({*Image.OPEN} - {*FORMATS}))
"""
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60
    )
    loaded = set(done.stdout.split("'")[1::2])
    assert done.stdout and not loaded & {"EPS", "PSD", "ICNS", "WMF", "FITS"}, done.stderr


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "x.png").touch()
    assert refusal(tmp_path / "x.png") == (
        "x.png cannot be read as an image (it is empty): repair or remove it"
    )


@pytest.mark.parametrize("kind", ["png", "jpeg", "bmp", "webp", "tiff"])
def test_a_truncated_file_is_named(kind: str, tmp_path: Path) -> None:
    whole = io.BytesIO()
    Image.fromarray(COLOURS).resize((64, 64)).save(whole, kind)
    data = whole.getvalue()
    for kept in (1, 10, len(data) // 2):
        (tmp_path / "x").write_bytes(data[:kept])
        assert refusal(tmp_path / "x").startswith("x cannot be read as an image (")


def test_formats_are_those_that_pillow_knows() -> None:
    Image.init()
    assert {*FORMATS} <= {*Image.OPEN}


def test_images_that_do_not_fit_into_memory_are_refused_before_they_are_read(
    tmp_path: Path,
) -> None:
    saved(Image.fromarray(COLOURS), tmp_path / "x.png")
    images, problems = decode(tmp_path, ["x.png"], 10**6)
    (problem,) = problems
    assert "the 1 images of" in problem and "2,794.0 GiB" in problem
    assert problem.endswith("give a smaller --image-size, as --image-size 64")
    assert not images.size


def test_a_container_may_have_less_memory_than_its_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(Image.fromarray(COLOURS), tmp_path / "x.png")
    limit = tmp_path / "memory.max"
    monkeypatch.setattr("workers.memory.LIMIT", limit)
    for told, fits in (("max", True), ("90", True), ("89", False)):  # it takes 3 x 5 x 6 bytes
        limit.write_text(f"{told}\n")
        assert (decode(tmp_path, ["x.png"], None)[1] == []) is fits
