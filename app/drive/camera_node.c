#include <errno.h>

#include "app/drive/nodes.h"

void *sl_camera_node_main(void *argument)
{
    struct sl_drive *drive = argument;
    struct sl_camera_node *node = &drive->camera;
    while (!atomic_load_explicit(&drive->stop_sources, memory_order_relaxed)) {
        if (sl_source_round(node->source) == -ENODATA) {
            atomic_store_explicit(&node->finished, true, memory_order_relaxed);
            break;
        }
        sl_node_round(drive, &node->thread);
    }
    sl_node_end(&node->thread);
    return NULL;
}
