/* Both kinds of file end in the same place: rows of interleaved Y Cb Cr are
 * packed into NV12 and YUYV here, while GRAY8 and BGR24 are written directly
 * by libjpeg or from the file's bytes.
 *
 * libjpeg reports errors by a callback that must not return. It longjmps to
 * run_jpeg(), which holds no variable that changes after setjmp; everything
 * else lives in the decoder or in functions called below it. */
#include "hal/camera/image.h"

#include <errno.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

/* A progressive picture of a few bytes a scan can ask for hours of work.
 * Encoders use some ten scans. */
#define SCANS_MAX      64
#define JPEG_BYTES_MAX (256L << 20)

struct sl_image_decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    char message[JMSG_LENGTH_MAX];
    uint8_t rows[2][SL_FRAME_WIDTH_MAX_PX * 3]; /* Y Cb Cr, before packing */
};

/* What to do, for the functions below run_jpeg(). */
struct job {
    const uint8_t *bytes;
    size_t size;
    uint32_t fourcc;
    uint8_t *memory;
    size_t capacity;
    struct sl_frame_info *info;
    uint32_t width_px; /* of the file */
    uint32_t height_px;
    struct sl_error *err;
};

/* ---- colours ---- */

enum row_kind { ROW_GRAY, ROW_RGB, ROW_YCC };

static uint8_t luma_of(const uint8_t *rgb)
{
    /* 0.299, 0.587, 0.114 in units of 1/65536; they add up to 65536. */
    return (uint8_t)((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 32768u) >> 16);
}

/* `ycc` may be the same memory as a row of three bytes a pixel. */
static void row_to_ycc(enum row_kind kind, const uint8_t *row, uint8_t *ycc, uint32_t width_px)
{
    for (uint32_t x = 0; x < width_px; x++) {
        uint8_t *out = ycc + 3 * (size_t)x;
        if (kind == ROW_GRAY) {
            out[0] = row[x];
            out[1] = 128;
            out[2] = 128;
            continue;
        }
        const uint8_t *in = row + 3 * (size_t)x;
        if (kind == ROW_YCC) {
            memmove(out, in, 3);
            continue;
        }
        /* Cb = 128 - 0.168736 R - 0.331264 G + 0.5 B, and Cr alike. The offset
         * keeps the sums positive; half a unit less than a full rounding step
         * keeps pure blue and pure red at 255. */
        const int32_t r = in[0], g = in[1], b = in[2];
        const int32_t offset = (128 << 16) + 32767;
        const uint8_t luma = luma_of(in);
        out[0] = luma;
        out[1] = (uint8_t)((-11059 * r - 21709 * g + 32768 * b + offset) >> 16);
        out[2] = (uint8_t)((32768 * r - 27439 * g - 5329 * b + offset) >> 16);
    }
}

/* Packs rows y and y + 1 of the picture into the two planes. */
static void pack_nv12(const struct job *job, uint32_t y, const uint8_t *upper, const uint8_t *lower)
{
    const struct sl_frame_info *info = job->info;
    uint8_t *luma =
        job->memory + info->planes[0].offset_bytes + (size_t)y * info->planes[0].stride_bytes;
    uint8_t *below = luma + info->planes[0].stride_bytes;
    uint8_t *chroma =
        job->memory + info->planes[1].offset_bytes + (size_t)(y / 2) * info->planes[1].stride_bytes;
    for (uint32_t x = 0; x < info->width_px; x += 2) {
        const uint8_t *a = upper + 3 * (size_t)x;
        const uint8_t *b = lower + 3 * (size_t)x;
        luma[x] = a[0];
        luma[x + 1] = a[3];
        below[x] = b[0];
        below[x + 1] = b[3];
        chroma[x] = (uint8_t)((a[1] + a[4] + b[1] + b[4] + 2) / 4);
        chroma[x + 1] = (uint8_t)((a[2] + a[5] + b[2] + b[5] + 2) / 4);
    }
}

