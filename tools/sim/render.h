/* What the camera sees: perspective pictures of a track.
 *
 * Each pixel of the ground is looked up in the ground's texture (ground.h)
 * at a level that matches its size, far rows several times; markings are
 * projected as outlines and cover pixels by exact area (raster.h), drawn at
 * several moments of the exposure, which is what blurs them. Light is
 * reckoned with linearly: shadows, vignetting, headlights and haze multiply
 * it, glare and what the road mirrors (a low sun, or the sky where it is wet)
 * add to it; a tone curve with automatic exposure and the sensor's noise end it.
 *
 * The same configuration and the same sequence of views give the same bytes on
 * every machine. One thread at a time; nothing allocates after
 * sl_renderer_create(). */
#ifndef SL_TOOLS_SIM_RENDER_H
#define SL_TOOLS_SIM_RENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "app/detect/camera_model.h"
#include "rt/error.h"
#include "rt/frame.h"
#include "tools/sim/light.h"
#include "tools/sim/track.h"

struct sl_renderer; /* opaque */

struct sl_render_config {
    const struct sl_track *track;        /* must outlive the renderer */
    struct sl_camera_calibration camera; /* both sides even */
    uint64_t seed;
    enum sl_sim_light light;
    double wear;     /* of the markings, 0..1 */
    uint32_t format; /* SL_FORMAT_NV12, _BGR24 or _GRAY8 */
    bool noise;
};

/* Where the vehicle is in the middle of an exposure, and how it moves. */
struct sl_render_view {
    uint64_t frame_id; /* chooses the noise */
    uint64_t time_ns;  /* automatic exposure follows it */
    double x_m, y_m, yaw_rad;
    double speed_mps, yaw_rate_radps;
    double pitch_rad; /* of the body, positive looks down; adds to the camera's */
};

/* Prepares textures and tables: about a second. 0; -EINVAL (a number out of
 * range, named in `err`); -ENOMEM. `*renderer` is NULL on failure. */
int sl_renderer_create(struct sl_renderer **renderer, const struct sl_render_config *config,
                       struct sl_error *err);
void sl_renderer_destroy(struct sl_renderer *renderer); /* NULL is allowed */

/* Draws into `memory`, which has room for sl_frame_size_bytes() of the format
 * and the camera's size, rows tight. 800x600 NV12 takes 4 to 6 ms. */
void sl_renderer_draw(struct sl_renderer *renderer, const struct sl_render_view *view,
                      uint8_t *memory);

#endif
