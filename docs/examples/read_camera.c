/* Prints each frame's number, size and age, until no frame came for two seconds.
 *
 *   cc read_camera.c $(pkg-config --cflags --libs skylane-bus) -o read_camera */
#include <inttypes.h>
#include <stdio.h>

#include <skylane/bus.h>

int main(void)
{
    const struct sl_bus_reader_config config = {.name = SL_BUS_CAMERA, .type = SL_RECORD_FRAME};
    struct sl_bus_reader *camera;
    struct sl_bus_view view;
    struct sl_error err;
    if (sl_bus_reader_open(&camera, &config, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    while (sl_bus_wait(camera, sl_bus_now_ns() + 2 * SL_NS_PER_S) == 0) {
        if (sl_bus_acquire_newest(camera, &view) != 0)
            continue; /* the writer closed between the two calls */
        const struct sl_frame_info info = *(const struct sl_frame_info *)view.meta;
        const double age_us = (double)(sl_bus_now_ns() - view.published_ns) / 1e3;
        /* Here the picture can be read at view.data, once sl_frame_check(&info,
         * view.size, &err) has said that its rows lie inside. */
        if (sl_bus_release(camera, &view) != 0)
            continue; /* overwritten while it was held: what was read may be torn */
        printf("frame %" PRIu64 "  %" PRIu32 " x %" PRIu32 " px  %" PRIu32 " bytes  %.0f us old\n",
               info.frame_id, info.width_px, info.height_px, info.size_bytes, age_us);
    }
    fprintf(stderr, "no frame for two seconds. %s\n", sl_bus_reader_problem(camera));
    sl_bus_reader_close(camera);
    return 0;
}
