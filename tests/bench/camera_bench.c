/* What it costs to make luma of what cameras send. See HELP. */
#include <getopt.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "hal/camera/camera.h"
#include "hal/camera/image.h"
#include "hal/camera/luma.h"
#include "net/jpeg.h"
#include "rt/cli.h"
#include "rt/clock.h"

#define WIDTH_PX  800
#define HEIGHT_PX 600
#define PICTURES  16
#define QUALITY   80
#define MJPEG_MS  1.5 /* p99 */
#define YUYV_US   100 /* p99 */

static const char HELP[] =
    "camera_bench - what it costs to make luma of what cameras send, 800x600\n"
    "\n"
    "usage: camera_bench [--pictures N] [--smoke]\n"
    "\n"
    "Pictures of a road with noise like a sensor's, as JPEG of quality 80 in 4:2:0, decoded to\n"
    "luma: beside it libjpeg-turbo alone on the same bytes. And the luma of YUYV: beside it\n"
    "memcpy of as many bytes. They take turns, on one thread.\n"
    "\n"
    "  --pictures N  of each (2000)\n"
    "  --smoke       limits do not count\n"
    "  --help\n"
    "\n"
    "exit status: 0 (within the limits), 1 (OVER), 2 (misuse)\n";

static uint8_t *jpegs[PICTURES];
static size_t sizes[PICTURES];
static uint8_t yuyv[WIDTH_PX * HEIGHT_PX * 2], luma[WIDTH_PX * HEIGHT_PX],
    copy[WIDTH_PX * HEIGHT_PX * 2];

/* ---- pictures ---- */

static uint32_t noise;