static void pack_yuyv(const struct job *job, uint32_t y, const uint8_t *row)
{
    uint8_t *out = job->memory + (size_t)y * job->info->planes[0].stride_bytes;
    for (uint32_t x = 0; x < job->info->width_px; x += 2) {
        const uint8_t *a = row + 3 * (size_t)x;
        *out++ = a[0];
        *out++ = (uint8_t)((a[1] + a[4] + 1) / 2);
        *out++ = a[3];
        *out++ = (uint8_t)((a[2] + a[5] + 1) / 2);
    }
}

/* ---- what both kinds of file share ---- */

static int check_size(uint64_t width_px, uint64_t height_px, struct sl_error *err)
{
    if (width_px == 0 || height_px == 0)
        return sl_error_set(err, -EPROTO, "the picture claims to be empty (%llu x %llu px)",
                            (unsigned long long)width_px, (unsigned long long)height_px);
    if (width_px > SL_FRAME_WIDTH_MAX_PX || height_px > SL_FRAME_HEIGHT_MAX_PX)
        return sl_error_set(err, -EPROTO, "the picture claims %llu x %llu px; at most %d x %d",
                            (unsigned long long)width_px, (unsigned long long)height_px,
                            SL_FRAME_WIDTH_MAX_PX, SL_FRAME_HEIGHT_MAX_PX);
    return 0;
}

/* Fills the layout of the output, and checks that it has room. */
static int prepare_output(struct job *job)
{
    uint32_t width_px = job->width_px;
    uint32_t height_px = job->height_px;
    if (job->fourcc == SL_FORMAT_NV12 || job->fourcc == SL_FORMAT_YUYV)
        width_px &= ~1u;
    if (job->fourcc == SL_FORMAT_NV12)
        height_px &= ~1u;
    if (sl_frame_layout(job->info, job->fourcc, width_px, height_px) != 0)
        return sl_error_set(job->err, -EPROTO,
                            "a picture of %u x %u px is too small for this format", job->width_px,
                            job->height_px);
    if (job->info->size_bytes > job->capacity)
        return sl_error_set(job->err, -ENOSPC, "the picture takes %u bytes, there is room for %zu",
                            job->info->size_bytes, job->capacity);
    return 0;
}

/* ---- JPEG ---- */

_Noreturn static void jpeg_failed(j_common_ptr jpeg)
{
    struct sl_image_decoder *decoder = jpeg->client_data;
    if (jpeg->err->msg_code == JERR_NO_BACKING_STORE) /* libjpeg's word for the limit set here */
        snprintf(decoder->message, sizeof decoder->message,
                 "decoding takes more than %ld MiB of memory; save it as a baseline JPEG",
                 JPEG_BYTES_MAX >> 20);
    else
        jpeg->err->format_message(jpeg, decoder->message);
    longjmp(decoder->failed, 1);
}

/* Warnings mean that libjpeg would go on with invented pixels: an error here.
 * Excepted are those after which the pixels are whole. */
static void jpeg_message(j_common_ptr jpeg, int level)
{
    if (level >= 0)
        return;
    switch (jpeg->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA: /* padding between segments, common with webcams */
    case JWRN_JFIF_MAJOR:
        return;
    default:
        jpeg_failed(jpeg);
    }
}

static void jpeg_no_output(j_common_ptr jpeg)
{
    (void)jpeg;
}

static void jpeg_progress(j_common_ptr jpeg)
{
    struct sl_image_decoder *decoder = jpeg->client_data;
    if (decoder->jpeg.input_scan_number > SCANS_MAX) {
        snprintf(decoder->message, sizeof decoder->message, "more than %d scans", SCANS_MAX);
        longjmp(decoder->failed, 1);
    }
}

static int jpeg_header(struct sl_image_decoder *decoder, struct job *job)
{
    jpeg_mem_src(&decoder->jpeg, job->bytes, (unsigned long)job->size);
    jpeg_read_header(&decoder->jpeg, TRUE);
    job->width_px = decoder->jpeg.image_width;
    job->height_px = decoder->jpeg.image_height;
    return check_size(job->width_px, job->height_px, job->err);
}

