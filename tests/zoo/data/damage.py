"""What happens to files: bits flip, disks lose ranges, downloads stop, headers lie."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import av

Damage = Callable[[bytes, random.Random], bytes]


def header_of(content: bytes) -> range:
    """Where a file keeps its description: the `moov` of an MP4, else its first kilobyte."""
    at = content.find(b"moov")
    return range(at, min(len(content), at + 3000)) if at > 0 else range(min(len(content), 1000))


def flip_bits(where: str, count: int) -> Damage:
    """Single bits, in the `header`, the last kilobytes (`index`), or all over the file (`pictures`)."""

    def damage(content: bytes, draw: random.Random) -> bytes:
        damaged = bytearray(content)
        places = {
            "header": header_of(content),
            "index": range(max(0, len(content) - 3000), len(content)),
            "pictures": range(len(content) // 10, len(content)),
        }[where]
        for _ in range(count):
            damaged[draw.choice(places)] ^= 1 << draw.randrange(8)
        return bytes(damaged)

    return damage


def cut_end(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(1, len(content))]


def cut_beginning(content: bytes, draw: random.Random) -> bytes:
    return content[draw.randrange(1, len(content) // 2) :]


def cut_header(content: bytes, draw: random.Random) -> bytes:
    return content[draw.randrange(1, 200) :]


def range_of(content: bytes, draw: random.Random) -> tuple[int, int]:
    length = draw.choice([16, 300, 2000, len(content) // 8])
    begin = draw.randrange(max(1, len(content) - length))
    return begin, min(len(content), begin + length)


def zero_range(content: bytes, draw: random.Random) -> bytes:
    begin, end = range_of(content, draw)
    return content[:begin] + bytes(end - begin) + content[end:]


def random_range(content: bytes, draw: random.Random) -> bytes:
    begin, end = range_of(content, draw)
    return content[:begin] + draw.randbytes(end - begin) + content[end:]


def lose_range(content: bytes, draw: random.Random) -> bytes:
    begin, end = range_of(content, draw)
    return content[:begin] + content[end:]


def repeat_range(content: bytes, draw: random.Random) -> bytes:
    begin, end = range_of(content, draw)
    return content[:end] + content[begin:]


def swap_ranges(content: bytes, draw: random.Random) -> bytes:
    third = len(content) // 3
    begin, other = draw.randrange(third), draw.randrange(2 * third, len(content) - 1)
    length = min(draw.choice([16, 300, 2000]), len(content) - other)
    damaged = bytearray(content)
    damaged[begin : begin + length] = content[other : other + length]
    damaged[other : other + length] = content[begin : begin + length]
    return bytes(damaged)


def claim_most(content: bytes, draw: random.Random) -> bytes:
    """A number of the header becomes the largest there is."""
    places = header_of(content)
    at = draw.randrange(places.start, max(places.start + 1, places.stop - 4))
    return content[:at] + b"\xff\xff\xff\xff" + content[at + 4 :]


def claim_nothing(content: bytes, draw: random.Random) -> bytes:
    """A number of the header becomes zero: boxes and elements without size, rates without denominator."""
    places = header_of(content)
    at = draw.randrange(places.start, max(places.start + 1, places.stop - 4))
    return content[:at] + bytes(4) + content[at + 4 :]


DAMAGES: dict[str, Damage] = {
    "one bit of the header": flip_bits("header", 1),
    "20 bits of the header": flip_bits("header", 20),
    "20 bits of the index": flip_bits("index", 20),
    "one bit of the pictures": flip_bits("pictures", 1),
    "200 bits of the pictures": flip_bits("pictures", 200),
    "cut off at the end": cut_end,
    "cut off at the beginning": cut_beginning,
    "header cut": cut_header,
    "a range zeroed": zero_range,
    "a range overwritten": random_range,
    "a range lost": lose_range,
    "a range repeated": repeat_range,
    "ranges exchanged": swap_ranges,
    "a number of the header at most": claim_most,
    "a number of the header zero": claim_nothing,
}


# Packets in the wrong place ------------------------------------------------------------------------------------------


def repacked(source: Path, path: Path, change: Callable[[list], Sequence]) -> None:
    """The film's packets, changed, under its own header."""
    with av.open(str(source), metadata_errors="ignore") as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in change([packet for packet in old.demux(old.streams.video[0]) if packet.size]):
            packet.stream = stream
            try:
                new.mux(packet)
            except (av.error.FFmpegError, ValueError):
                continue  # the muxer refuses what no file could hold


