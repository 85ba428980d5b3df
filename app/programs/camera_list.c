#include "camera.h"

#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "hal/camera/libcamera.h"
#include "hal/camera/v4l2_device.h"
#include "rt/cli.h"

#define CAMERAS_MAX 32

struct listing {
    bool (*can_be_used)(uint32_t fourcc);
    cJSON *modes;    /* NULL: for people */
    uint32_t fourcc; /* of the line that is being written; 0: none */
    bool least;      /* the mode before was the smallest of a range */
    unsigned told;   /* modes of this line */
};

/* Of both drivers, told alike. */
static bool v4l2_can_be_used(uint32_t fourcc)
{
    return fourcc == SL_FORMAT_NV12 || fourcc == SL_FORMAT_YUYV || fourcc == SL_FORMAT_GRAY8 ||
           fourcc == SL_FORMAT_BGR24 || fourcc == SL_FORMAT_MJPEG;
}

static void print_mode(struct listing *l, const struct sl_v4l2_mode *mode)
{
    char name[5];
    if (mode->fourcc != l->fourcc) {
        printf("%s    %-5s%s ", l->fourcc == 0 ? "" : "\n",
               sl_frame_format_name(mode->fourcc, name),
               l->can_be_used(mode->fourcc) ? "" : " (not used by skylane)");
        l->fourcc = mode->fourcc;
        l->told = 0;
    }
    printf("%s%ux%u",
           l->least       ? " to "
           : l->told == 0 ? ""
                          : ", ",
           mode->width_px, mode->height_px);
    if (mode->rate_hz > 0 && !mode->is_least)
        printf(" %g/s", mode->rate_hz);
    l->told++;
}

static void add_mode(const struct listing *l, const struct sl_v4l2_mode *mode)
{
    char name[5];
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "format", sl_frame_format_name(mode->fourcc, name));
    cJSON_AddNumberToObject(o, "width_px", mode->width_px);
    cJSON_AddNumberToObject(o, "height_px", mode->height_px);
    cJSON_AddBoolToObject(o, "least_of_range", mode->is_least);
    if (mode->rate_hz > 0)
        cJSON_AddNumberToObject(o, "rate_max_hz", mode->rate_hz);
    else
        cJSON_AddNullToObject(o, "rate_max_hz");
    cJSON_AddBoolToObject(o, "used", l->can_be_used(mode->fourcc));
    cJSON_AddItemToArray(l->modes, o);
}

static void take_mode(void *context, const struct sl_v4l2_mode *mode)
{
    struct listing *l = context;
    if (l->modes != NULL)
        add_mode(l, mode);
    else
        print_mode(l, mode);
    l->least = mode->is_least;
}

/* The head of one camera; its modes follow. */
static struct listing begin(cJSON *to, const char *driver, const char *source, const char *name,
                            const char *more)
{
    struct listing l = {0};
    if (to == NULL) {
        printf("%s:%s  %s%s%s%s\n", driver, source, name, more[0] != '\0' ? " (" : "", more,
               more[0] != '\0' ? ")" : "");
        return l;
    }
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "driver", driver);
    cJSON_AddStringToObject(o, "source", source);
    cJSON_AddStringToObject(o, "name", name);
    cJSON_AddStringToObject(o, "where", more);
    l.modes = cJSON_AddArrayToObject(o, "modes");
    cJSON_AddItemToArray(to, o);
    return l;
}

static void end(const struct listing *l)
{
    if (l->modes == NULL)
        puts(l->fourcc != 0 ? "" : "    (it tells no formats)");
}

static void tell_v4l2(cJSON *to, const struct sl_v4l2_info *info)
{
    struct sl_v4l2_device device;
    struct sl_error err = {0};
    char more[64];
    snprintf(more, sizeof more, "%s, %s", info->driver, info->bus);
    struct listing l = begin(to, "v4l2", info->path, info->card, more);
    l.can_be_used = v4l2_can_be_used;
    if (sl_v4l2_open(&device, info->path, &err) == 0)
        sl_v4l2_modes(&device, take_mode, &l);
    sl_v4l2_close(&device);
    end(&l);
}

struct all {
    cJSON *list; /* NULL: for people */
    size_t count;
};

static void tell_libcamera(void *context, const struct sl_libcamera_info *info)
{
    struct all *all = context;
    struct listing l = begin(all->list, "libcamera", info->id, info->model, "");
    l.can_be_used = sl_libcamera_can_use;
    for (size_t i = 0; i < info->mode_count; i++) {
        const struct sl_libcamera_mode *m = &info->modes[i];
        struct sl_v4l2_mode mode = {.fourcc = m->fourcc,
                                    .width_px = m->least_width_px,
                                    .height_px = m->least_height_px,
                                    .is_least = true};
        if (m->least_width_px != m->largest_width_px || m->least_height_px != m->largest_height_px)
            take_mode(&l, &mode);
        mode.width_px = m->largest_width_px;
        mode.height_px = m->largest_height_px;
        mode.is_least = false;
        take_mode(&l, &mode);
    }
    end(&l);
    all->count++;
}

/* Why there is none, of either driver. */
static void tell_none(const struct sl_error *libcamera)
{
    struct sl_v4l2_device device;
    struct sl_error err = {0};
    if (sl_v4l2_open(&device, "", &err) == 0) { /* it came meanwhile */
        sl_v4l2_close(&device);
        return;
    }
    fprintf(stderr, "skylane " CAMERA_VERB ": %s\n", err.text);
    if (libcamera->text[0] != '\0')
        fprintf(stderr, "skylane " CAMERA_VERB ": %s\n", libcamera->text);
}

int camera_list(const struct camera_options *o)
{
    struct sl_v4l2_info infos[CAMERAS_MAX];
    struct sl_error err = {0};
    struct all all = {.list = o->json ? cJSON_CreateArray() : NULL,
                      .count = sl_v4l2_list(infos, CAMERAS_MAX)};
    for (size_t i = 0; i < all.count && i < CAMERAS_MAX; i++)
        tell_v4l2(all.list, &infos[i]);
    sl_libcamera_list(tell_libcamera, &all, &err);
    if (all.list != NULL) {
        char *text = cJSON_Print(all.list);
        puts(text);
        free(text);
        cJSON_Delete(all.list);
    }
    if (all.count == 0)
        tell_none(&err);
    return all.count > 0 ? SL_EXIT_OK : SL_EXIT_FAILED;
}
