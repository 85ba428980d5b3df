#include <errno.h>

#include "app/drive/nodes.h"
#include "rt/clock.h"

/* Long enough not to matter, short enough to stop soon. */
#define WAIT_NS (50 * SL_NS_PER_MS)

void *sl_camera_node_main(void *argument)
{
    struct sl_drive *drive = argument;
    struct sl_camera_node *node = &drive->camera;
    bool told_gone = false;
    while (!atomic_load_explicit(&drive->stop_sources, memory_order_relaxed)) {
        struct sl_bus_loan loan;
        sl_bus_loan(node->writer, &loan);
        struct sl_frame_info *info = loan.meta;
        int rc = sl_camera_fill(node->camera, loan.data, loan.capacity, info,
                                sl_clock_now_ns() + WAIT_NS);
        if (rc == 0) {
            sl_bus_publish(node->writer, &loan, info->size_bytes, info->exposed_ns);
            told_gone = false;
        } else {
            sl_bus_cancel(node->writer, &loan);
        }
        if (rc == -ENODATA) {
            sl_log(drive->log, SL_LOG_INFO, "camera: that was the last picture");
            atomic_store_explicit(&node->finished, true, memory_order_relaxed);
            break;
        }
        if (rc == -EPROTO) {
            uint64_t faulty = atomic_fetch_add_explicit(&node->faulty, 1, memory_order_relaxed) + 1;
            if ((faulty & (faulty - 1)) == 0) /* the 1st, 2nd, 4th, 8th ... */
                sl_log(drive->log, SL_LOG_WARNING, "camera: {} broken frames were dropped",
                       sl_log_u64(faulty));
        }
        if (rc == -EPIPE && !told_gone) {
            sl_log(drive->log, SL_LOG_WARNING,
                   "camera: the source is gone; driving goes on when it is back");
            told_gone = true;
        }
        if (rc != 0 && rc != -ETIMEDOUT && rc != -EPROTO)
            sl_clock_sleep_until_ns(sl_clock_now_ns() + 10 * SL_NS_PER_MS);
        sl_node_round(drive, &node->thread);
    }
    return NULL;
}
