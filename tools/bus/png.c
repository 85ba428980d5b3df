#include "tools/bus/png.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define ADLER_MODULUS 65521u

static void put_be32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* ISO/IEC 15948, annex D, four bits at a time. */
static uint32_t crc(uint32_t value, const uint8_t *bytes, size_t size)
{
    static const uint32_t NIBBLES[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    for (size_t i = 0; i < size; i++) {
        value ^= bytes[i];
        value = value >> 4 ^ NIBBLES[value & 15];
        value = value >> 4 ^ NIBBLES[value & 15];
    }
    return value;
}

/* A chunk; its content comes in two pieces. */
static void put_chunk(FILE *to, const char *type, const void *head, size_t head_size,
                      const void *body, size_t body_size)
{
    uint8_t begin[8], end[4];
    put_be32(begin, (uint32_t)(head_size + body_size));
    memcpy(begin + 4, type, 4);
    uint32_t sum = crc(0xffffffff, begin + 4, 4);
    sum = crc(sum, head, head_size);
    sum = crc(sum, body, body_size);
    put_be32(end, ~sum);
    fwrite(begin, 1, sizeof begin, to);
    fwrite(head, 1, head_size, to);
    fwrite(body, 1, body_size, to);
    fwrite(end, 1, sizeof end, to);
}

static void add_to_adler(struct bus_png *png, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        png->adler_a = (png->adler_a + bytes[i]) % ADLER_MODULUS;
        png->adler_b = (png->adler_b + png->adler_a) % ADLER_MODULUS;
    }
}

void bus_png_begin(struct bus_png *png, FILE *to, uint32_t width_px, uint32_t height_px,
                   uint32_t channels)
{
    static const uint8_t SIGNATURE[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    uint8_t header[13] = {0}; /* width, height, depth, colour type, three methods: 0 */
    assert(width_px * channels <= 65534 && height_px > 0);
    *png = (struct bus_png){
        .to = to, .row_bytes = width_px * channels, .rows_left = height_px, .adler_a = 1};
    put_be32(header, width_px);
    put_be32(header + 4, height_px);
    header[8] = 8;
    header[9] = channels == 1 ? 0 : 2;
    fwrite(SIGNATURE, 1, sizeof SIGNATURE, to);
    put_chunk(to, "IHDR", header, sizeof header, "", 0);
    put_chunk(to, "IDAT", "\x78\x01", 2, "", 0); /* zlib: deflate, 32 KiB window */
}

/* A stored deflate block in a chunk of its own: last one or not, length, its
 * complement, then the row with the number of its filter, 0, before it. */
void bus_png_row(struct bus_png *png, const uint8_t *row)
{
    const uint32_t length = png->row_bytes + 1;
    png->rows_left--;
    const uint8_t head[6] = {png->rows_left == 0, (uint8_t)length,         (uint8_t)(length >> 8),
                             (uint8_t)~length,    (uint8_t)(~length >> 8), 0};
    add_to_adler(png, head + 5, 1);
    add_to_adler(png, row, png->row_bytes);
    put_chunk(png->to, "IDAT", head, sizeof head, row, png->row_bytes);
}

void bus_png_end(struct bus_png *png)
{
    uint8_t adler[4];
    assert(png->rows_left == 0);
    put_be32(adler, png->adler_b << 16 | png->adler_a);
    put_chunk(png->to, "IDAT", adler, sizeof adler, "", 0);
    put_chunk(png->to, "IEND", "", 0, "", 0);
}
