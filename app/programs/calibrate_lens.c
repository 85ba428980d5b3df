/* The lens from pictures of a chessboard. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/calibrate/draw.h"
#include "calibrate.h"
#include "rt/cli.h"

#define DEGREES (180.0 / 3.14159265358979323846)

/* A picture and what became of it. */
struct shot {
    const char *path;
    const struct sl_chessboard_view *view; /* NULL: no board was found, or it could not be read */
    struct sl_error why;                   /* if so */
};

struct board_work {
    struct sl_picture_files list;
    struct sl_picture_file_reader *reader;
    struct sl_jpeg_encoder *encoder;
    struct shot *shots;
    struct sl_chessboard_view *views;
    float (*points)[2]; /* of all views: found, then fitted */
    size_t count;       /* of views */
    uint32_t width_px, height_px;
};

static int find_boards(struct board_work *w, const struct calibrate_options *o)
{
    const size_t corners = (size_t)o->board.columns * (size_t)o->board.rows;
    for (size_t i = 0; i < w->list.count && !sl_cli_stop_wanted(); i++) {
        struct shot *shot = &w->shots[i];
        struct sl_luma luma;
        struct sl_error err = {0};
        struct sl_chessboard_view *view = &w->views[w->count];
        view->corners = w->points + 2 * corners * w->count;
        view->fitted = view->corners + corners;
        shot->path = w->list.paths[i];
        calibrate_progress("pictures", i, w->list.count);
        int rc = calibrate_read_luma(w->reader, shot->path, &luma, &err);
        if (rc == 0 && w->width_px != 0 &&
            (luma.width_px != w->width_px || luma.height_px != w->height_px))
            rc = sl_error_set(&err, -EINVAL, "has %ux%u pixels, the others %ux%u", luma.width_px,
                              luma.height_px, w->width_px, w->height_px);
        if (rc == 0) {
            w->width_px = luma.width_px;
            w->height_px = luma.height_px;
            rc = sl_chessboard_find(&o->board, &luma, view->corners, &err);
        }
        if (rc == -ENOTSUP || rc == -ENOMEM)
            return calibrate_failed("%s", err.text);
        if (rc == 0)
            shot->view = &w->views[w->count++];
        else
            shot->why = err;
    }
    calibrate_progress("pictures", w->list.count, w->list.count);
    return 0;
}

static void print_shots(const struct board_work *w)
{
    printf("  %-32s %9s %6s\n", "picture", "error px", "tilt");
    for (size_t i = 0; i < w->list.count; i++) {
        const struct shot *s = &w->shots[i];
        if (s->view == NULL)
            printf("  %-32s %9s %6s   %s\n", s->path, "-", "-", s->why.text);
        else
            printf("  %-32s %9.2f %5.0f\u00b0%s\n", s->path, s->view->rms_px,
                   sl_lens_tilt_rad(s->view) * DEGREES,
                   s->view->used ? "" : "   left out: far worse than the others");
    }
}

static void print_lens(const struct sl_lens *l)
{
    const struct sl_camera_calibration *c = &l->camera;
    const struct sl_lens_deviation *d = &l->deviation;
    printf("\n  error         %.3f px root mean square, %u pictures used, %u left out\n", l->rms_px,
           l->used, l->outliers);
    printf("  focal length  fx %.2f \u00b1 %.2f   fy %.2f \u00b1 %.2f px   (%.1f\u00b0 across)\n",
           c->fx_px, d->fx_px, c->fy_px, d->fy_px,
           2 * atan(0.5 * c->width_px / c->fx_px) * DEGREES);
    printf("  centre        cx %.2f \u00b1 %.2f   cy %.2f \u00b1 %.2f px\n", c->cx_px, d->cx_px,
           c->cy_px, d->cy_px);
    printf("  distortion    k1 %.4f \u00b1 %.4f   k2 %.4f \u00b1 %.4f   p1 %.5f \u00b1 %.5f   p2 "
           "%.5f \u00b1 %.5f",
           c->k1, d->k1, c->k2, d->k2, c->p1, d->p1, c->p2, d->p2);
    if (l->with_k3)
        printf("   k3 %.4f \u00b1 %.4f", c->k3, d->k3);
    printf("\n  seen in       (corners by part of the picture; . is none)\n");
    for (int y = 0; y < SL_LENS_CELLS_Y; y++) {
        printf("               ");
        for (int x = 0; x < SL_LENS_CELLS_X; x++) {
            if (l->cells[y][x] > 0)
                printf("%5u", l->cells[y][x]);
            else
                printf("%5s", ".");
        }
        printf("\n");
    }
    for (uint32_t bit = 1; bit != 0 && bit <= l->doubts; bit <<= 1)
        if (l->doubts & bit)
            printf("  warning: %s\n", sl_lens_doubt_text(bit));
}

