/* V4L2 cameras on a real kernel: vivid's, which fails on demand. Skipped where there
 * is none (modprobe vivid n_devs=2 multiplanar=1,2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/videodev2.h>

#include "app/camera/source.h"
#include "app/camera/watch.h"
#include "hal/camera/camera.h"
#include "hal/camera/v4l2_device.h"
#include "rt/clock.h"
#include "rt/records.h"

#define SKIPPED     77
#define WIDTH_PX    640
#define HEIGHT_PX   360
#define PATIENCE_NS (10 * SL_NS_PER_S) /* an emulated machine is slow */
#define FRAMES      5

/* vivid's controls; drivers/media/test-drivers/vivid/vivid-ctrls.c has no header for
 * programs. */
enum {
    VIVID_DROPPED_PERCENT = 0x00f0f040,
    VIVID_DISCONNECT = 0x00f0f041,
    VIVID_FLAG_ERROR = 0x00f0f042,
    VIVID_REQBUFS_ERROR = 0x00f0f043,
    VIVID_QBUF_ERROR = 0x00f0f044,
    VIVID_STREAMON_ERROR = 0x00f0f045,
    VIVID_FATAL_ERROR = 0x00f0f046,
};

static struct sl_error err;
static struct sl_v4l2_info vivids[2];
static size_t vivid_count;
static uint8_t memory[WIDTH_PX * HEIGHT_PX * 4] __attribute__((aligned(64)));

