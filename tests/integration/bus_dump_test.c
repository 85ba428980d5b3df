/* skylane bus dump: every kind of frame to every kind of file, every record to
 * JSON, and what it says when it can not. */
#include "tests/integration/bus_run.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cjson/cJSON.h>

#include "hal/camera/image.h"
#include "rt/bus.h"
#include "rt/clock.h"
#include "rt/records.h"

#define WIDTH  64
#define HEIGHT 48
#define SPARE  24 /* bytes behind each row */

static struct sl_bus_writer *writer;
static char folder[] = "/tmp/sl-dump-XXXXXX";
static uint8_t pixels[WIDTH * HEIGHT * 8];
static uint8_t file_bytes[1 << 20];

static int begin(void **unused)
{
    (void)unused;
    programs_begin();
    strcpy(folder, "/tmp/sl-dump-XXXXXX");
    return mkdtemp(folder) != NULL && chdir(folder) == 0 ? 0 : -1; /* where files go by default */
}

static int end(void **unused)
{
    char command[64];
    (void)unused;
    program_stop(&bus_program);
    sl_bus_writer_close(writer);
    writer = NULL;
    programs_end();
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static void open_writer(const char *name, uint32_t type, size_t slot_bytes)
{
    struct sl_error err;
    const struct sl_bus_writer_config config = {
        .name = name, .type = type, .slot_count = 8, .slot_bytes = slot_bytes};
    if (sl_bus_writer_open(&writer, &config, &err) != 0)
        fail_msg("%s", err.text);
}

/* ---- frames ---- */

static uint8_t *plane_row(const struct sl_frame_info *info, uint32_t plane, uint32_t y)
{
    return pixels + info->planes[plane].offset_bytes + y * info->planes[plane].stride_bytes;
}

/* Smooth, so that JPEG keeps it, and different in every channel. */
static void paint(struct sl_frame_info *info, uint32_t fourcc)
{
    memset(info, 0, sizeof *info);
    assert_int_equal(sl_frame_layout(info, fourcc, WIDTH, HEIGHT), 0);
    uint32_t offset = 8;
    for (uint32_t i = 0; i < info->plane_count; i++) {
        info->planes[i].offset_bytes = offset;
        info->planes[i].stride_bytes += SPARE;
        offset += info->planes[i].stride_bytes * (i == 0 ? HEIGHT : HEIGHT / 2);
    }
    info->size_bytes = offset;
    info->frame_id = 7;
    assert_true(offset <= sizeof pixels);
    memset(pixels, 0xee, sizeof pixels);
    for (uint32_t i = 0; i < info->plane_count; i++) {
        const uint32_t rows = i == 0 ? HEIGHT : HEIGHT / 2;
        for (uint32_t y = 0; y < rows; y++) {
            for (uint32_t x = 0; x < info->planes[i].stride_bytes - SPARE; x++) {
                const uint32_t channel = fourcc == SL_FORMAT_BGR24  ? x % 3
                                         : fourcc == SL_FORMAT_BGRA ? x % 4
                                         : fourcc == SL_FORMAT_YUYV ? (x % 2 == 0 ? 0 : x % 4)
                                         : i == 1                   ? 1 + x % 2
                                                                    : 0;
                plane_row(info, i, y)[x] = (uint8_t)(60 + 40 * channel + x / 4 + y / 2);
            }
        }
    }
}

static void publish_frame(const struct sl_frame_info *info)
{
    struct sl_bus_loan loan;
    sl_bus_loan(writer, &loan);
    memcpy(loan.data, pixels, info->size_bytes);
    memcpy(loan.meta, info, sizeof *info);
    sl_bus_publish(writer, &loan, info->size_bytes, 1);
}

/* What a pixel looks like: JFIF's equations (ITU-T T.871), in floating point. */
static void expected_rgb(const struct sl_frame_info *info, uint32_t x, uint32_t y, double rgb[3])
{
    const uint8_t *row = plane_row(info, 0, y);
    double luma = row[x], cb = 0, cr = 0;
    switch (info->fourcc) {
    case SL_FORMAT_BGR24:
    case SL_FORMAT_BGRA:
        row += x * (info->fourcc == SL_FORMAT_BGRA ? 4 : 3);
        rgb[0] = row[2];
        rgb[1] = row[1];
        rgb[2] = row[0];
        return;
    case SL_FORMAT_NV12:
        cb = plane_row(info, 1, y / 2)[x / 2 * 2] - 128.0;
        cr = plane_row(info, 1, y / 2)[x / 2 * 2 + 1] - 128.0;
        break;
    case SL_FORMAT_YUYV:
        luma = row[2 * x];
        cb = row[x / 2 * 4 + 1] - 128.0;
        cr = row[x / 2 * 4 + 3] - 128.0;
        break;
    default:
        break;
    }
    rgb[0] = luma + 1.402 * cr;
    rgb[1] = luma - 0.344136286 * cb - 0.714136286 * cr;
    rgb[2] = luma + 1.772 * cb;
    for (int i = 0; i < 3; i++)
        rgb[i] = rgb[i] < 0.0 ? 0.0 : rgb[i] > 255.0 ? 255.0 : rgb[i];
}

static size_t read_whole(const char *path)
{
    FILE *from = fopen(path, "rb");
    if (from == NULL)
        fail_msg("%s: %s", path, strerror(errno));
    const size_t n = fread(file_bytes, 1, sizeof file_bytes, from);
    fclose(from);
    return n;
}

/* A PGM or PPM of the right size; its first pixel. */
static const uint8_t *pnm_pixels(const char *path, char kind)
{
    char header[32];
    const size_t channels = kind == '6' ? 3 : 1;
    const int n = snprintf(header, sizeof header, "P%c\n%d %d\n255\n", kind, WIDTH, HEIGHT);
    assert_int_equal(read_whole(path), (size_t)n + WIDTH * HEIGHT * channels);
    assert_memory_equal(file_bytes, header, n);
    return file_bytes + n;
}

static void check_png(const struct sl_frame_info *info)
{
    const bool gray = info->fourcc == SL_FORMAT_GRAY8;
    const int channels = gray ? 1 : 3;
    assert_int_equal(BUS_RUN("dump", "--out", "f.png", SL_BUS_CAMERA), 0);
    assert_int_equal(
        system(SL_PYTHON " " SL_SOURCE_DIR "/tests/integration/png_to_pnm.py f.png f.pnm"), 0);
    const uint8_t *at = pnm_pixels("f.pnm", gray ? '5' : '6');
    for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
        double rgb[3];
        expected_rgb(info, i % WIDTH, i / WIDTH, rgb);
        for (int c = 0; c < channels; c++, at++)
            assert_true(fabs(*at - rgb[c]) <= 1.6); /* three roundings */
    }
}

