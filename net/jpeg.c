/* NV12 and YUYV go to libjpeg as the planes that they hold ("raw data"), so
 * that neither colours nor chroma are converted twice. libjpeg wants such
 * planes in groups of whole blocks, 16 columns (two chroma blocks) wide: rows
 * are split and padded in a scratch area of the encoder. */
#include "net/jpeg.h"

#include <errno.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#define LUMA_ROWS     16 /* in a group of NV12; YUYV takes 8 */
#define CHROMA_ROWS   8
#define FIRST_BYTES   (64u << 10)
#define WIDTH_MAX_PX  SL_FRAME_WIDTH_MAX_PX
#define CHROMA_MAX_PX (WIDTH_MAX_PX / 2)

struct sl_jpeg_encoder {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr destination;
    jmp_buf failed;
    int code; /* what a failure means to the caller */
    char message[JMSG_LENGTH_MAX];
    uint8_t *bytes;
    size_t capacity;
    size_t size;
    uint8_t luma[LUMA_ROWS][WIDTH_MAX_PX];
    uint8_t cb[CHROMA_ROWS][CHROMA_MAX_PX];
    uint8_t cr[CHROMA_ROWS][CHROMA_MAX_PX];
};

/* ---- libjpeg's callbacks ---- */

_Noreturn static void on_error(j_common_ptr jpeg)
{
    struct sl_jpeg_encoder *encoder = jpeg->client_data;
    encoder->code = jpeg->err->msg_code == JERR_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
    jpeg->err->format_message(jpeg, encoder->message);
    longjmp(encoder->failed, 1);
}

static void on_message(j_common_ptr jpeg)
{
    (void)jpeg;
}

static void output_begin(j_compress_ptr jpeg)
{
    struct sl_jpeg_encoder *encoder = jpeg->client_data;
    encoder->size = 0;
    encoder->destination.next_output_byte = encoder->bytes;
    encoder->destination.free_in_buffer = encoder->capacity;
}

/* libjpeg calls this only when the whole buffer is full. */
static boolean output_full(j_compress_ptr jpeg)
{
    struct sl_jpeg_encoder *encoder = jpeg->client_data;
    const size_t used = encoder->capacity;
    uint8_t *bytes = realloc(encoder->bytes, 2 * used);
    if (bytes == NULL)
        ERREXIT1(jpeg, JERR_OUT_OF_MEMORY, 0);
    encoder->bytes = bytes;
    encoder->capacity = 2 * used;
    encoder->destination.next_output_byte = bytes + used;
    encoder->destination.free_in_buffer = used;
    return TRUE;
}

static void output_end(j_compress_ptr jpeg)
{
    struct sl_jpeg_encoder *encoder = jpeg->client_data;
    encoder->size = encoder->capacity - encoder->destination.free_in_buffer;
}

/* ---- planes ---- */