static void inject(uint32_t id, int32_t value)
{
    struct v4l2_control c = {.id = id, .value = value};
    const int fd = open(vivids[0].path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(sl_v4l2_ioctl(fd, VIDIOC_S_CTRL, &c), 0);
    close(fd);
}

static int open_fds(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static struct sl_camera *open_camera(const char *path, uint32_t fourcc)
{
    const struct sl_camera_config config = {.driver = "v4l2",
                                            .source = path,
                                            .width_px = WIDTH_PX,
                                            .height_px = HEIGHT_PX,
                                            .fourcc = fourcc,
                                            .rate_hz = 15};
    struct sl_camera *camera = NULL;
    if (sl_camera_open(&camera, &config, &err) != 0)
        fail_msg("%s", err.text);
    return camera;
}

static void start(struct sl_camera *camera)
{
    if (sl_camera_start(camera, &err) != 0)
        fail_msg("%s", err.text);
}

static int fill(struct sl_camera *camera, struct sl_frame_info *info)
{
    return sl_camera_fill(camera, memory, sizeof memory, info, sl_clock_now_ns() + PATIENCE_NS);
}

static void check_frame(const struct sl_frame_info *info, const void *pixels, uint64_t asked_ns)
{
    struct sl_frame_digest digest;
    const uint64_t now_ns = sl_clock_now_ns();
    assert_int_equal(info->width_px, WIDTH_PX);
    assert_int_equal(info->height_px, HEIGHT_PX);
    assert_true(info->exposed_ns <= info->received_ns && info->received_ns <= now_ns);
    assert_true(info->exposed_ns + SL_NS_PER_S > asked_ns);
    sl_frame_digest(info, pixels, &digest);
    assert_true(digest.brightest > 150); /* colour bars */
}

/* ---- formats, and ways for them to come ---- */

static void every_format_is_delivered(void **state)
{
    (void)state;
    static const uint32_t FORMATS[] = {SL_FORMAT_NV12, SL_FORMAT_YUYV, SL_FORMAT_GRAY8,
                                       SL_FORMAT_BGR24};
    for (size_t d = 0; d < vivid_count; d++)
        for (size_t i = 0; i < sizeof FORMATS / sizeof FORMATS[0]; i++) {
            char name[5];
            struct sl_camera *camera = open_camera(vivids[d].path, FORMATS[i]);
            uint64_t last = 0;
            start(camera);
            for (int k = 0; k < FRAMES; k++) {
                struct sl_frame_info info;
                const uint64_t asked_ns = sl_clock_now_ns();
                assert_int_equal(fill(camera, &info), 0);
                assert_int_equal(info.fourcc, FORMATS[i]);
                assert_true(info.frame_id > last);
                last = info.frame_id;
                check_frame(&info, memory, asked_ns);
            }
            print_message("%s %s: %s\n", vivids[d].path, sl_frame_format_name(FORMATS[i], name),
                          sl_camera_transfer(camera));
            sl_camera_close(camera);
        }
}

static struct sl_bus_writer *open_writer(size_t bytes, bool huge)
{
    struct sl_bus_writer *writer = NULL;
    const struct sl_bus_writer_config config = {.name = "v4l2_test",
                                                .type = SL_RECORD_FRAME,
                                                .slot_count = 7,
                                                .slot_bytes = bytes,
                                                .huge_pages = huge,
                                                .dmabufs = true};
    if (sl_bus_writer_open(&writer, &config, &err) != 0)
        fail_msg("%s", err.text);
    return writer;
}

/* Frames straight into a bus's slots. */
static void take_shared(const char *path, uint32_t fourcc, bool huge, const char *transfer)
{
    struct sl_camera *camera = open_camera(path, fourcc);
    struct sl_bus_writer *writer = open_writer(sl_camera_caps(camera)->frame_bytes, huge);
    struct sl_bus_payloads areas;
    struct sl_bus_loan loans[7];
    sl_bus_writer_payloads(writer, &areas);
    if (sl_camera_share(camera, &areas, &err) != 0)
        fail_msg("%s", err.text);
    if (transfer != NULL)
        assert_string_equal(sl_camera_transfer(camera), transfer);
    else
        print_message("pages of kind %u: %s\n", sl_bus_writer_pages(writer),
                      sl_camera_transfer(camera));
    for (int round = 0; round < 2; round++) { /* stopping takes all areas back */
        start(camera);
        for (uint32_t i = 0; i < sl_camera_caps(camera)->areas; i++) {
            struct sl_bus_loan loan;
            sl_bus_loan(writer, &loan);
            memset(loan.data, 0, loan.capacity);
            loans[loan.slot] = loan;
            assert_int_equal(sl_camera_queue(camera, loan.slot), 0);
            assert_int_equal(sl_camera_queue(camera, loan.slot), -EINVAL);
        }
        for (int k = 0; k < FRAMES; k++) {
            struct sl_frame_info info;
            uint32_t area;
            const uint64_t asked_ns = sl_clock_now_ns();
            assert_int_equal(sl_camera_take(camera, &area, &info, sl_clock_now_ns() + PATIENCE_NS),
                             0);
            assert_int_equal(info.fourcc, fourcc);
            check_frame(&info, loans[area].data, asked_ns);
            memset(loans[area].data, 0, loans[area].capacity);
            assert_int_equal(sl_camera_queue(camera, area), 0);
        }
        sl_camera_stop(camera);
        for (int i = 0; i < 7; i++)
            sl_bus_cancel(writer, &(struct sl_bus_loan){.slot = (uint32_t)i});
    }
    sl_camera_close(camera);
    sl_bus_writer_close(writer);
}

static void dmabufs_of_the_bus_are_written_to(void **state)
{
    (void)state;
    if (access("/dev/udmabuf", F_OK) != 0)
        skip();
    for (size_t d = 0; d < vivid_count; d++) {
        take_shared(vivids[d].path, SL_FORMAT_NV12, false, "zero copy (DMABUF)");
        take_shared(vivids[d].path, SL_FORMAT_YUYV, false, "zero copy (DMABUF)");
    }
}

/* Linux 6.12 shows vivid, which has no DMA, another memory than ours. */
static void huge_pages_are_written_to_whole(void **state)
{
    (void)state;
    for (size_t d = 0; d < vivid_count; d++)
        take_shared(vivids[d].path, SL_FORMAT_NV12, true, NULL);
}

static void without_udmabuf_user_pointers_are(void **state)
{
    (void)state;
    const bool away = rename("/dev/udmabuf", "/dev/udmabuf-away") == 0;
    for (size_t d = 0; d < vivid_count; d++) {
        take_shared(vivids[d].path, SL_FORMAT_NV12, true, "zero copy (USERPTR)");
        take_shared(vivids[d].path, SL_FORMAT_GRAY8, false, "zero copy (USERPTR)");
    }
    if (away)
        assert_int_equal(rename("/dev/udmabuf-away", "/dev/udmabuf"), 0);
}

/* ---- what does not open ---- */

static void wrong_wishes_are_told(void **state)
{
    (void)state;
    struct sl_camera_config config = {
        .driver = "v4l2", .source = vivids[0].path, .width_px = 333, .height_px = 111};
    struct sl_camera *camera;
    assert_int_equal(sl_camera_open(&camera, &config, &err), -EINVAL);
    print_message("%s\n", err.text);
    assert_non_null(strstr(err.text, "640x360"));
    config.width_px = WIDTH_PX;
    config.height_px = HEIGHT_PX;
    config.source = "nosuchcamera";
    assert_int_equal(sl_camera_open(&camera, &config, &err), -ENODEV);
    assert_non_null(strstr(err.text, vivids[0].path));
    config.source = vivids[0].path;
    config.focus_locked = true;
    assert_int_equal(sl_camera_open(&camera, &config, &err), -ENOTSUP);
    assert_non_null(strstr(err.text, "camera.focus"));
    config.focus_locked = false;
    config.gain = 100000;
    assert_int_equal(sl_camera_open(&camera, &config, &err), -ERANGE);
    assert_non_null(strstr(err.text, "camera.gain"));
}

static void a_camera_in_use_is_told(void **state)
{
    (void)state;
    struct sl_camera *first = open_camera(vivids[0].path, SL_FORMAT_NV12), *second = NULL;
    const struct sl_camera_config config = {
        .driver = "v4l2", .source = vivids[0].path, .width_px = WIDTH_PX, .height_px = HEIGHT_PX};
    start(first);
    assert_int_equal(sl_camera_open(&second, &config, &err), -EBUSY);
    assert_non_null(strstr(err.text, "in use"));
    sl_camera_close(first);
}

/* ---- faults ---- */

static void broken_frames_are_counted(void **state)
{
    (void)state;
    struct sl_camera *camera = open_camera(vivids[0].path, SL_FORMAT_NV12);
    struct sl_frame_info info;
    struct sl_camera_drops drops;
    start(camera);
    assert_int_equal(fill(camera, &info), 0);
    inject(VIVID_FLAG_ERROR, 1);
    int rc;
    do
        rc = fill(camera, &info);
    while (rc == 0 && info.frame_id < 100);
    if (rc == 0) /* it lay behind a good one, which was newer */
        assert_true(info.dropped > 0);
    else
        assert_int_equal(rc, -EPROTO);
    sl_camera_drops(camera, &drops);
    assert_true(drops.corrupt >= 1);
    assert_int_equal(fill(camera, &info), 0);
    assert_true(info.dropped >= 1);
    sl_camera_close(camera);
}

static void gaps_of_the_sensor_are_counted(void **state)
{
    (void)state;
    struct sl_camera *camera = open_camera(vivids[0].path, SL_FORMAT_NV12);
    struct sl_frame_info info;
    struct sl_camera_drops drops;
    start(camera);
    inject(VIVID_DROPPED_PERCENT, 60);
    for (int i = 0; i < 20; i++)
        assert_int_equal(fill(camera, &info), 0);
    inject(VIVID_DROPPED_PERCENT, 0);
    sl_camera_drops(camera, &drops);
    assert_true(drops.sensor > 0);
    assert_int_equal(info.frame_id, 20 + drops.sensor + drops.no_area + drops.late + drops.corrupt);
    sl_camera_close(camera);
}

static void want_of_memory_is_told_from_gaps_of_the_sensor(void **state)
{
    (void)state;
    struct sl_camera *camera = open_camera(vivids[0].path, SL_FORMAT_NV12);
    struct sl_bus_writer *writer = open_writer(sl_camera_caps(camera)->frame_bytes, false);
    struct sl_bus_payloads areas;
    struct sl_frame_info info;
    struct sl_camera_drops drops;
    uint32_t area;
    sl_bus_writer_payloads(writer, &areas);
    assert_int_equal(sl_camera_share(camera, &areas, &err), 0);
    start(camera);
    for (uint32_t i = 0; i < sl_camera_caps(camera)->areas; i++)
        assert_int_equal(sl_camera_queue(camera, i), 0);
    for (uint32_t i = 0; i < sl_camera_caps(camera)->areas; i++) /* and gets none back */
        assert_int_equal(sl_camera_take(camera, &area, &info, sl_clock_now_ns() + PATIENCE_NS), 0);
    assert_int_equal(sl_camera_take(camera, &area, &info, sl_clock_now_ns() + SL_NS_PER_S),
                     -ETIMEDOUT);
    for (uint32_t i = 0; i < sl_camera_caps(camera)->areas; i++)
        assert_int_equal(sl_camera_queue(camera, i), 0);
    assert_int_equal(sl_camera_take(camera, &area, &info, sl_clock_now_ns() + PATIENCE_NS), 0);
    sl_camera_drops(camera, &drops);
    assert_true(drops.no_area > 0);
    sl_camera_close(camera);
    sl_bus_writer_close(writer);
}

static void failures_to_start_are_told_and_repeatable(void **state)
{
    (void)state;
    static const uint32_t ERRORS[] = {VIVID_REQBUFS_ERROR, VIVID_QBUF_ERROR, VIVID_STREAMON_ERROR};
    struct sl_camera *camera = open_camera(vivids[0].path, SL_FORMAT_NV12);
    const int fds = open_fds();
    for (size_t i = 0; i < 3; i++) {
        struct sl_frame_info info;
        inject(ERRORS[i], 1);
        assert_true(sl_camera_start(camera, &err) < 0);
        assert_non_null(strstr(err.text, "does not start"));
        start(camera);
        assert_int_equal(fill(camera, &info), 0);
        sl_camera_stop(camera);
        assert_int_equal(open_fds(), fds);
    }
    sl_camera_close(camera);
}

/* Until the camera says that it is gone; frames that were ready come first. */
static int fill_until_gone(struct sl_camera *camera)
{
    struct sl_frame_info info;
    int rc;
    do
        rc = fill(camera, &info);
    while (rc == 0 || rc == -EPROTO);
    return rc;
}

static void a_fatal_error_and_a_pulled_plug_end_in_a_new_start(void **state)
{
    (void)state;
    static const uint32_t ERRORS[] = {VIVID_FATAL_ERROR, VIVID_DISCONNECT};
    for (size_t i = 0; i < 2; i++) {
        struct sl_camera *camera = open_camera(vivids[0].path, SL_FORMAT_NV12);
        const int fds = open_fds();
        struct sl_frame_info info;
        start(camera);
        assert_int_equal(fill(camera, &info), 0);
        const uint64_t before = info.frame_id;
        inject(ERRORS[i], 1);
        assert_int_equal(fill_until_gone(camera), -EPIPE);
        assert_non_null(strstr(sl_camera_problem(camera), "gone"));
        sl_camera_stop(camera);
        start(camera); /* vivid comes back when nobody has it open */
        assert_int_equal(fill(camera, &info), 0);
        assert_true(info.frame_id > before);
        assert_int_equal(open_fds(), fds);
        sl_camera_close(camera);
    }
}

static void stops_and_starts_leave_nothing_behind(void **state)
{
    (void)state;
    struct sl_camera *camera = open_camera(vivids[0].path, SL_FORMAT_YUYV);
    const int fds = open_fds();
    for (int i = 0; i < 10; i++) {
        struct sl_frame_info info;
        start(camera);
        if (i % 2 == 0)
            assert_int_equal(fill(camera, &info), 0);
        sl_camera_stop(camera);
    }
    assert_int_equal(open_fds(), fds);
    sl_camera_close(camera);
}

/* ---- at work ---- */

static struct sl_settings settings;
static struct sl_source *source;
static _Atomic bool stop;

static void *run_source(void *argument)
{
    (void)argument;
    while (!stop)
        sl_source_round(source);
    return NULL;
}

static struct sl_camera_status await(struct sl_bus_reader *statuses, uint32_t trouble)
{
    struct sl_camera_status status = {0};
    const uint64_t give_up_ns = sl_clock_now_ns() + 3 * PATIENCE_NS;
    do {
        sl_bus_wait(statuses, sl_clock_now_ns() + SL_NS_PER_S);
        sl_bus_read_newest(statuses, &status, sizeof status, NULL);
        if (sl_clock_now_ns() > give_up_ns)
            fail_msg("the trouble is still %u, not %u (%s)", status.trouble, trouble,
                     status.problem);
    } while (status.published_ns == 0 || status.trouble != trouble);
    return status;
}

static void the_source_recovers_from_all_of_them(void **state)
{
    (void)state;
    static const uint32_t ERRORS[] = {VIVID_FATAL_ERROR, VIVID_DISCONNECT};
    pthread_t thread;
    struct sl_bus_reader *statuses;
    const struct sl_bus_reader_config reader = {.name = SL_BUS_CAMERA_STATUS,
                                                .type = SL_RECORD_CAMERA,
                                                .min_bytes = sizeof(struct sl_camera_status)};
    sl_settings_defaults(&settings);
    strcpy(settings.camera.driver, "v4l2");
    strcpy(settings.camera.source, vivids[0].path);
    settings.camera.width_px = WIDTH_PX;
    settings.camera.height_px = HEIGHT_PX;
    settings.camera.rate_hz = 5; /* the emulated processor keeps up with this */
    settings.camera.good_frames = 3;
    if (sl_source_open(&source, &settings, NULL, &err) != 0 || sl_source_start(source, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(sl_bus_reader_open(&statuses, &reader, &err), 0);
    stop = false;
    pthread_create(&thread, NULL, run_source, NULL);
    await(statuses, SL_CAMERA_GOOD);
    for (uint64_t i = 0; i < 2; i++) {
        inject(ERRORS[i], 1);
        struct sl_camera_status status = await(statuses, SL_CAMERA_STALLED);
        assert_int_equal(status.troubles, i + 1);
        status = await(statuses, SL_CAMERA_GOOD);
        assert_true(status.restarts > i);
        assert_true(status.recovery_last_ns > 0);
        print_message("recovered after %.0f ms\n", (double)status.recovery_last_ns * 1e-6);
    }
    stop = true;
    pthread_join(thread, NULL);
    sl_source_close(source);
    sl_bus_reader_close(statuses);
}

/* ---- finding vivid ---- */

static int find_vivids(void **state)
{
    struct sl_v4l2_info infos[16];
    (void)state;
    const size_t count = sl_v4l2_list(infos, 16);
    for (size_t i = 0; i < count && i < 16 && vivid_count < 2; i++) {
        struct v4l2_input input = {0};
        const int fd = open(infos[i].path, O_RDWR | O_CLOEXEC);
        if (strcmp(infos[i].driver, "vivid") == 0 &&
            sl_v4l2_ioctl(fd, VIDIOC_ENUMINPUT, &input) == 0)
            vivids[vivid_count++] = infos[i];
        close(fd);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_is_delivered),
        cmocka_unit_test(dmabufs_of_the_bus_are_written_to),
        cmocka_unit_test(huge_pages_are_written_to_whole),
        cmocka_unit_test(without_udmabuf_user_pointers_are),
        cmocka_unit_test(wrong_wishes_are_told),
        cmocka_unit_test(a_camera_in_use_is_told),
        cmocka_unit_test(broken_frames_are_counted),
        cmocka_unit_test(gaps_of_the_sensor_are_counted),
        cmocka_unit_test(want_of_memory_is_told_from_gaps_of_the_sensor),
        cmocka_unit_test(failures_to_start_are_told_and_repeatable),
        cmocka_unit_test(a_fatal_error_and_a_pulled_plug_end_in_a_new_start),
        cmocka_unit_test(stops_and_starts_leave_nothing_behind),
        cmocka_unit_test(the_source_recovers_from_all_of_them),
    };
    find_vivids(NULL);
    if (vivid_count == 0) {
        puts("skipped: this machine has no vivid (modprobe vivid n_devs=2 multiplanar=1,2)");
        return SKIPPED;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