static void check_pgm(const struct sl_frame_info *info)
{
    assert_int_equal(BUS_RUN("dump", "--out", "f.pgm", SL_BUS_CAMERA), 0);
    const uint8_t *at = pnm_pixels("f.pgm", '5');
    for (uint32_t i = 0; i < WIDTH * HEIGHT; i++, at++) {
        const uint32_t x = i % WIDTH, y = i / WIDTH;
        double rgb[3], luma = plane_row(info, 0, y)[x];
        expected_rgb(info, x, y, rgb);
        if (info->fourcc == SL_FORMAT_YUYV)
            luma = plane_row(info, 0, y)[2 * x];
        else if (info->fourcc == SL_FORMAT_BGR24 || info->fourcc == SL_FORMAT_BGRA)
            luma = round(0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]);
        assert_true(fabs(*at - luma) <= (luma == round(luma) ? 1.0 : 0.0));
    }
}

static void check_jpeg(const struct sl_frame_info *info, const char *path)
{
    static uint8_t decoded[WIDTH * HEIGHT * 3];
    struct sl_frame_info found = {0};
    struct sl_error err = {0};
    struct sl_image_decoder *decoder = sl_image_decoder_create();
    const size_t size = read_whole(path);
    if (sl_image_decode(decoder, file_bytes, size, SL_FORMAT_BGR24, decoded, sizeof decoded, &found,
                        &err) != 0)
        fail_msg("%s: %s", path, err.text);
    sl_image_decoder_destroy(decoder);
    assert_int_equal(found.width_px, WIDTH);
    assert_int_equal(found.height_px, HEIGHT);
    double error = 0.0;
    for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
        double rgb[3];
        expected_rgb(info, i % WIDTH, i / WIDTH, rgb);
        for (int c = 0; c < 3; c++)
            error += fabs(decoded[3 * i + 2 - (uint32_t)c] - rgb[c]);
    }
    assert_true(error / (WIDTH * HEIGHT * 3) < 4.0);
}

static void every_format_becomes_every_kind_of_file(void **unused)
{
    static const uint32_t FORMATS[] = {SL_FORMAT_GRAY8, SL_FORMAT_NV12, SL_FORMAT_YUYV,
                                       SL_FORMAT_BGR24, SL_FORMAT_BGRA};
    (void)unused;
    open_writer(SL_BUS_CAMERA, SL_RECORD_FRAME, sizeof pixels);
    for (size_t i = 0; i < sizeof FORMATS / sizeof FORMATS[0]; i++) {
        struct sl_frame_info info;
        char name[5], told[64];
        paint(&info, FORMATS[i]);
        publish_frame(&info);
        assert_int_equal(BUS_RUN("dump", SL_BUS_CAMERA), 0);
        snprintf(told, sizeof told, "camera_feed.jpg: frame 7, 64x48 %s",
                 sl_frame_format_name(info.fourcc, name));
        assert_said(told);
        check_jpeg(&info, "camera_feed.jpg");
        check_png(&info);
        check_pgm(&info);
        assert_int_equal(BUS_RUN("dump", SL_BUS_CAMERA, "--format", "raw", "--out", "f"), 0);
        assert_int_equal(read_whole("f"), info.size_bytes);
        assert_memory_equal(file_bytes, pixels, info.size_bytes);
    }
}

