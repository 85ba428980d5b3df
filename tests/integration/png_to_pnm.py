#!/usr/bin/env python3
"""Decodes a PNG of 8-bit gray or RGB with Python's zlib, strictly, and writes
it as PGM or PPM: an opinion on PNG files that does not come from their writer.

usage: png_to_pnm.py IN.png OUT
"""
import struct
import sys
import zlib


def chunks(data):
    at = 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        if zlib.crc32(kind + body) != checksum:
            sys.exit(f"the checksum of chunk {kind} is wrong")
        yield kind, body
        at += 12 + length


def main():
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        sys.exit("this is no PNG")
    parts = list(chunks(data))
    if parts[0][0] != b"IHDR" or parts[-1] != (b"IEND", b""):
        sys.exit("it does not begin with IHDR and end with IEND")
    width, height, depth, colour, *methods = struct.unpack(">IIBBBBB", parts[0][1])
    if depth != 8 or colour not in (0, 2) or methods != [0, 0, 0]:
        sys.exit("it is neither gray nor RGB of 8 bits")
    inflater = zlib.decompressobj()
    rows = inflater.decompress(b"".join(body for kind, body in parts if kind == b"IDAT"))
    if not inflater.eof or inflater.unused_data:
        sys.exit("the compressed stream does not end where it should")
    stride = 1 + width * (3 if colour == 2 else 1)
    if len(rows) != stride * height or any(rows[y * stride] != 0 for y in range(height)):
        sys.exit("the rows are not as many as they should be, or filtered")
    with open(sys.argv[2], "wb") as file:
        file.write(f"P{6 if colour == 2 else 5}\n{width} {height}\n255\n".encode())
        for y in range(height):
            file.write(rows[y * stride + 1 : (y + 1) * stride])


if __name__ == "__main__":
    main()
