/* Records as JSON, for people and scripts: each field by its name in
 * rt/records.h, unit and all, and words for what is a code there. */
#ifndef SL_NET_RECORD_JSON_H
#define SL_NET_RECORD_JSON_H

#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "rt/error.h"

/* `data` holds `size` bytes of a record of `type` (enum sl_record_type; of a
 * frame: its struct sl_frame_info). NULL with a sentence if the type is not
 * known here, or the size is another than the type's. The caller deletes it. */
cJSON *sl_record_json(uint32_t type, const void *data, size_t size, struct sl_error *err);

#endif