static void mjpeg_stays_what_it_is(void **unused)
{
    (void)unused;
    struct sl_frame_info info = {.fourcc = SL_FORMAT_MJPEG,
                                 .width_px = 640,
                                 .height_px = 480,
                                 .size_bytes = 1000,
                                 .plane_count = 1};
    open_writer(SL_BUS_CAMERA, SL_RECORD_FRAME, sizeof pixels);
    for (size_t i = 0; i < info.size_bytes; i++)
        pixels[i] = (uint8_t)(i * 7);
    publish_frame(&info);
    assert_int_equal(BUS_RUN("dump", SL_BUS_CAMERA), 0);
    assert_int_equal(read_whole("camera_feed.jpg"), info.size_bytes);
    assert_memory_equal(file_bytes, pixels, info.size_bytes);
    assert_int_equal(BUS_RUN("dump", SL_BUS_CAMERA, "--out", "f.png"), 1);
    assert_said("the frame is a JPEG already; take --format jpg");
}

static void frame_whose_layout_lies_is_refused(void **unused)
{
    (void)unused;
    struct sl_frame_info info;
    open_writer(SL_BUS_CAMERA, SL_RECORD_FRAME, sizeof pixels);
    paint(&info, SL_FORMAT_NV12);
    info.planes[1].stride_bytes = 1u << 30;
    publish_frame(&info);
    assert_int_equal(BUS_RUN("dump", SL_BUS_CAMERA), 1);
    assert_said("plane 1 of the NV12 frame");
}

/* ---- records ---- */

static cJSON *parsed(const char *text)
{
    cJSON *json = cJSON_Parse(text);
    if (json == NULL)
        fail_msg("this is not JSON: %s", text);
    return json;
}

/* Publishes one record, dumps it, and returns it parsed. */
static cJSON *dumped(const char *bus, uint32_t type, const void *record, size_t size)
{
    open_writer(bus, type, size);
    sl_bus_write(writer, record, size, 5);
    assert_int_equal(BUS_RUN("dump", bus), 0);
    sl_bus_writer_close(writer);
    writer = NULL;
    return parsed(bus_said);
}

static const cJSON *item(const cJSON *json, const char *path)
{
    char copy[128], *next = copy;
    snprintf(copy, sizeof copy, "%s", path);
    for (const char *key; json != NULL && (key = strsep(&next, ".")) != NULL;) {
        json = key[0] >= '0' && key[0] <= '9' ? cJSON_GetArrayItem(json, atoi(key))
                                              : cJSON_GetObjectItemCaseSensitive(json, key);
    }
    if (json == NULL)
        fail_msg("there is no %s in %s", path, bus_said);
    return json;
}

/* As a float: what was put in has to come out to the last bit. */
static void assert_number(const cJSON *json, const char *path, float value)
{
    const cJSON *found = item(json, path);
    if (!cJSON_IsNumber(found) || (float)found->valuedouble != value)
        fail_msg("%s is not %.9g in %s", path, (double)value, bus_said);
}

static void assert_word(const cJSON *json, const char *path, const char *word)
{
    const cJSON *found = item(json, path);
    assert_true(cJSON_IsString(found));
    assert_string_equal(found->valuestring, word);
}

/* Numbers above 2^53 go through no double: the text has all their digits. */
#define LARGE_NS UINT64_C(1152921504606846977)
#define LARGE    "1152921504606846977"