/* Repeats the last sample up to whole groups, so that padding costs few bits. */
static void pad(uint8_t *row, uint32_t used, uint32_t padded)
{
    if (used < padded)
        memset(row + used, row[used - 1], padded - used);
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void split_nv12(struct sl_jpeg_encoder *encoder, const struct sl_frame_info *info,
                       const uint8_t *pixels, uint32_t y0, uint32_t padded_px)
{
    for (uint32_t i = 0; i < LUMA_ROWS; i++) {
        const uint32_t y = least(y0 + i, info->height_px - 1);
        memcpy(encoder->luma[i],
               pixels + info->planes[0].offset_bytes + (size_t)y * info->planes[0].stride_bytes,
               info->width_px);
        pad(encoder->luma[i], info->width_px, padded_px);
    }
    for (uint32_t i = 0; i < CHROMA_ROWS; i++) {
        const uint32_t y = least(y0 / 2 + i, info->height_px / 2 - 1);
        const uint8_t *row =
            pixels + info->planes[1].offset_bytes + (size_t)y * info->planes[1].stride_bytes;
        for (uint32_t x = 0; x < info->width_px / 2; x++) {
            encoder->cb[i][x] = row[2 * x];
            encoder->cr[i][x] = row[2 * x + 1];
        }
        pad(encoder->cb[i], info->width_px / 2, padded_px / 2);
        pad(encoder->cr[i], info->width_px / 2, padded_px / 2);
    }
}

static void split_yuyv(struct sl_jpeg_encoder *encoder, const struct sl_frame_info *info,
                       const uint8_t *pixels, uint32_t y0, uint32_t padded_px)
{
    for (uint32_t i = 0; i < CHROMA_ROWS; i++) {
        const uint32_t y = least(y0 + i, info->height_px - 1);
        const uint8_t *row =
            pixels + info->planes[0].offset_bytes + (size_t)y * info->planes[0].stride_bytes;
        for (uint32_t x = 0; x < info->width_px / 2; x++) {
            encoder->luma[i][2 * x] = row[4 * x];
            encoder->cb[i][x] = row[4 * x + 1];
            encoder->luma[i][2 * x + 1] = row[4 * x + 2];
            encoder->cr[i][x] = row[4 * x + 3];
        }
        pad(encoder->luma[i], info->width_px, padded_px);
        pad(encoder->cb[i], info->width_px / 2, padded_px / 2);
        pad(encoder->cr[i], info->width_px / 2, padded_px / 2);
    }
}

static void encode_planes(struct sl_jpeg_encoder *encoder, const struct sl_frame_info *info,
                          const uint8_t *pixels)
{
    struct jpeg_compress_struct *jpeg = &encoder->jpeg;
    const int vertical = info->fourcc == SL_FORMAT_NV12 ? 2 : 1;
    const uint32_t group_rows = 8u * (uint32_t)vertical;
    const uint32_t padded_px = (info->width_px + 15) / 16 * 16;
    jpeg->raw_data_in = TRUE;
    jpeg->comp_info[0].h_samp_factor = 2;
    jpeg->comp_info[0].v_samp_factor = vertical;
    for (int i = 1; i < 3; i++) {
        jpeg->comp_info[i].h_samp_factor = 1;
        jpeg->comp_info[i].v_samp_factor = 1;
    }

    JSAMPROW luma[LUMA_ROWS], cb[CHROMA_ROWS], cr[CHROMA_ROWS];
    JSAMPARRAY planes[3] = {luma, cb, cr};
    for (int i = 0; i < LUMA_ROWS; i++)
        luma[i] = encoder->luma[i];
    for (int i = 0; i < CHROMA_ROWS; i++) {
        cb[i] = encoder->cb[i];
        cr[i] = encoder->cr[i];
    }
    jpeg_start_compress(jpeg, TRUE);
    for (uint32_t y = 0; y < info->height_px; y += group_rows) {
        if (info->fourcc == SL_FORMAT_NV12)
            split_nv12(encoder, info, pixels, y, padded_px);
        else
            split_yuyv(encoder, info, pixels, y, padded_px);
        jpeg_write_raw_data(jpeg, planes, group_rows);
    }
}

static void encode_rows(struct sl_jpeg_encoder *encoder, const struct sl_frame_info *info,
                        const uint8_t *pixels)
{
    jpeg_start_compress(&encoder->jpeg, TRUE);
    for (uint32_t y = 0; y < info->height_px; y++) {
        /* libjpeg takes no const rows, and only reads them. */
        JSAMPROW row = (JSAMPROW)(uintptr_t)(pixels + info->planes[0].offset_bytes +
                                             (size_t)y * info->planes[0].stride_bytes);
        jpeg_write_scanlines(&encoder->jpeg, &row, 1);
    }
}

static void encode(struct sl_jpeg_encoder *encoder, const struct sl_frame_info *info,
                   const uint8_t *pixels, int quality)
{
    struct jpeg_compress_struct *jpeg = &encoder->jpeg;
    jpeg->dest = &encoder->destination;
    jpeg->image_width = info->width_px;
    jpeg->image_height = info->height_px;
    switch (info->fourcc) {
    case SL_FORMAT_GRAY8:
        jpeg->in_color_space = JCS_GRAYSCALE;
        jpeg->input_components = 1;
        break;
    case SL_FORMAT_BGR24:
        jpeg->in_color_space = JCS_EXT_BGR;
        jpeg->input_components = 3;
        break;
    case SL_FORMAT_BGRA:
        jpeg->in_color_space = JCS_EXT_BGRX;
        jpeg->input_components = 4;
        break;
    default:
        jpeg->in_color_space = JCS_YCbCr;
        jpeg->input_components = 3;
    }
    jpeg_set_defaults(jpeg); /* gray stays gray; all else becomes YCbCr 4:2:0 */
    jpeg_set_quality(jpeg, quality, TRUE);
    if (jpeg->in_color_space == JCS_YCbCr)
        encode_planes(encoder, info, pixels);
    else
        encode_rows(encoder, info, pixels);
    jpeg_finish_compress(jpeg);
}

/* ---- the interface ---- */

static bool create_jpeg(struct sl_jpeg_encoder *encoder)
{
    if (setjmp(encoder->failed) != 0)
        return false;
    jpeg_create_compress(&encoder->jpeg);
    return true;
}

struct sl_jpeg_encoder *sl_jpeg_encoder_create(void)
{
    struct sl_jpeg_encoder *encoder = calloc(1, sizeof *encoder);
    if (encoder == NULL)
        return NULL;
    encoder->bytes = malloc(FIRST_BYTES);
    encoder->capacity = FIRST_BYTES;
    encoder->jpeg.err = jpeg_std_error(&encoder->errors);
    encoder->errors.error_exit = on_error;
    encoder->errors.output_message = on_message;
    encoder->destination.init_destination = output_begin;
    encoder->destination.empty_output_buffer = output_full;
    encoder->destination.term_destination = output_end;
    encoder->jpeg.client_data = encoder; /* creation keeps err and client_data */
    if (encoder->bytes == NULL || !create_jpeg(encoder)) {
        sl_jpeg_encoder_destroy(encoder);
        return NULL;
    }
    return encoder;
}

void sl_jpeg_encoder_destroy(struct sl_jpeg_encoder *encoder)
{
    if (encoder == NULL)
        return;
    jpeg_destroy_compress(&encoder->jpeg);
    free(encoder->bytes);
    free(encoder);
}

int sl_jpeg_encode(struct sl_jpeg_encoder *encoder, const struct sl_frame_info *info,
                   const void *pixels, int quality, const uint8_t **bytes, size_t *size,
                   struct sl_error *err)
{
    if (quality < 1 || quality > 100)
        return sl_error_set(err, -EINVAL, "JPEG quality %d is not within 1..100", quality);
    if (info->fourcc == SL_FORMAT_MJPEG)
        return sl_error_set(err, -ENOTSUP, "the frame is a JPEG already");
    /* The layout may come from a peer; from here on every row is in bounds. */
    if (sl_frame_check(info, info->size_bytes, err) != 0) {
        char name[5];
        const uint32_t known = sl_frame_format_parse(sl_frame_format_name(info->fourcc, name));
        return known == 0 ? -ENOTSUP : -EINVAL;
    }
    if (setjmp(encoder->failed) != 0) {
        jpeg_abort_compress(&encoder->jpeg);
        return sl_error_set(err, encoder->code, "JPEG encoder: %s", encoder->message);
    }
    encode(encoder, info, pixels, quality);
    *bytes = encoder->bytes;
    *size = encoder->size;
    return 0;
}
