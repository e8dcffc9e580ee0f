"""Whatever bytes an image file holds, it becomes an image or one line that names it."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.ExifTags import Base

from workers.data.decode import decode

FUZZED = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
PIXELS = np.random.default_rng(0).integers(0, 256, (9, 7, 4), np.uint8)
MAGIC = (
    b"BM",
    b"GIF89a",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"P6 ",
    b"II*\0",
    b"MM\0*",
    b"RIFF",
)


def _whole() -> Iterator[bytes]:
    """Images in every format and several modes, with EXIF data where there is a place for them."""
    exif = Image.Exif()
    exif[Base.Orientation] = 6
    colours = Image.fromarray(PIXELS)
    kinds = {
        "BMP": ("RGB", "P", "1"),
        "GIF": ("P", "L"),
        "JPEG": ("RGB", "L", "CMYK"),
        "PNG": ("RGBA", "RGB", "LA", "P", "I;16", "1"),
        "PPM": ("RGB", "L", "I"),
        "TIFF": ("RGBA", "RGB", "CMYK", "P", "I;16", "F", "1"),
        "WEBP": ("RGBA", "RGB"),
    }
    for kind, modes in kinds.items():
        for mode in modes:
            middle = "L" if mode in ("I;16", "I") else "RGB"
            image = colours if mode == "RGBA" else colours.convert(middle).convert(mode)
            out = io.BytesIO()
            image.save(
                out, kind, **({"exif": exif} if kind in ("JPEG", "PNG", "TIFF", "WEBP") else {})
            )
            yield out.getvalue()
    for compression in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits", "group4"):
        out = io.BytesIO()
        image = colours.convert("1" if compression == "group4" else "RGB")
        image.save(out, "TIFF", compression=compression, exif=exif)
        yield out.getvalue()


WHOLE = [*_whole()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged")


def check(folder: Path, data: bytes) -> bool:
    """Whether `data` is an image; asserts that it is told properly if it is none."""
    (folder / "x.png").write_bytes(data)
    images, problems = decode(folder, ["x.png"], 4)
    assert images.shape == (1, 3, 4, 4) and images.dtype == np.uint8
    for problem in problems:
        assert problem.startswith("x.png cannot be read as an image (")
        assert ": " in problem and str(folder) not in problem
    return not problems


def test_the_images_to_damage_are_whole(folder: Path) -> None:
    assert [check(folder, data) for data in WHOLE].count(False) == 1  # floats have no white


@FUZZED
@given(beginning=st.sampled_from((b"", *MAGIC)), rest=st.binary(max_size=300))
def test_random_bytes_are_told(folder: Path, beginning: bytes, rest: bytes) -> None:
    check(folder, beginning + rest)


@FUZZED
@given(data=st.sampled_from(WHOLE), kept=st.floats(0, 1, exclude_max=True))
def test_truncated_images_are_told_or_were_complete(folder: Path, data: bytes, kept: float) -> None:
    check(folder, data[: int(kept * len(data))])


@FUZZED
@given(
    data=st.sampled_from(WHOLE),
    flips=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=8),
)
def test_flipped_bits_are_told_or_shown(folder: Path, data: bytes, flips: list[float]) -> None:
    damaged = bytearray(data)
    for flip in flips:
        place = int(flip * 8 * len(data))
        damaged[place // 8] ^= 1 << place % 8
    check(folder, bytes(damaged))


@FUZZED
@given(
    data=st.sampled_from(WHOLE),
    at=st.floats(0, 0.3),
    value=st.binary(min_size=1, max_size=8),
)
def test_damaged_headers_are_told_or_shown(
    folder: Path, data: bytes, at: float, value: bytes
) -> None:
    """The beginning holds sizes, offsets and counts, where one byte does the most."""
    place = int(at * len(data))
    assume(place + len(value) <= len(data))
    check(folder, data[:place] + value + data[place + len(value) :])