static void detection_has_every_field(void **unused)
{
    (void)unused;
    struct sl_detection d = {
        .frame_id = 11,
        .exposed_ns = LARGE_NS,
        .received_ns = 13,
        .started_ns = 14,
        .finished_ns = 15,
        .state = SL_LANE_ONE_LINE,
        .confidence = 0.1f,
        .lateral_offset_m = -0.30000001f,
        .heading_error_rad = 1e-7f,
        .curvature_1pm = 0.0123f,
        .curvature_rate_1pm2 = -1.17549435e-38f,
        .lane_width_m = 3.5f,
        .lane_width_sd_m = 0.05f,
        .camera_pitch_rad = -0.002f,
        .covariance = {{0.25f, [3] = -0.5f}, [3] = {-0.5f, [3] = 4.f}},
        .frame_width_px = 800,
        .frame_height_px = 600,
        .left = {.seen = 1,
                 .point_count = 2,
                 .confidence = 0.9f,
                 .x_min_m = 2.5f,
                 .x_max_m = 20.f,
                 .poly = {1.75f, -0.01f, 0.002f, -0.0003f},
                 .points_px = {{1.5f, 2.5f}, {3.f, 4.f}}},
        .right = {.point_count = UINT32_MAX, .confidence = NAN, .x_max_m = INFINITY}};
    cJSON *json = dumped(SL_BUS_DETECTION, SL_RECORD_DETECTION, &d, sizeof d);
    assert_word(json, "bus", SL_BUS_DETECTION);
    assert_word(json, "type", "detection");
    assert_number(json, "seq", 1);
    assert_number(json, "missed", 0);
    assert_number(json, "measured_ns", 5);
    assert_true(item(json, "published_ns")->valuedouble > 5);
    const cJSON *r = item(json, "record");
    assert_int_equal(cJSON_GetArraySize(r), 19);
    assert_number(r, "frame_id", 11);
    assert_said("\"exposed_ns\":\t" LARGE);
    assert_number(r, "received_ns", 13);
    assert_number(r, "started_ns", 14);
    assert_number(r, "finished_ns", 15);
    assert_word(r, "state", "one_line");
    assert_number(r, "confidence", 0.1f);
    assert_said("\"confidence\":\t0.1,"); /* and not 0.100000001490116 */
    assert_number(r, "lateral_offset_m", -0.30000001f);
    assert_number(r, "heading_error_rad", 1e-7f);
    assert_number(r, "curvature_1pm", 0.0123f);
    assert_number(r, "curvature_rate_1pm2", -1.17549435e-38f);
    assert_number(r, "lane_width_m", 3.5f);
    assert_number(r, "lane_width_sd_m", 0.05f);
    assert_number(r, "camera_pitch_rad", -0.002f);
    assert_number(r, "covariance.0.0", 0.25f);
    assert_number(r, "covariance.0.3", -0.5f);
    assert_number(r, "covariance.3.0", -0.5f);
    assert_number(r, "covariance.3.3", 4.0f);
    assert_int_equal(cJSON_GetArraySize(item(r, "covariance")), 4);
    assert_number(r, "frame_width_px", 800);
    assert_number(r, "frame_height_px", 600);
    assert_true(cJSON_IsTrue(item(r, "left.seen")));
    assert_number(r, "left.confidence", 0.9f);
    assert_number(r, "left.x_min_m", 2.5f);
    assert_number(r, "left.x_max_m", 20.0f);
    assert_number(r, "left.poly.1", -0.01f);
    assert_number(r, "left.poly.3", -0.0003f);
    assert_int_equal(cJSON_GetArraySize(item(r, "left.points_px")), 2);
    assert_number(r, "left.points_px.0.1", 2.5f);
    assert_number(r, "left.points_px.1.0", 3.0f);
    assert_true(cJSON_IsFalse(item(r, "right.seen")));
    assert_true(cJSON_IsNull(item(r, "right.confidence")));
    assert_true(cJSON_IsNull(item(r, "right.x_max_m")));
    assert_int_equal(cJSON_GetArraySize(item(r, "right.points_px")), SL_LANE_POINTS_MAX);
    cJSON_Delete(json);
}