/* GRAY8 and BGR24: libjpeg writes the frame itself. */
static void jpeg_rows_direct(struct sl_image_decoder *decoder, const struct job *job)
{
    while (decoder->jpeg.output_scanline < decoder->jpeg.output_height) {
        uint8_t *row =
            job->memory + (size_t)decoder->jpeg.output_scanline * job->info->planes[0].stride_bytes;
        jpeg_read_scanlines(&decoder->jpeg, &row, 1);
    }
}

static void jpeg_rows_packed(struct sl_image_decoder *decoder, const struct job *job,
                             enum row_kind kind)
{
    for (uint32_t y = 0; y < job->height_px; y++) {
        uint8_t *ycc = decoder->rows[y % 2];
        /* Gray rows grow threefold: they are read into the other end of the
         * same buffer, and row_to_ycc() never overtakes its own reading. */
        uint8_t *row = ycc;
        if (kind == ROW_GRAY)
            row += 2 * (size_t)job->width_px;
        jpeg_read_scanlines(&decoder->jpeg, &row, 1);
        if (kind != ROW_YCC)
            row_to_ycc(kind, row, ycc, job->width_px);
        if (job->fourcc == SL_FORMAT_YUYV)
            pack_yuyv(job, y, ycc);
        else if (y % 2 == 1)
            pack_nv12(job, y - 1, decoder->rows[0], decoder->rows[1]);
    }
}

static int jpeg_pixels(struct sl_image_decoder *decoder, struct job *job)
{
    struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
    int failed = jpeg_header(decoder, job);
    if (failed)
        return failed;
    const J_COLOR_SPACE space = jpeg->jpeg_color_space;
    if (space != JCS_GRAYSCALE && space != JCS_YCbCr && space != JCS_RGB)
        return sl_error_set(job->err, -EPROTO,
                            "the JPEG has %d components that are not gray, YCbCr or RGB (CMYK?); "
                            "save it as an ordinary colour or grayscale JPEG",
                            jpeg->num_components);
    failed = prepare_output(job);
    if (failed)
        return failed;

    jpeg->mem->max_memory_to_use = JPEG_BYTES_MAX;
    jpeg->progress = &decoder->progress;
    enum row_kind kind = ROW_YCC;
    if (job->fourcc == SL_FORMAT_GRAY8) {
        jpeg->out_color_space = JCS_GRAYSCALE;
    } else if (job->fourcc == SL_FORMAT_BGR24) {
        jpeg->out_color_space = JCS_EXT_BGR;
    } else {
        jpeg->out_color_space = space;
        kind = space == JCS_GRAYSCALE ? ROW_GRAY : space == JCS_RGB ? ROW_RGB : ROW_YCC;
        /* Plain repetition, so that averaging gives back exactly the chroma
         * samples of a picture that is 4:2:0 (for YUYV: 4:2:2) already. */
        jpeg->do_fancy_upsampling = FALSE;
    }
    jpeg_start_decompress(jpeg);
    if (job->fourcc == SL_FORMAT_GRAY8 || job->fourcc == SL_FORMAT_BGR24)
        jpeg_rows_direct(decoder, job);
    else
        jpeg_rows_packed(decoder, job, kind);
    jpeg_finish_decompress(jpeg); /* reads on to the end marker */
    return 0;
}

static int run_jpeg(struct sl_image_decoder *decoder, struct job *job,
                    int (*step)(struct sl_image_decoder *, struct job *))
{
    if (setjmp(decoder->failed) != 0) {
        jpeg_abort_decompress(&decoder->jpeg);
        return sl_error_set(job->err, -EPROTO, "bad JPEG: %s", decoder->message);
    }
    const int result = step(decoder, job);
    jpeg_abort_decompress(&decoder->jpeg);
    return result;
}

/* ---- PGM and PPM ---- */

struct pnm {
    uint32_t width_px, height_px;
    enum row_kind kind;
    const uint8_t *pixels;
};

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Reads one number of the header, with the white space and the comments before
 * it. `limit` keeps the sum small. */
