"""Small files that claim to be large ones."""

import struct
import zlib

SIDE = 16_000  # 256 million pixels, a gigabyte with alpha


def png(side=SIDE):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    pixels = zlib.compress(bytes(4 * side + 1)) if side < 20_000 else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def bmp(side=SIDE):
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", 100, 0, 54, 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(100)


def ppm(side=SIDE):
    return b"P6 %d %d 255\n" % (side, side) + bytes(100)


def tiff(side=SIDE):
    tags = [(256, side), (257, side), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, side), (279, 100)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(200)


def jpeg(side=SIDE):
    frame = struct.pack(">BHHB", 8, side, side, 1) + b"\x01\x11\x00"
    return (
        b"\xff\xd8\xff\xc0"
        + struct.pack(">H", len(frame) + 2)
        + frame
        + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0"
        + bytes(100)
    )


def webp(side=SIDE):
    size = (side - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + size + size
    # An animation with one empty frame: libwebp takes the canvas's memory when it is opened.
    frame = bytes(6) + bytes(6) + bytes(4) + b"VP8L" + struct.pack("<I", 6) + b"\x2f\0\0\0\x10\x07"
    body += b"ANIM" + struct.pack("<IIH", 6, 0, 0) + b"ANMF" + struct.pack("<I", len(frame)) + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif(side=SIDE, frames=3, delay=10):
    head = b"GIF89a" + struct.pack("<HH", side, side) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    frame = b"\x21\xf9\x04\0" + struct.pack("<H", delay) + b"\0\0"
    frame += b"\x2c" + struct.pack("<HHHH", 0, 0, min(side, 2), 1) + b"\0" + b"\x02\x02\x44\x01\0"
    return head + frame * frames + b"\x3b"