def exchange_packets(draw: random.Random) -> Callable[[list], Sequence]:
    """Two packets' contents change places, their times stay."""

    def change(packets: list) -> list:
        contents = [bytes(packet) for packet in packets]
        for _ in range(3):
            one, other = draw.randrange(len(packets)), draw.randrange(len(packets))
            contents[one], contents[other] = contents[other], contents[one]
        return [with_content(packet, content) for packet, content in zip(packets, contents, strict=True)]

    return change


def lose_packets(draw: random.Random) -> Callable[[list], Sequence]:
    return lambda packets: [packet for packet in packets if draw.random() > 0.15]


def jump_in_time(draw: random.Random) -> Callable[[list], Sequence]:
    """From some packet on the clock is far ahead."""

    def change(packets: list) -> list:
        at, by = draw.randrange(1, len(packets)), draw.choice([10**6, 2**31 - 2**20, 2**40])
        for packet in packets[at:]:
            packet.dts, packet.pts = (None if stamp is None else stamp + by for stamp in (packet.dts, packet.pts))
        return packets

    return change


def empty_packets(draw: random.Random) -> Callable[[list], Sequence]:
    def change(packets: list) -> list:
        return [with_content(packet, b"\0" * 3) if draw.random() < 0.1 else packet for packet in packets]

    return change


def with_content(packet, content: bytes):
    changed = av.Packet(content)
    changed.pts, changed.dts, changed.duration = packet.pts, packet.dts, packet.duration
    changed.time_base, changed.is_keyframe = packet.time_base, packet.is_keyframe
    return changed


REPACKINGS = {
    "packets exchanged": exchange_packets,
    "packets lost": lose_packets,
    "packets emptied": empty_packets,
    "a jump in time": jump_in_time,
}


def another_films_pictures(source: Path, other: Path, path: Path) -> None:
    """One film's header over another film's packets."""
    with (
        av.open(str(source), metadata_errors="ignore") as old,
        av.open(str(other), metadata_errors="ignore") as wrong,
        av.open(str(path), "w") as new,
    ):
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in wrong.demux(wrong.streams.video[0]):
            if packet.size:
                packet.stream = stream
                new.mux(packet)


# Claims --------------------------------------------------------------------------------------------------------------


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def patched(content: bytes, mark: bytes, offset: int, value: bytes) -> bytes:
    """`value` at `offset` bytes behind the first `mark`."""
    at = content.index(mark) + offset
    return content[:at] + value + content[at + len(value) :]


def exp_golomb(value: int) -> str:
    """Bits of an unsigned number (ITU-T H.264, 9.1)."""
    bits = f"{value + 1:b}"
    return "0" * (len(bits) - 1) + bits