static void state_has_every_field(void **unused)
{
    (void)unused;
    struct sl_state s = {.published_ns = 1,
                         .started_ns = 2,
                         .frames = 3,
                         .frames_dropped = 4,
                         .deadline_misses = 5,
                         .page_faults = 6,
                         .allocations = 7,
                         .stop_count = 8,
                         .mode = SL_MODE_SAFE_STOP,
                         .stop_reason = SL_REASON_LANE_LOST,
                         .action_id = LARGE_NS,
                         .action_reason = SL_REASON_NOT_STANDING,
                         .lane_state = SL_LANE_LOST,
                         .confidence = 0.25f,
                         .lateral_offset_m = 0.5f,
                         .heading_error_rad = 0.75f,
                         .curvature_1pm = 0.125f,
                         .steering_rad = -0.2f,
                         .speed_command_mps = 9.f,
                         .speed_mps = 8.7f,
                         .detection_age_ms = 12.5f,
                         .realtime = SL_REALTIME_FIFO | SL_REALTIME_HUGEPAGES,
                         .battery_mv = 7400,
                         .conditions = SL_CONDITION_ESTOP | SL_CONDITION_THROTTLED};
    s.stages[SL_STAGE_LOOP_LATENESS] = (struct sl_stage_stats){9, 1.5f, 1.75f, 2.5f, 3.5f, 4.5f, 0};
    cJSON *json = dumped(SL_BUS_STATE, SL_RECORD_STATE, &s, sizeof s);
    const cJSON *r = item(json, "record");
    assert_int_equal(cJSON_GetArraySize(r), 25);
    static const char *const COUNTS[] = {"published_ns",   "started_ns",      "frames",
                                         "frames_dropped", "deadline_misses", "page_faults",
                                         "allocations",    "stop_count"};
    for (size_t i = 0; i < sizeof COUNTS / sizeof COUNTS[0]; i++)
        assert_number(r, COUNTS[i], (float)(i + 1));
    assert_word(r, "mode", "safe_stop");
    assert_word(r, "stop_reason", "lane_lost");
    assert_said("\"action_id\":\t" LARGE);
    assert_word(r, "action_reason", "not_standing");
    assert_word(r, "lane_state", "lost");
    assert_number(r, "confidence", 0.25f);
    assert_number(r, "lateral_offset_m", 0.5f);
    assert_number(r, "heading_error_rad", 0.75f);
    assert_number(r, "curvature_1pm", 0.125f);
    assert_number(r, "steering_rad", -0.2f);
    assert_number(r, "speed_command_mps", 9.0f);
    assert_number(r, "speed_mps", 8.7f);
    assert_number(r, "detection_age_ms", 12.5f);
    assert_int_equal(cJSON_GetArraySize(item(r, "realtime")), 2);
    assert_word(r, "realtime.0", "fifo");
    assert_word(r, "realtime.1", "hugepages");
    assert_number(r, "battery_v", 7.4f);
    assert_int_equal(cJSON_GetArraySize(item(r, "conditions")), 2);
    assert_word(r, "conditions.0", "estop");
    assert_word(r, "conditions.1", "throttled");
    assert_int_equal(cJSON_GetArraySize(item(r, "stages")), SL_STAGE_COUNT);
    assert_number(r, "stages.loop_lateness.count", 9);
    assert_number(r, "stages.loop_lateness.p50_us", 1.5f);
    assert_number(r, "stages.loop_lateness.p90_us", 1.75f);
    assert_number(r, "stages.loop_lateness.p99_us", 2.5f);
    assert_number(r, "stages.loop_lateness.p999_us", 3.5f);
    assert_number(r, "stages.loop_lateness.max_us", 4.5f);
    cJSON_Delete(json);
}

