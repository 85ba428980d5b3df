#include "camera.h"

#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "hal/camera/v4l2_device.h"
#include "rt/cli.h"

#define CAMERAS_MAX 32

struct listing {
    cJSON *modes;    /* NULL: for people */
    uint32_t fourcc; /* of the line that is being written; 0: none */
    bool least;      /* the mode before was the smallest of a range */
    unsigned told;   /* modes of this line */
};

static bool can_be_used(uint32_t fourcc)
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
               can_be_used(mode->fourcc) ? "" : " (not used by skylane)");
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

static void add_mode(cJSON *modes, const struct sl_v4l2_mode *mode)
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
    cJSON_AddBoolToObject(o, "used", can_be_used(mode->fourcc));
    cJSON_AddItemToArray(modes, o);
}

static void take_mode(void *context, const struct sl_v4l2_mode *mode)
{
    struct listing *l = context;
    if (l->modes != NULL)
        add_mode(l->modes, mode);
    else
        print_mode(l, mode);
    l->least = mode->is_least;
}

static void tell(cJSON *to, const struct sl_v4l2_info *info)
{
    struct sl_v4l2_device device;
    struct sl_error err = {0};
    struct listing l = {0};
    if (to != NULL) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "driver", "v4l2");
        cJSON_AddStringToObject(o, "source", info->path);
        cJSON_AddStringToObject(o, "name", info->card);
        cJSON_AddStringToObject(o, "kernel_driver", info->driver);
        cJSON_AddStringToObject(o, "bus", info->bus);
        l.modes = cJSON_AddArrayToObject(o, "modes");
        cJSON_AddItemToArray(to, o);
    } else {
        printf("v4l2:%s  %s (%s, %s)\n", info->path, info->card, info->driver, info->bus);
    }
    if (sl_v4l2_open(&device, info->path, &err) == 0)
        sl_v4l2_modes(&device, take_mode, &l);
    sl_v4l2_close(&device);
    if (to == NULL)
        puts(l.fourcc != 0 ? "" : "    (it tells no formats)");
}

int camera_list(const struct camera_options *o)
{
    struct sl_v4l2_info infos[CAMERAS_MAX];
    const size_t count = sl_v4l2_list(infos, CAMERAS_MAX);
    cJSON *list = o->json ? cJSON_CreateArray() : NULL;
    for (size_t i = 0; i < count && i < CAMERAS_MAX; i++)
        tell(list, &infos[i]);
    if (list != NULL) {
        char *text = cJSON_Print(list);
        puts(text);
        free(text);
        cJSON_Delete(list);
    }
    if (count > 0)
        return SL_EXIT_OK;
    struct sl_v4l2_device device;
    struct sl_error err = {0};
    if (sl_v4l2_open(&device, "", &err) == 0) /* it came meanwhile */
        sl_v4l2_close(&device);
    else
        fprintf(stderr, "skylane " CAMERA_VERB ": %s\n", err.text);
    return SL_EXIT_FAILED;
}
