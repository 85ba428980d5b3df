#include "camera.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#include "app/camera/source.h"
#include "rt/cli.h"
#include "rt/clock.h"
#include "rt/log.h"
#include "rt/memory.h"
#include "rt/thread.h"

#define LOOK_NS (20 * SL_NS_PER_MS)

struct camera_loop {
    struct sl_source *source;
    _Atomic bool stop, ended;
    int rc; /* of the last round, once it has ended */
};

static void *loop_main(void *argument)
{
    struct camera_loop *loop = argument;
    while (loop->rc == 0 && !atomic_load_explicit(&loop->stop, memory_order_relaxed))
        loop->rc = sl_source_round(loop->source);
    atomic_store_explicit(&loop->ended, true, memory_order_release);
    return NULL;
}

/* What is not granted is told once, and the camera runs without. */
static int ask_for_realtime(const struct sl_settings *s, struct sl_log *log)
{
    struct sl_error lacks;
    int priority = 0;
    if (!s->realtime.enable)
        return 0;
    if (sl_thread_may_fifo((int)s->realtime.camera_priority, &lacks) == 0)
        priority = (int)s->realtime.camera_priority;
    else
        sl_log(log, SL_LOG_WARNING, "{}", sl_log_copy(lacks.text));
    if (sl_memory_lock(&lacks) != 0)
        sl_log(log, SL_LOG_WARNING, "{}", sl_log_copy(lacks.text));
    return priority;
}

static int run(struct camera_loop *loop, const struct camera_options *o, struct sl_log *log,
               struct sl_error *err)
{
    struct sl_thread thread;
    const struct sl_camera_caps *caps = sl_source_caps(loop->source);
    const struct sl_thread_config config = {.name = "sl-camera",
                                            .priority = ask_for_realtime(&o->settings, log),
                                            .cpu = (int)o->settings.realtime.camera_cpu};
    int rc = sl_source_start(loop->source, err);
    if (rc == 0)
        rc = sl_thread_start(&thread, &config, loop_main, loop, err);
    if (rc != 0)
        return rc;
    sl_log(log, SL_LOG_INFO, "camera: {} x {} px, {} a second; {}", sl_log_u64(caps->width_px),
           sl_log_u64(caps->height_px), sl_log_f64(caps->rate_hz),
           sl_log_copy(sl_source_transfer(loop->source)));
    while (!sl_cli_stop_wanted() && !atomic_load_explicit(&loop->ended, memory_order_acquire))
        sl_clock_sleep_until_ns(sl_clock_now_ns() + LOOK_NS);
    atomic_store_explicit(&loop->stop, true, memory_order_relaxed);
    sl_thread_join(&thread);
    if (loop->rc == -EPIPE)
        return sl_error_set(err, -EPIPE,
                            "the camera runs and gives no frames, however often it is started "
                            "anew; check its cable");
    return 0;
}

int camera_run(const struct camera_options *o)
{
    struct camera_loop loop = {0};
    struct sl_error err = {0};
    struct sl_log *log = NULL;
    int rc = sl_log_open(&log, stderr, o->quiet ? SL_LOG_WARNING : SL_LOG_INFO, &err);
    if (rc == 0)
        rc = sl_source_open(&loop.source, &o->settings, log, &err);
    if (rc == 0)
        rc = run(&loop, o, log, &err);
    sl_source_close(loop.source);
    sl_log_close(log);
    if (rc != 0)
        fprintf(stderr, "skylane " CAMERA_VERB ": %s\n", err.text);
    return rc == 0 ? SL_EXIT_OK : SL_EXIT_FAILED;
}