static void smaller_records_have_every_field(void **unused)
{
    (void)unused;
    const struct sl_command command = {.seq = 1,
                                       .frame_id = 2,
                                       .exposed_ns = 3,
                                       .received_ns = 4,
                                       .issued_ns = 5,
                                       .expires_ns = LARGE_NS,
                                       .steering_rad = -0.125f,
                                       .speed_mps = 7.7f,
                                       .mode = 99};
    cJSON *json = dumped(SL_BUS_COMMAND, SL_RECORD_COMMAND, &command, sizeof command);
    assert_int_equal(cJSON_GetArraySize(item(json, "record")), 9);
    assert_number(json, "record.issued_ns", 5);
    assert_said("\"expires_ns\":\t" LARGE);
    assert_number(json, "record.steering_rad", -0.125f);
    assert_number(json, "record.speed_mps", 7.7f);
    assert_number(json, "record.mode", 99); /* a code without a word stays a number */
    cJSON_Delete(json);

    const struct sl_odometry odometry = {.measured_ns = 1,
                                         .speed_mps = 2.5f,
                                         .steering_rad = 0.1f,
                                         .yaw_rate_radps = -0.3f,
                                         .valid = SL_ODOMETRY_YAW_RATE};
    json = dumped(SL_BUS_ODOMETRY, SL_RECORD_ODOMETRY, &odometry, sizeof odometry);
    assert_int_equal(cJSON_GetArraySize(item(json, "record")), 5);
    assert_number(json, "record.speed_mps", 2.5f);
    assert_number(json, "record.yaw_rate_radps", -0.3f);
    assert_int_equal(cJSON_GetArraySize(item(json, "record.valid")), 1);
    assert_word(json, "record.valid.0", "yaw_rate");
    cJSON_Delete(json);

    const struct sl_truth truth = {.frame_id = 1,
                                   .exposed_ns = 2,
                                   .x_m = 3.5f,
                                   .y_m = -4.5f,
                                   .yaw_rad = 0.7f,
                                   .speed_mps = 6.f,
                                   .steering_rad = 0.01f,
                                   .lateral_offset_m = 0.02f,
                                   .heading_error_rad = 0.03f,
                                   .curvature_1pm = 0.04f,
                                   .lane_width_m = 3.5f,
                                   .progress_m = 1234.5f,
                                   .laps = 2,
                                   .departures = 1,
                                   .markings = 1};
    json = dumped(SL_BUS_TRUTH, SL_RECORD_TRUTH, &truth, sizeof truth);
    assert_int_equal(cJSON_GetArraySize(item(json, "record")), 15);
    assert_number(json, "record.y_m", -4.5f);
    assert_number(json, "record.progress_m", 1234.5f);
    assert_number(json, "record.departures", 1);
    assert_true(cJSON_IsTrue(item(json, "record.markings")));
    cJSON_Delete(json);

    const struct sl_log_line line = {.at_ns = 6, .level = 2, .text = "it rains"};
    json = dumped(SL_BUS_LOG, SL_RECORD_LOG, &line, sizeof line);
    assert_int_equal(cJSON_GetArraySize(item(json, "record")), 3);
    assert_word(json, "record.level", "warning");
    assert_word(json, "record.text", "it rains");
    cJSON_Delete(json);

    const struct sl_permit permit = {.issued_ns = 4, .expires_ns = 5};
    json = dumped(SL_BUS_PERMIT, SL_RECORD_PERMIT, &permit, sizeof permit);
    assert_int_equal(cJSON_GetArraySize(item(json, "record")), 2);
    assert_number(json, "record.expires_ns", 5);
    cJSON_Delete(json);

    const struct sl_camera_status camera = {.trouble = SL_CAMERA_FROZEN,
                                            .dropped_no_area = 7,
                                            .rate_hz = 29.5f,
                                            .transfer = "zero copy (DMABUF)"};
    json = dumped(SL_BUS_CAMERA_STATUS, SL_RECORD_CAMERA, &camera, sizeof camera);
    assert_int_equal(cJSON_GetArraySize(item(json, "record")), 16);
    assert_word(json, "record.trouble", "frozen");
    assert_number(json, "record.dropped_no_area", 7);
    assert_number(json, "record.rate_hz", 29.5f);
    assert_word(json, "record.transfer", "zero copy (DMABUF)");
    cJSON_Delete(json);

    const struct sl_output_status outputs = {.state = SL_OUTPUTS_FAILED,
                                             .errors = 9,
                                             .code = -5,
                                             .steering_us = 1500.5f,
                                             .speed_mps = NAN,
                                             .problem = "no chip answers"};
    json = dumped(SL_BUS_OUTPUT_STATUS, SL_RECORD_OUTPUT, &outputs, sizeof outputs);
    assert_int_equal(cJSON_GetArraySize(item(json, "record")), 16);
    assert_word(json, "record.state", "failed");
    assert_number(json, "record.errors", 9);
    assert_number(json, "record.code", -5);
    assert_number(json, "record.steering_us", 1500.5f);
    assert_true(cJSON_IsNull(item(json, "record.speed_mps")));
    assert_word(json, "record.problem", "no chip answers");
    cJSON_Delete(json);

    const struct sl_action action = {
        .id = 1, .issued_ns = 2, .expires_ns = 3, .kind = SL_ACTION_SET, .setting = "a.b=1"};
    json = dumped(SL_BUS_ACTION, SL_RECORD_ACTION, &action, sizeof action);
    assert_int_equal(cJSON_GetArraySize(item(json, "record")), 5);
    assert_word(json, "record.kind", "set");
    assert_word(json, "record.setting", "a.b=1");
    cJSON_Delete(json);
}

static void frame_as_json_tells_its_layout(void **unused)
{
    (void)unused;
    struct sl_frame_info info;
    open_writer(SL_BUS_CAMERA, SL_RECORD_FRAME, sizeof pixels);
    paint(&info, SL_FORMAT_NV12);
    publish_frame(&info);
    assert_int_equal(BUS_RUN("dump", SL_BUS_CAMERA, "--format", "json"), 0);
    cJSON *json = parsed(bus_said);
    assert_number(json, "record.frame_id", 7);
    assert_word(json, "record.fourcc", "NV12");
    assert_number(json, "record.width_px", WIDTH);
    assert_number(json, "record.planes.1.stride_bytes", WIDTH + SPARE);
    cJSON_Delete(json);
}

static void unknown_records_are_bytes(void **unused)
{
    (void)unused;
    open_writer("mine", SL_FOURCC('A', 'B', 'C', '9'), 100);
    sl_bus_write(writer, "some bytes", 10, 1);
    assert_int_equal(BUS_RUN("dump", "mine"), 1);
    assert_said("records of type \"ABC9\"");
    assert_said("--format raw");
    assert_int_equal(BUS_RUN("dump", "mine", "--format", "raw"), 0);
    assert_string_equal(bus_said, "some bytes");
}

static void record_of_another_size_is_refused(void **unused)
{
    (void)unused;
    open_writer(SL_BUS_STATE, SL_RECORD_STATE, sizeof(struct sl_state));
    sl_bus_write(writer, pixels, sizeof(struct sl_state) - 8, 1);
    assert_int_equal(BUS_RUN("dump", SL_BUS_STATE), 1);
    assert_said("update the older of the two programs");
}

/* ---- more than one ---- */

static void write_states_until(bool (*ended)(void))
{
    struct sl_state state = {0};
    const uint64_t give_up = sl_clock_now_ns() + 20 * SL_NS_PER_S;
    while (!ended() && sl_clock_now_ns() < give_up) {
        state.frames++;
        sl_bus_write(writer, &state, sizeof state, 1);
        sl_clock_sleep_until_ns(sl_clock_now_ns() + 5 * SL_NS_PER_MS);
    }
}

