"""One image file as a viewer shows it: upright, white where it is transparent, 8 bits per colour.

torchvision's ImageFolder differs in three points: it leaves an image lying as the camera was held,
shows what is hidden below transparent pixels, and turns most of a 16-bit image white. Of several
pictures in one file both read the first, and neither applies a colour profile.
"""

import os
from pathlib import Path

import numpy as np

# Pillow loads the other decoders by itself. Without these two it would load all forty it has.
from PIL import (
    Image,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401  # pyright: ignore[reportUnusedImport]
)
from PIL.ExifTags import Base
from PIL.Image import Transpose

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # no other decoder is ever asked
PIXELS = 89_478_485  # more are not decoded: a quarter GiB as RGB, and where Pillow begins to warn
UPRIGHT = {  # what undoes each orientation of EXIF but 1
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


class Unreadable(Exception):
    """Why a file can not be used, and what its owner can do about it."""

    def __init__(self, why: str, remedy: str = "repair or remove it") -> None:
        super().__init__(f"({why}): {remedy}")


def read(path: Path) -> Image.Image:
    """The image in mode RGB. Raises Unreadable for everything that is wrong with the file."""
    try:
        # Not by its name: Pillow would map some TIFFs into memory, wrongly if they lie on a side,
        # and a file that is cut short meanwhile would end this process with a signal.
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise Unreadable("it is empty")
            with Image.open(file, formats=FORMATS) as stored:
                _check_size(stored)
                stored.load()
                turn = UPRIGHT.get(_orientation(stored))
                image = _rgb(stored)
                return image if turn is None else image.transpose(turn)
    except Unreadable:
        raise
    except UnidentifiedImageError as error:
        known = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise Unreadable(
            f"it is no {known} file, or its beginning is damaged", "convert, repair or remove it"
        ) from error
    except Image.DecompressionBombError as error:  # so large that Pillow does not tell its shape
        raise Unreadable(str(error), "make it smaller or remove it") from error
    except Exception as error:  # decoders raise almost anything
        told = error.strerror if isinstance(error, OSError) else None  # without the file's name
        raise Unreadable(told or str(error) or type(error).__name__) from error


def _check_size(image: Image.Image) -> None:
    """A file of a few bytes can say that it holds more pixels than there is memory."""
    pixels = image.width * image.height
    if pixels > PIXELS:
        raise Unreadable(
            f"it has {image.width}x{image.height} = {pixels:,} pixels, and at most {PIXELS:,} "
            "are decoded",
            "make it smaller or remove it",
        )


def _orientation(image: Image.Image) -> int:
    """How the camera was held, as EXIF numbers it; 1, upright, if nothing readable says so."""
    try:
        found = image.getexif().get(Base.Orientation)
    except Exception:  # damaged EXIF data, in an image that shows well without them
        return 1
    return found if isinstance(found, int) else 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode[0] in "IF":
        return _in_8_bits(image).convert("RGB")
    if image.has_transparency_data:
        shown = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown).convert("RGB")
    return image.convert("RGB")


def _in_8_bits(image: Image.Image) -> Image.Image:
    """Deep greys: black stays black, white stays white, and what is between is rounded.

    Pillow itself would make all white that is above 255. Deep colours it reads well.
    """
    sixteen = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")
    if not sixteen:
        raise Unreadable(
            f"its pixels are signed, of 32 bits or fractions (Pillow's mode {image.mode}), and "
            "nothing says what is white",
            "store it with 8 or 16 bits per channel, or remove it",
        )
    white, inverted = 2**16 - 1, False
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        white = 2 ** image.tag_v2[Base.BitsPerSample][0] - 1  # 12 bits are not spread over 16
        inverted = image.tag_v2.get(Base.PhotometricInterpretation) == 0
    shades = np.rint(np.arange(white + 1) * (255 / white)).astype(np.uint8)
    return Image.fromarray((shades[::-1] if inverted else shades)[np.asarray(image)])
