/* Answers each frame on detection_results: the frame of a detector in C, for
 * "skylane run --detector bus". It finds nothing; the finding is yours.
 *
 *   cc write_detections.c $(pkg-config --cflags --libs skylane-bus) -o write_detections */
#include <stdio.h>

#include <skylane/bus.h>

int main(void)
{
    const struct sl_bus_reader_config from = {.name = SL_BUS_CAMERA, .type = SL_RECORD_FRAME};
    const struct sl_bus_writer_config to = {.name = SL_BUS_DETECTION,
                                            .type = SL_RECORD_DETECTION,
                                            .slot_count = SL_BUS_RECORD_SLOTS,
                                            .slot_bytes = sizeof(struct sl_detection)};
    struct sl_bus_reader *camera = NULL;
    struct sl_bus_writer *answers = NULL;
    struct sl_bus_view view;
    struct sl_error err;
    if (sl_bus_writer_open(&answers, &to, &err) != 0 ||
        sl_bus_reader_open(&camera, &from, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    while (sl_bus_wait(camera, sl_bus_now_ns() + 2 * SL_NS_PER_S) == 0) {
        if (sl_bus_acquire_newest(camera, &view) != 0)
            continue;
        const struct sl_frame_info info = *(const struct sl_frame_info *)view.meta;
        struct sl_detection lane = {.frame_id = info.frame_id,
                                    .exposed_ns = info.exposed_ns,
                                    .received_ns = info.received_ns,
                                    .started_ns = sl_bus_now_ns(),
                                    .state = SL_LANE_LOST};
        /* Here: look for the lane at view.data, and fill in what was found. */
        if (sl_bus_release(camera, &view) != 0)
            continue; /* overwritten meanwhile: what was found is void */
        lane.finished_ns = sl_bus_now_ns();
        sl_bus_write(answers, &lane, sizeof lane, lane.exposed_ns);
    }
    sl_bus_reader_close(camera);
    sl_bus_writer_close(answers);
    return 0;
}