static bool program_ended(void)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)bus_program.pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid != 0;
}

static bool two_lines_begun(void)
{
    return program_said(&bus_program, "}\n{");
}

/* Counts the objects, one a line, and that nothing is missed unsaid. */
static unsigned check_lines(void)
{
    double before = 0;
    unsigned count = 0;
    for (char *next = bus_said, *line; (line = strsep(&next, "\n")) != NULL;) {
        if (line[0] != '{')
            continue; /* "missed in between": this machine may be busy */
        cJSON *json = parsed(line);
        const double seq = item(json, "seq")->valuedouble;
        const double missed = item(json, "missed")->valuedouble;
        if (count > 0)
            assert_true(seq == before + 1 + missed);
        before = seq;
        count++;
        cJSON_Delete(json);
    }
    return count;
}

static void count_takes_them_in_order(void **unused)
{
    (void)unused;
    open_writer(SL_BUS_STATE, SL_RECORD_STATE, sizeof(struct sl_state));
    BUS_START("dump", SL_BUS_STATE, "--count", "25", "--timeout", "10");
    write_states_until(program_ended);
    assert_int_equal(bus_run_end(), 0);
    assert_int_equal(check_lines(), 25);
}

static void what_came_meanwhile_comes_in_order(void **unused)
{
    (void)unused;
    siginfo_t info;
    const struct sl_state state = {0};
    open_writer(SL_BUS_STATE, SL_RECORD_STATE, sizeof state);
    sl_bus_write(writer, &state, sizeof state, 1);
    BUS_START("dump", SL_BUS_STATE, "--count", "6", "--timeout", "10");
    program_must_say(&bus_program, "}\n");
    program_signal(&bus_program, SIGSTOP);
    assert_int_equal(waitid(P_PID, (id_t)bus_program.pid, &info, WSTOPPED), 0);
    for (int i = 0; i < 5; i++)
        sl_bus_write(writer, &state, sizeof state, 1);
    program_signal(&bus_program, SIGCONT);
    assert_int_equal(bus_run_end(), 0);
    assert_null(strstr(bus_said, "missed in between"));
    assert_int_equal(check_lines(), 6);
}

static void follow_ends_calmly_when_told_to(void **unused)
{
    (void)unused;
    open_writer(SL_BUS_STATE, SL_RECORD_STATE, sizeof(struct sl_state));
    BUS_START("dump", SL_BUS_STATE, "--follow");
    write_states_until(two_lines_begun);
    program_signal(&bus_program, SIGINT);
    assert_int_equal(bus_run_end(), 0);
    assert_true(check_lines() >= 2);
}

