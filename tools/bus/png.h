/* The smallest PNG writer: 8 bits a channel, rows as they come, stored and not
 * compressed, so that it needs no library. ISO/IEC 15948; RFC 1950, 1951. */
#ifndef SL_TOOLS_BUS_PNG_H
#define SL_TOOLS_BUS_PNG_H

#include <stdint.h>
#include <stdio.h>

struct bus_png {
    FILE *to;
    uint32_t row_bytes;
    uint32_t rows_left;
    uint32_t adler_a, adler_b; /* of all rows so far */
};

/* `channels`: 1 (gray) or 3 (red, green, blue); a row has at most 65534 bytes.
 * Then each row, from the top, then the end. What cannot be written shows in
 * ferror(to). */
void bus_png_begin(struct bus_png *png, FILE *to, uint32_t width_px, uint32_t height_px,
                   uint32_t channels);
void bus_png_row(struct bus_png *png, const uint8_t *row);
void bus_png_end(struct bus_png *png);

#endif
