/* Sends the simulator's frames through a real V4L2 device: shows each on an output
 * (v4l2loopback's), captures it with our own driver, sees that not a byte was changed,
 * and publishes what was captured under the frame's own identity and times, so that
 * everything behind it runs in lockstep with the device.
 *
 *   v4l2_mirror OUTPUT CAPTURE FROM_BUS TO_BUS
 *   v4l2_mirror /dev/video7 /dev/video7 sim_feed camera_feed
 *
 * Ends when the bus does, or at Ctrl-C. Exit status: 0 (every frame came through), 1, 2. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hal/camera/camera.h"
#include "rt/bus.h"
#include "rt/cli.h"
#include "rt/clock.h"
#include "rt/records.h"
#include "tests/target/v4l2_output.h"

#define PATIENCE_NS (10 * SL_NS_PER_S)
#define OLD_MAX     8 /* frames that were on their way before */

struct mirror {
    const char *output, *capture, *from, *to;
    int fd; /* of the output */
    struct sl_bus_reader *reader;
    struct sl_bus_writer *writer;
    struct sl_camera *camera;
    uint8_t *captured;
    size_t capacity;
    uint64_t frames, old;
};

static int open_capture(struct mirror *m, const struct sl_frame_info *info, struct sl_error *err)
{
    const struct sl_camera_config config = {.driver = "v4l2",
                                            .source = m->capture,
                                            .width_px = info->width_px,
                                            .height_px = info->height_px,
                                            .fourcc = info->fourcc};
    int rc = sl_camera_open(&m->camera, &config, err);
    if (rc != 0)
        return rc;
    m->capacity = (sl_camera_caps(m->camera)->frame_bytes + 63) / 64 * 64;
    m->captured = aligned_alloc(64, m->capacity);
    const struct sl_bus_writer_config bus = {.name = m->to,
                                             .type = SL_RECORD_FRAME,
                                             .slot_count = SL_BUS_FRAME_SLOTS,
                                             .slot_bytes = m->capacity};
    if (m->captured == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for a frame");
    rc = sl_bus_writer_open(&m->writer, &bus, err);
    return rc == 0 ? sl_camera_start(m->camera, err) : rc;
}

/* Shows one frame and waits until the camera sees it. */
static int pass(struct mirror *m, const struct sl_frame_info *info, const uint8_t *pixels,
                struct sl_error *err)
{
    const int shown = v4l2_output_show(m->fd, pixels, info->size_bytes, err);
    if (shown != 0)
        return shown;
    for (int i = 0; i <= OLD_MAX; i++) {
        struct sl_frame_info seen;
        const int rc = sl_camera_fill(m->camera, m->captured, m->capacity, &seen,
                                      sl_clock_now_ns() + PATIENCE_NS);
        if (rc != 0)
            return sl_error_set(err, rc, "the camera gives no frame: %s",
                                sl_camera_problem(m->camera));
        if (seen.size_bytes == info->size_bytes &&
            memcmp(m->captured, pixels, seen.size_bytes) == 0) {
            m->frames++;
            return 0;
        }
        m->old++;
    }
    return sl_error_set(err, -EPROTO, "what was shown is not what is seen");
}

static void publish(struct mirror *m, const struct sl_frame_info *info)
{
    struct sl_bus_loan loan;
    sl_bus_loan(m->writer, &loan);
    memcpy(loan.meta, info, sizeof *info);
    memcpy(loan.data, m->captured, info->size_bytes);
    sl_bus_publish(m->writer, &loan, info->size_bytes, info->exposed_ns);
}

static int take(struct mirror *m, struct sl_error *err)
{
    struct sl_bus_view view;
    struct sl_frame_info info;
    int rc = sl_bus_acquire_next(m->reader, &view);
    if (rc != 0)
        return rc;
    memcpy(&info, view.meta, sizeof info);
    rc = sl_frame_check(&info, view.size, err);
    if (rc == 0 && m->camera == NULL) {
        m->fd = v4l2_output_open(m->output, &info, err);
        rc = m->fd < 0 ? m->fd : 0;
        if (rc == 0) /* v4l2loopback captures only from somebody who writes */
            rc = v4l2_output_show(m->fd, view.data, info.size_bytes, err);
        if (rc == 0)
            rc = open_capture(m, &info, err);
    }
    if (rc == 0)
        rc = pass(m, &info, view.data, err);
    sl_bus_release(m->reader, &view);
    if (rc == 0)
        publish(m, &info);
    return rc;
}

int main(int argc, char **argv)
{
    struct sl_error err = {0};
    if (argc != 5) {
        fputs("usage: v4l2_mirror OUTPUT CAPTURE FROM_BUS TO_BUS\n", stderr);
        return SL_EXIT_MISUSE;
    }
    struct mirror m = {
        .output = argv[1], .capture = argv[2], .from = argv[3], .to = argv[4], .fd = -1};
    const struct sl_bus_reader_config reader = {.name = m.from, .type = SL_RECORD_FRAME};
    sl_cli_catch_stop();
    int rc = sl_bus_reader_open(&m.reader, &reader, &err);
    while (rc == 0 && !sl_cli_stop_wanted()) {
        rc = sl_bus_wait(m.reader, sl_clock_now_ns() + SL_NS_PER_S / 10);
        if (rc == 0)
            rc = take(&m, &err);
        if (rc == -EPIPE && m.frames > 0)
            break; /* the simulator is done */
        if (rc == -ETIMEDOUT || rc == -EAGAIN || rc == -EPIPE)
            rc = 0;
    }
    printf("v4l2_mirror: %" PRIu64 " frames through %s byte for byte, %" PRIu64
           " old ones passed over\n",
           m.frames, m.capture, m.old);
    if (err.text[0] != '\0')
        fprintf(stderr, "v4l2_mirror: %s\n", err.text);
    sl_camera_close(m.camera);
    sl_bus_writer_close(m.writer);
    sl_bus_reader_close(m.reader);
    if (m.fd >= 0)
        close(m.fd);
    free(m.captured);
    return err.text[0] == '\0' && m.frames > 0 ? SL_EXIT_OK : SL_EXIT_FAILED;
}