static bool pnm_number(const uint8_t **at, const uint8_t *end, uint32_t limit, uint32_t *value)
{
    const uint8_t *p = *at;
    if (p == end || (!is_space(*p) && *p != '#'))
        return false;
    while (p < end && (is_space(*p) || *p == '#')) {
        if (*p == '#') {
            while (p < end && *p != '\n' && *p != '\r')
                p++;
        } else {
            p++;
        }
    }
    if (p == end || *p < '0' || *p > '9')
        return false;
    uint32_t sum = 0;
    while (p < end && *p >= '0' && *p <= '9') {
        sum = sum * 10 + (uint32_t)(*p++ - '0');
        if (sum > limit)
            sum = limit + 1; /* stays too large, whatever follows */
    }
    *at = p;
    *value = sum;
    return true;
}

static int pnm_header(const uint8_t *bytes, size_t size, struct pnm *pnm, struct sl_error *err)
{
    const uint8_t *at = bytes + 2;
    const uint8_t *end = bytes + size;
    uint32_t maximum = 0;
    pnm->kind = bytes[1] == '6' ? ROW_RGB : ROW_GRAY;
    if (!pnm_number(&at, end, SL_FRAME_WIDTH_MAX_PX, &pnm->width_px) ||
        !pnm_number(&at, end, SL_FRAME_HEIGHT_MAX_PX, &pnm->height_px) ||
        !pnm_number(&at, end, 65535, &maximum))
        return sl_error_set(err, -EPROTO,
                            "bad PGM or PPM header: width, height and 255 are expected");
    int failed = check_size(pnm->width_px, pnm->height_px, err);
    if (failed)
        return failed;
    if (maximum != 255)
        return sl_error_set(
            err, -EPROTO, "the PGM or PPM has values up to %u, only 255 (8 bits) is read", maximum);
    /* Exactly one: the next byte may be a pixel that looks like white space. */
    if (at == end || !is_space(*at))
        return sl_error_set(err, -EPROTO, "bad PGM or PPM header: no white space after 255");
    pnm->pixels = at + 1;
    return 0;
}

static int decode_pnm(struct sl_image_decoder *decoder, struct job *job)
{
    struct pnm pnm;
    int failed = pnm_header(job->bytes, job->size, &pnm, job->err);
    if (failed)
        return failed;
    job->width_px = pnm.width_px;
    job->height_px = pnm.height_px;
    failed = prepare_output(job);
    if (failed)
        return failed;
    const size_t stride = (size_t)pnm.width_px * (pnm.kind == ROW_RGB ? 3 : 1);
    const size_t there = job->size - (size_t)(pnm.pixels - job->bytes);
    if (there < stride * pnm.height_px)
        return sl_error_set(job->err, -EPROTO, "truncated: %zu bytes of pixels, %zu expected",
                            there, stride * pnm.height_px);

    for (uint32_t y = 0; y < pnm.height_px; y++) {
        const uint8_t *row = pnm.pixels + y * stride;
        uint8_t *out = job->memory + (size_t)y * job->info->planes[0].stride_bytes;
        uint8_t *ycc = decoder->rows[y % 2];
        switch (job->fourcc) {
        case SL_FORMAT_GRAY8:
            if (pnm.kind == ROW_GRAY)
                memcpy(out, row, pnm.width_px);
            else
                for (uint32_t x = 0; x < pnm.width_px; x++)
                    out[x] = luma_of(row + 3 * (size_t)x);
            break;
        case SL_FORMAT_BGR24:
            for (uint32_t x = 0; x < pnm.width_px; x++) {
                const uint8_t *in = pnm.kind == ROW_GRAY ? row + x : row + 3 * (size_t)x;
                const uint32_t step = pnm.kind == ROW_GRAY ? 0 : 1;
                *out++ = in[2 * step];
                *out++ = in[step];
                *out++ = in[0];
            }
            break;
        case SL_FORMAT_YUYV:
            row_to_ycc(pnm.kind, row, ycc, pnm.width_px);
            pack_yuyv(job, y, ycc);
            break;
        default:
            row_to_ycc(pnm.kind, row, ycc, pnm.width_px);
            if (y % 2 == 1)
                pack_nv12(job, y - 1, decoder->rows[0], decoder->rows[1]);
        }
    }
    return 0;
}