static void add_noise(uint8_t *pixels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        noise = noise * 1664525u + 1013904223u;
        const int value = pixels[i] + (int)(noise >> 29) - 3;
        pixels[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}

static int make_pictures(struct sl_error *err)
{
    static uint8_t frame[WIDTH_PX * HEIGHT_PX * 2];
    const struct sl_camera_config config = {.driver = "pattern",
                                            .width_px = WIDTH_PX,
                                            .height_px = HEIGHT_PX,
                                            .fourcc = SL_FORMAT_NV12};
    struct sl_camera *camera;
    struct sl_jpeg_encoder *encoder = sl_jpeg_encoder_create();
    int rc = sl_camera_open(&camera, &config, err);
    if (rc == 0)
        rc = sl_camera_start(camera, err);
    for (int i = 0; rc == 0 && i < PICTURES; i++) {
        struct sl_frame_info info;
        const uint8_t *bytes;
        rc = sl_camera_fill(camera, frame, sizeof frame, &info, UINT64_MAX);
        add_noise(frame, WIDTH_PX * HEIGHT_PX);
        if (rc == 0)
            rc = sl_jpeg_encode(encoder, &info, frame, QUALITY, &bytes, &sizes[i], err);
        if (rc == 0 && (jpegs[i] = malloc(sizes[i])) != NULL)
            memcpy(jpegs[i], bytes, sizes[i]);
    }
    add_noise(yuyv, sizeof yuyv);
    sl_camera_close(camera);
    sl_jpeg_encoder_destroy(encoder);
    return rc;
}

/* ---- what is measured ---- */

static struct sl_image_decoder *decoder;

static int decode(int i)
{
    struct sl_frame_info info;
    struct sl_error err;
    return sl_image_decode(decoder, jpegs[i], sizes[i], SL_FORMAT_GRAY8, luma, sizeof luma, &info,
                           &err);
}

/* libjpeg-turbo with nothing around it: its own error handler ends the program. */
static int decode_alone(int i)
{
    static struct jpeg_decompress_struct jpeg;
    static struct jpeg_error_mgr errors;
    if (jpeg.err == NULL) {
        jpeg.err = jpeg_std_error(&errors);
        jpeg_create_decompress(&jpeg);
    }
    jpeg_mem_src(&jpeg, jpegs[i], (unsigned long)sizes[i]);
    jpeg_read_header(&jpeg, TRUE);
    jpeg.out_color_space = JCS_GRAYSCALE;
    jpeg_start_decompress(&jpeg);
    while (jpeg.output_scanline < jpeg.output_height) {
        JSAMPROW row = luma + (size_t)jpeg.output_scanline * WIDTH_PX;
        jpeg_read_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_decompress(&jpeg);
    return 0;
}

static int extract(int i)
{
    (void)i;
    sl_luma_from_yuyv(yuyv, WIDTH_PX * 2, WIDTH_PX, HEIGHT_PX, luma);
    return 0;
}

static int copy_all(int i)
{
    memcpy(copy, yuyv, sizeof copy);
    copy[i] ^= 1;
    return 0;
}

static struct subject {
    const char *name;
    int (*run)(int picture);
    double *us;
} SUBJECTS[] = {{"MJPEG to luma", decode, NULL},
                {"libjpeg-turbo alone", decode_alone, NULL},
                {"YUYV to luma", extract, NULL},
                {"memcpy of the same", copy_all, NULL}};
#define SUBJECT_COUNT (sizeof SUBJECTS / sizeof SUBJECTS[0])

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int measure(int64_t pictures)
{
    for (size_t k = 0; k < SUBJECT_COUNT; k++)
        if ((SUBJECTS[k].us = calloc((size_t)pictures, sizeof(double))) == NULL)
            return -1;
    for (int64_t i = 0; i < pictures; i++)
        for (size_t k = 0; k < SUBJECT_COUNT; k++) {
            const uint64_t before_ns = sl_clock_now_ns();
            if (SUBJECTS[k].run((int)(i % PICTURES)) != 0)
                return -1;
            SUBJECTS[k].us[i] = (double)(sl_clock_now_ns() - before_ns) * 1e-3;
        }
    for (size_t k = 0; k < SUBJECT_COUNT; k++)
        qsort(SUBJECTS[k].us, (size_t)pictures, sizeof(double), by_size);
    return 0;
}

static double quantile(size_t subject, int64_t pictures, double share)
{
    return SUBJECTS[subject].us[(int64_t)(share * (double)(pictures - 1))];
}

static bool report(int64_t pictures)
{
    const double limits_us[SUBJECT_COUNT] = {MJPEG_MS * 1e3, 0, YUYV_US, 0};
    bool good = true;
    printf("%-22s %8s %8s %8s   us\n", "", "p50", "p99", "max");
    for (size_t k = 0; k < SUBJECT_COUNT; k++) {
        const double p99_us = quantile(k, pictures, 0.99);
        printf("%-22s %8.1f %8.1f %8.1f", SUBJECTS[k].name, quantile(k, pictures, 0.5), p99_us,
               quantile(k, pictures, 1));
        if (limits_us[k] > 0) {
            good = good && p99_us <= limits_us[k];
            printf("   p99 <= %.0f: %s; ratio of p50 to the next line %.2f", limits_us[k],
                   p99_us <= limits_us[k] ? "PASS" : "OVER",
                   quantile(k, pictures, 0.5) / quantile(k + 1, pictures, 0.5));
        }
        puts("");
    }
    return good;
}

int main(int argc, char **argv)
{
    static const struct option OPTIONS[] = {{"pictures", required_argument, NULL, 'p'},
                                            {"smoke", no_argument, NULL, 'S'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int64_t pictures = 2000;
    bool smoke = false;
    struct sl_error err = {0};
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":h", OPTIONS, NULL)) != -1;) {
        if (option == 'h') {
            fputs(HELP, stdout);
            return SL_EXIT_OK;
        }
        if (option == 'S') {
            smoke = true;
        } else if (option != 'p' ||
                   sl_cli_integer(optarg, "--pictures", 10, 1000000, &pictures, &err) != 0) {
            fprintf(stderr, "camera_bench: %s; see camera_bench --help\n",
                    option == 'p' ? err.text : "cannot use this option");
            return SL_EXIT_MISUSE;
        }
    }
    decoder = sl_image_decoder_create();
    if (decoder == NULL || make_pictures(&err) != 0 || measure(pictures) != 0) {
        fprintf(stderr, "camera_bench: %s\n", err.text[0] != '\0' ? err.text : "no memory");
        return SL_EXIT_FAILED;
    }
    const bool good = report(pictures);
    for (int i = 0; i < PICTURES; i++)
        free(jpegs[i]);
    for (size_t k = 0; k < SUBJECT_COUNT; k++)
        free(SUBJECTS[k].us);
    sl_image_decoder_destroy(decoder);
    return good || smoke ? SL_EXIT_OK : SL_EXIT_FAILED;
}