def h264_of_100000_pixels(_: bytes) -> bytes:
    """A stream whose sequence parameters claim 100,000 x 100,000 pixels (ITU-T H.264, 7.3.2.1.1)."""
    macroblocks = exp_golomb(100_000 // 16 - 1)
    sequence = (
        f"{66:08b}{0:08b}{51:08b}"  # profile, constraints, level
        + exp_golomb(0) * 4  # id, frame numbers, order count type, its bits
        + exp_golomb(1) + "0" + macroblocks + macroblocks  # reference frames, no gaps, width, height
        + "1" "1" "0" "0" "1"  # frames only, direct inference, no cropping, no usability information, stop
    )  # fmt: skip
    sequence += "0" * (-len(sequence) % 8)
    data = int(sequence, 2).to_bytes(len(sequence) // 8, "big")
    picture = exp_golomb(0) + exp_golomb(0) + "00" + exp_golomb(0) * 3 + "000" + exp_golomb(0) * 3 + "0001"
    picture += "0" * (-len(picture) % 8)
    parameters = int(picture, 2).to_bytes(len(picture) // 8, "big")
    slices = (b"\0\0\1\x65" + b"\x88\x84\x00\x10" + b"\x5a" * 200) * 10
    return b"\0\0\1\x67" + data + b"\0\0\1\x68" + parameters + slices


def png_of_100000_pixels(_: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(100_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def jpeg_of_65500_pixels(content: bytes) -> bytes:
    return patched(content, b"\xff\xc0", 5, struct.pack(">HH", 65500, 65500))


def gif_of_65535_pixels(content: bytes) -> bytes:
    content = content[:6] + b"\xff\xff\xff\xff" + content[10:]
    return patched(content, b"\x2c\0\0\0\0", 5, b"\xff\xff\xff\xff")


def avi_of_100000_pixels(content: bytes) -> bytes:
    size = struct.pack("<ii", 100_000, 100_000)
    return patched(patched(content, b"strf", 12, size), b"avih", 8 + 32, size)


def mp4_of_65535_pixels(content: bytes) -> bytes:
    entry = next(kind for kind in (b"avc1", b"hev1", b"hvc1") if content.count(kind) and content.index(b"stsd"))
    at = content.index(entry, content.index(b"stsd"))
    content = content[: at + 28] + b"\xff\xff\xff\xff" + content[at + 32 :]
    return patched(content, b"tkhd", 4 + 76, struct.pack(">II", (100_000 << 16) & 0xFFFFFFFF, 0xFFFFFFFF))


def mkv_of_65535_pixels(content: bytes) -> bytes:
    return patched(patched(content, b"\xb0\x82", 2, b"\xff\xff"), b"\xba\x82", 2, b"\xff\xff")


def mp4_full_of(name: bytes, offset: int, value: bytes) -> Callable[[bytes], bytes]:
    return lambda content: patched(content, name, 4 + offset, value)


def mp4_inside_itself(content: bytes) -> bytes:
    """Every chunk of pictures begins where the index does."""
    at = content.index(b"stco")
    (count,) = struct.unpack_from(">I", content, at + 8)
    place = struct.pack(">I", content.index(b"moov") - 4)
    return content[: at + 12] + place * count + content[at + 12 + 4 * count :]


def mp4_of_nested_boxes(_: bytes) -> bytes:
    inner = b""
    for _ in range(5000):
        inner = box(b"moov", inner)
    return box(b"ftyp", b"isom\0\0\0\0isom") + inner


def mkv_without_end(content: bytes) -> bytes:
    """Segment and clusters of unknown size, and the same clusters over and over."""
    at = content.index(b"\x1f\x43\xb6\x75")
    return content[:at] + content[at : at + 8000] * 40


def avi_index_of_itself(content: bytes) -> bytes:
    """Every entry of the index leads to the index."""
    at = content.rindex(b"idx1")
    (size,) = struct.unpack_from("<I", content, at + 4)
    movi = content.index(b"movi")
    entries = bytearray(content[at + 8 : at + 8 + size])
    for entry in range(0, size, 16):
        struct.pack_into("<I", entries, entry + 8, at - movi)
    return content[: at + 8] + bytes(entries) + content[at + 8 + size :]


CLAIMS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "H.264 stream of 100,000 x 100,000 pixels": ("h264", h264_of_100000_pixels),
    "PNG of 100,000 x 100,000 pixels": ("png", png_of_100000_pixels),
    "JPEG of 65,500 x 65,500 pixels": ("jpg", jpeg_of_65500_pixels),
    "GIF of 65,535 x 65,535 pixels": ("gif", gif_of_65535_pixels),
    "AVI of 100,000 x 100,000 pixels": ("avi", avi_of_100000_pixels),
    "MP4 of 65,535 x 65,535 pixels": ("mp4", mp4_of_65535_pixels),
    "MKV of 65,535 x 65,535 pixels": ("mkv", mkv_of_65535_pixels),
    "MP4 of 2**32 samples": ("mp4", mp4_full_of(b"stsz", 8, b"\xff\xff\xff\xff")),
    "MP4 of 2**32 time steps": ("mp4", mp4_full_of(b"stts", 8, b"\xff\xff\xff\xff")),
    "MP4 whose frames last 2**32 ticks": ("mp4", mp4_full_of(b"stts", 12, b"\xff\xff\xff\xff")),
    "MP4 that lasts 2**32 ticks": ("mp4", mp4_full_of(b"mdhd", 16, b"\xff\xff\xff\xff")),
    "MP4 of 2**32 ticks a second": ("mp4", mp4_full_of(b"mdhd", 12, b"\xff\xff\xff\xff")),
    "MP4 of no ticks a second": ("mp4", mp4_full_of(b"mdhd", 12, bytes(4))),
    "MP4 of 2**32 edits": ("mp4", mp4_full_of(b"elst", 4, b"\xff\xff\xff\xff")),
    "MP4 whose edit begins behind the end": ("mp4", mp4_full_of(b"elst", 12, b"\x7f\xff\xff\xff")),
    "MP4 whose pictures are its index": ("mp4", mp4_inside_itself),
    "MP4 of boxes in boxes in boxes": ("mp4", mp4_of_nested_boxes),
    "MKV that goes round in circles": ("mkv", mkv_without_end),
    "AVI whose index leads to itself": ("avi", avi_index_of_itself),
    "AVI of 2**32 frames": ("avi", lambda content: patched(content, b"avih", 8 + 16, b"\xff\xff\xff\xff")),
    "AVI of 2**32 frames a second": (
        "avi",
        lambda content: patched(content, b"strh", 8 + 20, b"\1\0\0\0\xff\xff\xff\xff"),
    ),
    "AVI of no frames a second": ("avi", lambda content: patched(content, b"strh", 28, bytes(8))),
}
"""Name, the kind of film it starts from, and how it is changed."""
