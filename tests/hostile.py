"""Files made to hurt a decoder: small to send, huge to open."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, PngImagePlugin

PNG = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    """One PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def encoded(image: Image.Image, kind: str, **more: object) -> bytes:
    """A picture as a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    return buffer.getvalue()


def noise(width: int = 64, height: int = 48) -> Image.Image:
    """A picture that does not compress."""
    return Image.fromarray(np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8).astype(np.uint8))


def png(width: int, height: int, *extra: bytes, rows: int | None = None) -> bytes:
    """A black PNG; `rows` of its pixels are really there."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    packer = zlib.compressobj(9)
    line = bytes(1 + 3 * width)
    body = b"".join(packer.compress(line) for _ in range(height if rows is None else rows)) + packer.flush()
    return PNG + head + b"".join(extra) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def jpeg_segment(marker: int, data: bytes) -> bytes:
    """One JPEG segment."""
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def with_segments(*segments: bytes) -> bytes:
    """A small JPEG with segments after its start."""
    plain = encoded(noise(), "JPEG")
    return plain[:2] + b"".join(segments) + plain[2:]


def scan_bomb(times: int) -> bytes:
    """A progressive JPEG whose last scan is there many times: each costs a pass over the whole picture."""
    plain = encoded(Image.new("RGB", (3000, 3000), (200, 30, 40)), "JPEG", progressive=True, quality=30)
    last = plain.rindex(b"\xff\xda")
    return plain[:last] + plain[last:-2] * times + b"\xff\xd9"


def exif_loop() -> bytes:
    """EXIF whose directory names itself as the next one, with an entry of 4 GiB."""
    entry = struct.pack("<HHII", 0x0112, 2, 0xFFFFFFF0, 8)
    tiff = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + entry + struct.pack("<I", 8)
    return with_segments(jpeg_segment(0xE1, b"Exif\0\0" + tiff))


def gif(frames: int, canvas: tuple[int, int] = (64, 48)) -> bytes:
    """A GIF of many frames of one pixel on a large canvas."""
    body = b"GIF89a" + struct.pack("<HHBBB", *canvas, 0x80, 0, 0) + bytes(6)
    frame = b"\x21\xf9\x04\0\0\0\0\0" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return body + frame * frames + b"\x3b"


def growing_gif(disposal: int) -> bytes:
    """A GIF on a small canvas whose second frame says that it has 65535 x 65535 pixels.

    Args:
        disposal: what is done with that frame afterwards: 1 it stays, 2 background, 3 what was there before.
    """
    plain = encoded(noise(), "GIF", save_all=True, append_images=[noise().rotate(90), noise().rotate(180)], disposal=2)
    places = [at for at in range(len(plain)) if plain.startswith(b"\x21\xf9\x04", at)]
    control, frame = places[1], plain.index(b"\x2c", places[1] + 8)
    grown = bytearray(plain)
    grown[control + 3] = disposal << 2
    grown[frame + 5 : frame + 9] = struct.pack("<HH", 65535, 65535)
    return bytes(grown)


def lzw_bomb() -> bytes:
    """A GIF whose one frame of 65535 by 700 pixels is filled by the longest codes of LZW."""
    return encoded(Image.new("P", (65535, 700)), "GIF")


def webp_header(width: int, height: int) -> bytes:
    """A WebP (VP8X) that claims a size and has nothing."""
    sides = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + sides
    return b"RIFF" + struct.pack("<I", len(body)) + body


def avif_sized(width: int, height: int) -> bytes:
    """An AVIF whose `ispe` box claims another size than its picture has."""
    plain = encoded(noise(), "AVIF")
    place = plain.index(b"ispe") + 8
    return plain[:place] + struct.pack(">II", width, height) + plain[place + 8 :]


def bombs() -> Iterator[tuple[str, bytes]]:
    """All of them, by what they attack."""
    zeros = zlib.compress(bytes(64 << 20), 9)
    yield "pixels: a PNG of 100000 x 100000", png(100_000, 100_000, rows=1)
    yield "pixels: a PNG of 2^31-1 x 1", png(3, 3).replace(struct.pack(">II", 3, 3), struct.pack(">II", 2**31 - 1, 1))
    yield "pixels: a PNG of 50 million, all of them there", png(7000, 7000)
    yield "pixels: a PNG with three rows of 7000", png(7000, 7000, rows=3)
    yield "chunks: a PNG with 100000 empty ones", png(9, 9, *[chunk(b"teSt", b"")] * 100_000)
    yield "chunks: a PNG with a length of 2^32-1", png(9, 9)[:33] + b"\xff\xff\xff\xffIDAT" + bytes(64)
    yield "text: a PNG whose zTXt opens to 64 MiB", png(9, 9, chunk(b"zTXt", b"k\0\0" + zeros))
    yield "text: a PNG whose iTXt opens to 64 MiB", png(9, 9, chunk(b"iTXt", b"k\0\1\0\0\0" + zeros))
    yield "ICC: a PNG whose profile opens to 64 MiB", png(9, 9, chunk(b"iCCP", b"p\0\0" + zeros))
    yield (
        "ICC: a JPEG with 255 full profile segments",
        with_segments(*[jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes((n, 255)) + bytes(65_000)) for n in range(1, 256)]),
    )
    yield "EXIF: a directory that names itself", exif_loop()
    yield "EXIF: a JPEG with 300 EXIF segments", with_segments(*[jpeg_segment(0xE1, b"Exif\0\0" + bytes(60_000))] * 300)
    yield "scans: a progressive JPEG with 2000 of them", scan_bomb(2000)
    yield "frames: a GIF with 100000", gif(100_000)
    yield "frames: a GIF with 1500 on 8000 x 6000", gif(1500, (8000, 6000))
    for disposal in (1, 2, 3):
        yield f"dimensions: a GIF whose second frame has 65535 x 65535, disposal {disposal}", growing_gif(disposal)
    yield "LZW: a GIF of 46 million pixels", lzw_bomb()
    yield "dimensions: a GIF of 65535 x 65535", gif(1, (65535, 65535))
    yield "dimensions: a WebP of 16777216 x 16777216", webp_header(1 << 24, 1 << 24)
    yield "dimensions: an AVIF of 2^31 x 2^31", avif_sized(2**31, 2**31)
    yield "dimensions: an AVIF that is smaller than it says", avif_sized(6000, 6000)
    yield (
        "pages: a TIFF with 3000",
        encoded(Image.new("1", (8, 8)), "TIFF", save_all=True, append_images=[Image.new("1", (8, 8))] * 2999),
    )
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "\x1b[2J\n" * 100)
    yield "text: a PNG with terminal codes", encoded(noise(), "PNG", pnginfo=info)