/* A pipe whose reader goes away, as with "| head -1". */
static int pipe_ends[2];
static void write_into_pipe(void)
{
    dup2(pipe_ends[1], STDOUT_FILENO);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

static bool pipe_read_and_left(void)
{
    char byte;
    if (pipe_ends[0] >= 0) {
        if (read(pipe_ends[0], &byte, 1) == 1) {
            close(pipe_ends[0]);
            pipe_ends[0] = -1;
        }
        return false;
    }
    return program_ended();
}

static void reader_that_has_enough_is_no_error(void **unused)
{
    (void)unused;
    open_writer(SL_BUS_STATE, SL_RECORD_STATE, sizeof(struct sl_state));
    const struct sl_state state = {0};
    sl_bus_write(writer, &state, sizeof state, 1);
    assert_int_equal(pipe(pipe_ends), 0);
    program_start(&bus_program, write_into_pipe, "bus", "dump", SL_BUS_STATE, "--follow", NULL);
    close(pipe_ends[1]);
    write_states_until(pipe_read_and_left);
    assert_int_equal(bus_run_end(), 0);
    assert_string_equal(bus_said, "");
}

static void several_pictures_get_numbers(void **unused)
{
    (void)unused;
    struct sl_frame_info info;
    open_writer(SL_BUS_CAMERA, SL_RECORD_FRAME, sizeof pixels);
    paint(&info, SL_FORMAT_GRAY8);
    publish_frame(&info);
    BUS_START("dump", SL_BUS_CAMERA, "--count", "2", "--out", "a.b/f.pgm", "--timeout", "10");
    assert_int_equal(bus_run_end(), 1);
    assert_said("cannot write a.b/f-000001.pgm: No such file or directory");

    assert_int_equal(mkdir("a.b", 0777), 0);
    BUS_START("dump", SL_BUS_CAMERA, "--count", "2", "--out", "a.b/f", "--format", "pgm",
              "--timeout", "10");
    program_must_say(&bus_program, "a.b/f-000001: ");
    publish_frame(&info);
    assert_int_equal(bus_run_end(), 0);
    pnm_pixels("a.b/f-000001", '5');
    pnm_pixels("a.b/f-000002", '5');
}

/* ---- what it says when it can not ---- */

static void waits_for_a_bus_and_then_says_what_is_missing(void **unused)
{
    (void)unused;
    assert_int_equal(BUS_RUN("dump", SL_BUS_CAMERA, "--timeout", "0.1"), 1);
    assert_said("there is no bus \"camera_feed\"\n");
    open_writer(SL_BUS_CAMERA, SL_RECORD_FRAME, sizeof pixels);
    assert_int_equal(BUS_RUN("dump", "camera_fed", "--timeout", "0.1"), 1);
    assert_said("there is no bus \"camera_fed\"; did you mean \"camera_feed\"?");
    assert_int_equal(BUS_RUN("dump", SL_BUS_CAMERA, "--timeout", "0.1"), 1);
    assert_said("published nothing in time");

    BUS_START("dump", SL_BUS_STATE, "--timeout", "15"); /* before its writer is there */
    sl_bus_writer_close(writer);
    open_writer(SL_BUS_STATE, SL_RECORD_STATE, sizeof(struct sl_state));
    const struct sl_state state = {.frames = 31};
    sl_bus_write(writer, &state, sizeof state, 1);
    assert_int_equal(bus_run_end(), 0);
    assert_said("\"frames\":\t31");
}

static void full_disk_is_told(void **unused)
{
    (void)unused;
    struct sl_frame_info info;
    open_writer(SL_BUS_CAMERA, SL_RECORD_FRAME, sizeof pixels);
    paint(&info, SL_FORMAT_NV12);
    publish_frame(&info);
    static const char *const FORMATS[] = {"jpg", "png", "pgm", "raw", "json"};
    for (size_t i = 0; i < sizeof FORMATS / sizeof FORMATS[0]; i++) {
        assert_int_equal(
            BUS_RUN("dump", SL_BUS_CAMERA, "--out", "/dev/full", "--format", FORMATS[i]), 1);
        assert_said("No space left on device");
    }
}

static void picture_of_a_record_is_refused(void **unused)
{
    (void)unused;
    const struct sl_state state = {0};
    open_writer(SL_BUS_STATE, SL_RECORD_STATE, sizeof state);
    sl_bus_write(writer, &state, sizeof state, 1);
    assert_int_equal(BUS_RUN("dump", SL_BUS_STATE, "--out", "f.jpg"), 1);
    assert_said("carries no frames");
    assert_int_not_equal(access("f.jpg", F_OK), 0); /* and no empty file is left */
}

static void misuse_is_told(void **unused)
{
    (void)unused;
    open_writer(SL_BUS_CAMERA, SL_RECORD_FRAME, sizeof pixels);
    assert_int_equal(BUS_RUN("dump"), 2);
    assert_said("name one bus; \"skylane bus ls\" shows which there are");
    assert_int_equal(BUS_RUN("dump", "a", "b"), 2);
    assert_int_equal(BUS_RUN("dump", "camera-feed"), 2);
    assert_said("did you mean \"camera_feed\"?");
    assert_int_equal(BUS_RUN("dump", "camera_feed", "--fromat", "png"), 2);
    assert_said("did you mean --format?");
    assert_int_equal(BUS_RUN("dump", "camera_feed", "--format", "gif"), 2);
    assert_said("--format is jpg, png, pgm, raw or json, not gif");
    assert_int_equal(BUS_RUN("dump", "camera_feed", "--out", "f.bmp"), 2);
    assert_said("say it with --format");
    assert_int_equal(BUS_RUN("dump", "camera_feed", "--count", "0"), 2);
    assert_said("--count is 0");
    assert_int_equal(BUS_RUN("dump", "camera_feed", "--count", "2", "--follow"), 2);
    assert_int_equal(BUS_RUN("dump", "--help"), 0);
    assert_said("examples:");
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(every_format_becomes_every_kind_of_file),
        CASE(mjpeg_stays_what_it_is),
        CASE(frame_whose_layout_lies_is_refused),
        CASE(detection_has_every_field),
        CASE(state_has_every_field),
        CASE(smaller_records_have_every_field),
        CASE(frame_as_json_tells_its_layout),
        CASE(unknown_records_are_bytes),
        CASE(record_of_another_size_is_refused),
        CASE(count_takes_them_in_order),
        CASE(what_came_meanwhile_comes_in_order),
        CASE(follow_ends_calmly_when_told_to),
        CASE(reader_that_has_enough_is_no_error),
        CASE(several_pictures_get_numbers),
        CASE(waits_for_a_bus_and_then_says_what_is_missing),
        CASE(full_disk_is_told),
        CASE(picture_of_a_record_is_refused),
        CASE(misuse_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