/* ---- the interface ---- */

static bool create_jpeg(struct sl_image_decoder *decoder)
{
    if (setjmp(decoder->failed) != 0)
        return false;
    jpeg_create_decompress(&decoder->jpeg);
    return true;
}

struct sl_image_decoder *sl_image_decoder_create(void)
{
    struct sl_image_decoder *decoder = calloc(1, sizeof *decoder);
    if (decoder == NULL)
        return NULL;
    decoder->jpeg.err = jpeg_std_error(&decoder->errors);
    decoder->errors.error_exit = jpeg_failed;
    decoder->errors.emit_message = jpeg_message;
    decoder->errors.output_message = jpeg_no_output;
    decoder->progress.progress_monitor = jpeg_progress;
    decoder->jpeg.client_data = decoder; /* creation keeps err and client_data */
    if (!create_jpeg(decoder)) {
        sl_image_decoder_destroy(decoder);
        return NULL;
    }
    return decoder;
}

void sl_image_decoder_destroy(struct sl_image_decoder *decoder)
{
    if (decoder == NULL)
        return;
    jpeg_destroy_decompress(&decoder->jpeg);
    free(decoder);
}

enum file_kind { FILE_UNKNOWN, FILE_JPEG, FILE_PNM };

static enum file_kind kind_of(const uint8_t *bytes, size_t size)
{
    if (size >= 2 && bytes[0] == 0xff && bytes[1] == 0xd8)
        return FILE_JPEG;
    if (size >= 2 && bytes[0] == 'P' && (bytes[1] == '5' || bytes[1] == '6'))
        return FILE_PNM;
    return FILE_UNKNOWN;
}

static int unknown_file(size_t size, struct sl_error *err)
{
    if (size == 0)
        return sl_error_set(err, -EPROTO, "the file is empty");
    return sl_error_set(err, -EPROTO, "neither a JPEG nor a binary PGM (P5) or PPM (P6)");
}

int sl_image_probe(struct sl_image_decoder *decoder, const void *bytes, size_t size,
                   uint32_t *width_px, uint32_t *height_px, struct sl_error *err)
{
    struct job job = {.bytes = bytes, .size = size, .err = err};
    struct pnm pnm;
    int result;
    switch (kind_of(bytes, size)) {
    case FILE_JPEG:
        result = run_jpeg(decoder, &job, jpeg_header);
        break;
    case FILE_PNM:
        result = pnm_header(bytes, size, &pnm, err);
        job.width_px = pnm.width_px;
        job.height_px = pnm.height_px;
        break;
    default:
        return unknown_file(size, err);
    }
    if (result == 0) {
        *width_px = job.width_px;
        *height_px = job.height_px;
    }
    return result;
}

int sl_image_decode(struct sl_image_decoder *decoder, const void *bytes, size_t size,
                    uint32_t fourcc, void *memory, size_t capacity, struct sl_frame_info *info,
                    struct sl_error *err)
{
    struct job job = {.bytes = bytes,
                      .size = size,
                      .fourcc = fourcc,
                      .memory = memory,
                      .capacity = capacity,
                      .info = info,
                      .err = err};
    char name[5];
    if (fourcc != SL_FORMAT_GRAY8 && fourcc != SL_FORMAT_NV12 && fourcc != SL_FORMAT_YUYV &&
        fourcc != SL_FORMAT_BGR24)
        return sl_error_set(err, -ENOTSUP,
                            "pictures are not decoded to %s, only to GRAY8, NV12, YUYV and BGR24",
                            sl_frame_format_name(fourcc, name));
    switch (kind_of(bytes, size)) {
    case FILE_JPEG:
        return run_jpeg(decoder, &job, jpeg_pixels);
    case FILE_PNM:
        return decode_pnm(decoder, &job);
    default:
        return unknown_file(size, err);
    }
}
