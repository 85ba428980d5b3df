#include "detect_labels.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "app/programs/detect_calibration.h"
#include "hal/camera/image.h"

#define FILE_MAX ((size_t)8 << 20)

struct reader {
    const char *folder;
    struct sl_clip_calibrations *calibrations;
    struct sl_image_decoder *decoder;
    uint8_t *bytes; /* FILE_MAX and one */
};

static int read_file(struct reader *r, const char *name, size_t *size, struct sl_error *err)
{
    char path[2048];
    snprintf(path, sizeof path, "%s/%s", r->folder, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return sl_error_set(err, -errno, "%s cannot be read: %s", path, strerror(errno));
    *size = fread(r->bytes, 1, FILE_MAX, f);
    r->bytes[*size] = 0;
    fclose(f);
    return 0;
}

static int read_label(const cJSON *label, struct labelled_frame *f)
{
    const cJSON *file = cJSON_GetObjectItem(label, "raw_file");
    const cJSON *rows = cJSON_GetObjectItem(label, "h_samples");
    const cJSON *lanes = cJSON_GetObjectItem(label, "lanes");
    f->row_count = cJSON_GetArraySize(rows);
    if (!cJSON_IsString(file) || f->row_count > LABEL_ROWS_MAX || cJSON_GetArraySize(lanes) != 2)
        return -EINVAL;
    snprintf(f->file, sizeof f->file, "%s", file->valuestring);
    snprintf(f->clip, sizeof f->clip, "%.*s", (int)strcspn(f->file, "/"), f->file);
    for (int i = 0; i < f->row_count; i++) {
        f->rows_px[i] = cJSON_GetArrayItem(rows, i)->valuedouble;
        for (int side = 0; side < 2; side++) {
            const cJSON *u = cJSON_GetArrayItem(cJSON_GetArrayItem(lanes, side), i);
            f->lanes_px[side][i] = u ? u->valuedouble : -2;
        }
    }
    return 0;
}

static int read_picture(struct reader *r, struct labelled_frame *f, struct sl_error *err)
{
    size_t size;
    int rc = read_file(r, f->file, &size, err);
    if (rc)
        return rc;
    rc = sl_clip_calibration(r->calibrations, f->clip, &f->config, err);
    if (rc)
        return rc;
    const size_t room =
        (size_t)f->config.camera.width_px * f->config.camera.height_px * 2 + FILE_MAX;
    uint8_t *pixels = malloc(room);
    if (pixels == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for %s", f->file);
    rc = sl_image_decode(r->decoder, r->bytes, size, SL_FORMAT_NV12, pixels, room, &f->info, err);
    f->pixels = rc == 0 ? realloc(pixels, f->info.size_bytes) : NULL;
    if (f->pixels == NULL)
        free(pixels);
    return rc;
}

static int read_all(struct reader *r, struct labelled_frames *frames, struct sl_error *err)
{
    size_t size;
    int rc = read_file(r, "labels.jsonl", &size, err);
    if (rc)
        return rc;
    char *text = strdup((const char *)r->bytes), *rest = text;
    for (char *line; rc == 0 && rest && (line = strsep(&rest, "\n")) != NULL;) {
        cJSON *label = cJSON_Parse(line);
        if (label == NULL)
            continue;
        struct labelled_frame *more =
            realloc(frames->frames, (size_t)(frames->count + 1) * sizeof *more);
        if (more != NULL) {
            frames->frames = more;
            struct labelled_frame *f = &more[frames->count++];
            memset(f, 0, sizeof *f);
            rc = read_label(label, f);
            if (rc)
                sl_error_set(err, rc, "labels.jsonl: this is no label: %.80s", line);
            else
                rc = read_picture(r, f, err);
        } else {
            rc = sl_error_set(err, -ENOMEM, "no memory for the labels");
        }
        cJSON_Delete(label);
    }
    free(text);
    return rc;
}

int labels_read(struct labelled_frames *frames, const char *folder, struct sl_error *err)
{
    char path[2048];
    struct reader r = {.folder = folder};
    memset(frames, 0, sizeof *frames);
    snprintf(path, sizeof path, "%s/calibration.json", folder);
    int rc = sl_clip_calibrations_read(&r.calibrations, path, err);
    if (rc)
        return rc;
    r.decoder = sl_image_decoder_create();
    r.bytes = malloc(FILE_MAX + 1);
    if (r.decoder == NULL || r.bytes == NULL)
        rc = sl_error_set(err, -ENOMEM, "no memory for the labels");
    else
        rc = read_all(&r, frames, err);
    if (rc)
        labels_free(frames);
    free(r.bytes);
    sl_image_decoder_destroy(r.decoder);
    sl_clip_calibrations_free(r.calibrations);
    return rc;
}

void labels_free(struct labelled_frames *frames)
{
    for (int i = 0; i < frames->count; i++)
        free(frames->frames[i].pixels);
    free(frames->frames);
    memset(frames, 0, sizeof *frames);
}