static void lens_json(const struct board_work *w, const struct sl_lens *l, cJSON *json)
{
    const struct sl_camera_calibration *c = &l->camera;
    const struct sl_lens_deviation *d = &l->deviation;
    const struct {
        const char *key;
        double value, sd;
    } numbers[] = {
        {"fx_px", c->fx_px, d->fx_px}, {"fy_px", c->fy_px, d->fy_px}, {"cx_px", c->cx_px, d->cx_px},
        {"cy_px", c->cy_px, d->cy_px}, {"k1", c->k1, d->k1},          {"k2", c->k2, d->k2},
        {"p1", c->p1, d->p1},          {"p2", c->p2, d->p2},          {"k3", c->k3, d->k3},
    };
    cJSON *lens = cJSON_AddObjectToObject(json, "lens");
    cJSON_AddNumberToObject(lens, "width_px", c->width_px);
    cJSON_AddNumberToObject(lens, "height_px", c->height_px);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        cJSON_AddNumberToObject(lens, numbers[i].key, numbers[i].value);
    cJSON *deviation = cJSON_AddObjectToObject(lens, "standard_deviation");
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        cJSON_AddNumberToObject(deviation, numbers[i].key, numbers[i].sd);
    cJSON_AddNumberToObject(lens, "rms_px", l->rms_px);
    cJSON_AddNumberToObject(lens, "used", l->used);
    cJSON_AddNumberToObject(lens, "left_out", l->outliers);
    cJSON_AddNumberToObject(lens, "tilted", l->tilted);
    cJSON_AddNumberToObject(lens, "reach", l->reach);
    cJSON *pictures = cJSON_AddArrayToObject(lens, "pictures");
    for (size_t i = 0; i < w->list.count; i++) {
        const struct shot *s = &w->shots[i];
        cJSON *p = cJSON_CreateObject();
        cJSON_AddStringToObject(p, "path", s->path);
        if (s->view != NULL) {
            cJSON_AddNumberToObject(p, "rms_px", s->view->rms_px);
            cJSON_AddNumberToObject(p, "tilt_rad", sl_lens_tilt_rad(s->view));
            cJSON_AddBoolToObject(p, "used", s->view->used);
        } else {
            cJSON_AddStringToObject(p, "problem", s->why.text);
        }
        cJSON_AddItemToArray(pictures, p);
    }
    cJSON *warnings = cJSON_AddArrayToObject(lens, "warnings");
    for (uint32_t bit = 1; bit != 0 && bit <= l->doubts; bit <<= 1)
        if (l->doubts & bit)
            cJSON_AddItemToArray(warnings, cJSON_CreateString(sl_lens_doubt_text(bit)));
}

static int draw(const struct board_work *w, const struct calibrate_options *o)
{
    for (size_t i = 0; i < w->list.count && !sl_cli_stop_wanted(); i++) {
        struct sl_canvas canvas;
        struct sl_error err = {0};
        if (w->shots[i].view == NULL)
            continue;
        int rc = calibrate_read_colour(w->reader, w->shots[i].path, &canvas, &err);
        if (rc == 0) {
            sl_draw_view(&canvas, &o->board, w->shots[i].view);
            rc = sl_picture_file_draw(w->encoder, &canvas, o->overlay, w->shots[i].path, &err);
        }
        if (rc != 0)
            return calibrate_failed("%s", err.text);
    }
    return 0;
}

static int solve(struct board_work *w, const struct calibrate_options *o,
                 struct calibrate_output *output, cJSON *json)
{
    struct sl_lens lens;
    struct sl_error err = {0};
    int rc = sl_lens_solve(&o->board, w->views, w->count, &output->camera, w->width_px,
                           w->height_px, &lens, &err);
    if (rc != 0) {
        for (size_t i = 0; i < w->list.count; i++)
            if (w->shots[i].view == NULL)
                fprintf(stderr, "  %s: %s\n", w->shots[i].path, w->shots[i].why.text);
        return calibrate_failed("%s", err.text);
    }
    output->camera = lens.camera;
    output->lens = true;
    snprintf(output->lens_note, sizeof output->lens_note,
             "chessboard %dx%d in %u pictures, %.2f px rms%s", o->board.columns, o->board.rows,
             lens.used, lens.rms_px, lens.doubts ? ", with warnings" : "");
    if (json != NULL) {
        lens_json(w, &lens, json);
    } else {
        printf("lens from pictures of %ux%u px, board of %dx%d inner corners\n", w->width_px,
               w->height_px, o->board.columns, o->board.rows);
        print_shots(w);
        print_lens(&lens);
    }
    return o->overlay != NULL ? draw(w, o) : 0;
}

int calibrate_lens(const struct calibrate_options *options, struct calibrate_output *output,
                   cJSON *json)
{
    struct board_work w = {0};
    const size_t corners = (size_t)options->board.columns * (size_t)options->board.rows;
    if (!sl_chessboard_available()) {
        struct sl_error err = {0};
        struct sl_luma none = {0};
        sl_chessboard_find(&options->board, &none, NULL, &err);
        return calibrate_failed("%s", err.text);
    }
    int status = calibrate_list_find(&w.list, "--images", options->images);
    if (status == 0) {
        w.reader = sl_picture_file_reader_create();
        w.encoder = sl_jpeg_encoder_create();
        w.shots = calloc(w.list.count, sizeof *w.shots);
        w.views = calloc(w.list.count, sizeof *w.views);
        w.points = calloc(w.list.count * 2 * corners, sizeof *w.points);
        if (w.reader == NULL || w.encoder == NULL || w.shots == NULL || w.views == NULL ||
            w.points == NULL)
            status = calibrate_failed("no memory for %zu pictures", w.list.count);
    }
    sl_cli_catch_stop();
    if (status == 0)
        status = find_boards(&w, options);
    if (status == 0 && sl_cli_stop_wanted())
        status = calibrate_failed(CALIBRATE_STOPPED);
    if (status == 0)
        status = solve(&w, options, output, json);
    sl_picture_file_reader_destroy(w.reader);
    sl_jpeg_encoder_destroy(w.encoder);
    free(w.shots);
    free(w.views);
    free(w.points);
    sl_picture_files_free(&w.list);
    return status;
}
