#include "hal/actuator/helper.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hal/actuator/output.h"
#include "rt/bus_futex.h"
#include "rt/memory.h"
#include "rt/thread.h"

#define BEAT_NS     (20 * SL_NS_PER_MS)
#define STEP_NS     (10 * SL_NS_PER_MS)  /* while the steering moves at its rate, or a brake ends */
#define RETRY_NS    (2 * SL_NS_PER_MS)   /* after a write that failed */
#define GIVE_UP_NS  (50 * SL_NS_PER_MS)  /* writes that fail so long are a failed device */
#define REOPEN_NS   (50 * SL_NS_PER_MS)  /* soon: a PWM chip drives on meanwhile */
#define LAST_NS     (200 * SL_NS_PER_MS) /* for the last neutral to succeed in */
#define STACK_BYTES (256 * 1024)

struct helper {
    struct sl_helper_page *page;
    const struct sl_output_device *device;
    void *state;
    _Atomic bool end;

    /* the writing thread's own */
    struct sl_pulse pulse;
    struct sl_helper_command command; /* newest */
    uint64_t commands;                /* of those */
    bool driving;                     /* the newest command's lease runs */
    bool open;
    uint64_t open_at_ns; /* when to try; if not open */
    uint64_t armed_ns;   /* from then on the throttle is passed on */
    struct sl_output written;
    uint64_t rewrite_at_ns, check_at_ns;
    uint64_t failing_since_ns; /* 0: it does not */
    struct sl_output_report report;
    struct sl_actuator_status status;
};

/* ---- the device ---- */

static void publish(struct helper *h, uint64_t now_ns)
{
    h->status.beat_ns = now_ns;
    atomic_store_explicit(&h->page->state, h->status.state, memory_order_relaxed);
    /* SYNC with the acquire in is_alive(): who sees the beat sees its state. */
    atomic_store_explicit(&h->page->beat_ns, now_ns, memory_order_release);
    sl_latch_write(&h->page->status, &h->status, sizeof h->status);
}

static void note_problem(struct helper *h, int code, const char *text)
{
    h->status.code = code;
    snprintf(h->status.problem, sizeof h->status.problem, "%.*s", (int)sizeof h->status.problem - 1,
             text);
}

static void note_state(struct helper *h, uint64_t now_ns)
{
    if (h->report.emergency_stop) {
        h->status.state = SL_OUTPUTS_STOPPED;
        note_problem(h, -ECANCELED, h->report.emergency);
    } else {
        h->status.state = now_ns < h->armed_ns ? SL_OUTPUTS_ARMING : SL_OUTPUTS_READY;
    }
    h->status.battery_mv = h->report.battery_mv;
    h->status.speed_mps = h->report.speed_mps;
    h->status.speed_ns = h->report.speed_ns;
}

static void close_device(struct helper *h)
{
    h->device->close(h->state);
    h->open = false;
    h->status.speed_mps = NAN; /* nobody measures any more */
    h->status.battery_mv = 0;
}

static void open_device(struct helper *h)
{
    struct sl_error err = {0};
    const uint64_t asked_ns = sl_clock_now_ns();
    const struct sl_output neutral = {.pulses = sl_pulse_neutral(&h->pulse, asked_ns),
                                      .valid_ms = SL_HELPER_LEASE_MAX_NS / SL_NS_PER_MS};
    memset(h->state, 0, h->device->state_bytes);
    h->report = (struct sl_output_report){.speed_mps = NAN};
    const int rc = h->device->open(h->state, &h->page->config, &neutral, &err);
    const uint64_t now_ns = sl_clock_now_ns();
    if (rc != 0) {
        note_problem(h, rc, err.text);
        if (h->status.state != SL_OUTPUTS_FAILED) /* it counts once, however often it is tried */
            h->status.errors++;
        h->status.state = SL_OUTPUTS_FAILED;
        close_device(h);
        h->open_at_ns = now_ns + REOPEN_NS;
        return;
    }
    h->open = true;
    h->failing_since_ns = 0;
    h->written = neutral;
    h->rewrite_at_ns = now_ns + h->device->rewrite_ns;
    h->check_at_ns = now_ns + h->device->check_ns;
    h->armed_ns = now_ns + (uint64_t)(h->page->config.arming_ms * (double)SL_NS_PER_MS);
    h->status.reopened++;
    note_state(h, now_ns);
}

/* Tries again soon, and gives the device up when that has not helped. */
static void take_failure(struct helper *h, int code, const char *text, uint64_t now_ns)
{
    h->status.errors++;
    note_problem(h, code, text);
    if (h->failing_since_ns == 0)
        h->failing_since_ns = now_ns;
    /* A chip that forgot its set-up does not get it back by writing pulses. */
    if (now_ns - h->failing_since_ns < GIVE_UP_NS && code != -ENODATA) {
        h->rewrite_at_ns = h->check_at_ns = now_ns + RETRY_NS;
        return;
    }
    h->status.state = SL_OUTPUTS_FAILED;
    close_device(h);
    h->open_at_ns = code == -ENODATA ? now_ns : now_ns + REOPEN_NS;
}

static void take_success(struct helper *h)
{
    if (h->failing_since_ns != 0)
        h->status.recovered++;
    h->failing_since_ns = 0;
}

static int write_device(struct helper *h, const struct sl_output *output, struct sl_error *err)
{
    const uint64_t before_ns = sl_clock_now_ns();
    const int rc = h->device->write(h->state, output, err);
    h->status.write_last_ns = sl_clock_now_ns() - before_ns;
    if (h->status.write_last_ns > h->status.write_max_ns)
        h->status.write_max_ns = h->status.write_last_ns;
    if (rc != 0)
        return rc;
    h->status.writes++;
    h->status.steering_us = (float)output->pulses.steering_us;
    h->status.throttle_us = (float)output->pulses.throttle_us;
    h->written = *output;
    return 0;
}

/* ---- what to put out ---- */

static uint64_t lease_end_ns(const struct sl_helper_command *c)
{
    const uint64_t latest_ns = c->sent_ns + SL_HELPER_LEASE_MAX_NS;
    return c->expires_ns < latest_ns ? c->expires_ns : latest_ns;
}

static void take_command(struct helper *h, uint64_t now_ns)
{
    struct sl_helper_command command;
    uint64_t count;
    /* Half written: the bell rings when it is whole. If its writer died in
     * between, the lease of the one before ends. */
    if (sl_latch_try_read(&h->page->command, &command, sizeof command, &count) &&
        count != h->commands) {
        h->commands = count;
        h->command = command;
        h->driving = !command.neutral && now_ns < lease_end_ns(&command);
    }
    if (h->driving && now_ns >= lease_end_ns(&h->command)) {
        h->driving = false;
        h->status.lease_ends++;
    }
}

static struct sl_output make_output(struct helper *h, uint64_t now_ns)
{
    struct sl_output out = {.valid_ms = SL_HELPER_LEASE_MAX_NS / SL_NS_PER_MS};
    if (!h->driving) {
        out.pulses = sl_pulse_neutral(&h->pulse, now_ns);
        return out;
    }
    const bool arming = now_ns < h->armed_ns;
    out.pulses = sl_pulse_drive(&h->pulse, now_ns, (double)h->command.steering_rad,
                                arming ? 0 : (double)h->command.speed_mps);
    out.valid_ms = (uint32_t)((lease_end_ns(&h->command) - now_ns) / SL_NS_PER_MS) + 1;
    return out;
}

static bool same(const struct sl_pulses *a, const struct sl_pulses *b)
{
    return a->steering_us == b->steering_us && a->throttle_us == b->throttle_us &&
           a->steering_rad == b->steering_rad && a->speed_mps == b->speed_mps &&
           a->neutral == b->neutral;
}

static void drive_device(struct helper *h, uint64_t now_ns)
{
    struct sl_error err = {0};
    const struct sl_output out = make_output(h, now_ns);
    int rc = 0;
    bool tried = false;
    const bool waits = h->failing_since_ns != 0 && now_ns < h->rewrite_at_ns;
    if (!waits && (now_ns >= h->rewrite_at_ns || !same(&out.pulses, &h->written.pulses))) {
        rc = write_device(h, &out, &err);
        tried = true;
        h->rewrite_at_ns = now_ns + h->device->rewrite_ns;
    }
    if (rc == 0 && now_ns >= h->check_at_ns) {
        rc = h->device->check(h->state, &h->report, &err);
        tried = true;
        h->check_at_ns = now_ns + h->device->check_ns;
    }
    if (rc != 0) {
        take_failure(h, rc, err.text, sl_clock_now_ns());
        return;
    }
    if (tried)
        take_success(h);
    note_state(h, now_ns);
}

/* ---- the writing thread ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_round_ns(const struct helper *h, uint64_t now_ns)
{
    uint64_t next_ns = now_ns + BEAT_NS;
    if (h->driving)
        next_ns = earlier(next_ns, lease_end_ns(&h->command));
    if (!h->open)
        return earlier(next_ns, h->open_at_ns);
    next_ns = earlier(earlier(next_ns, h->rewrite_at_ns), h->check_at_ns);
    const struct sl_pulse_config *pulse = &h->page->config.pulse;
    if (h->driving && (pulse->steering_rate_usps != 0 || pulse->throttle_brake_us != 0))
        next_ns = earlier(next_ns, now_ns + STEP_NS);
    return next_ns;
}

/* Neutral, and seen to be there where the device can be read. */
static void end_neutral(struct helper *h)
{
    const uint64_t give_up_ns = sl_clock_now_ns() + LAST_NS;
    int rc = h->open ? -EAGAIN : 0;
    while (rc != 0 && sl_clock_now_ns() < give_up_ns) {
        struct sl_error err;
        const struct sl_output neutral = {.pulses = sl_pulse_neutral(&h->pulse, sl_clock_now_ns()),
                                          .valid_ms = SL_HELPER_LEASE_MAX_NS / SL_NS_PER_MS};
        rc = write_device(h, &neutral, &err);
        if (rc == 0)
            rc = h->device->check(h->state, &h->report, &err);
        if (rc != 0)
            sl_clock_sleep_until_ns(sl_clock_now_ns() + RETRY_NS);
    }
    close_device(h);
}

static void *write_outputs(void *argument)
{
    struct helper *h = argument;
    while (!atomic_load_explicit(&h->end, memory_order_acquire)) {
        const uint32_t bell = atomic_load_explicit(&h->page->bell, memory_order_acquire);
        uint64_t now_ns = sl_clock_now_ns();
        take_command(h, now_ns);
        if (h->open)
            drive_device(h, now_ns);
        else if (now_ns >= h->open_at_ns)
            open_device(h);
        now_ns = sl_clock_now_ns();
        publish(h, now_ns);
        sl_futex_wait_shared_until(&h->page->bell, bell, next_round_ns(h, now_ns));
    }
    end_neutral(h);
    return NULL;
}

/* ---- its life ---- */

static int map_page(int fd, struct sl_helper_page **page, struct sl_error *err)
{
    struct stat file;
    void *at = MAP_FAILED;
    if (fstat(fd, &file) == 0 && (uint64_t)file.st_size == sizeof **page)
        at = mmap(NULL, sizeof **page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    *page = at;
    if (at == MAP_FAILED || (*page)->layout != SL_HELPER_LAYOUT || (*page)->bytes != sizeof **page)
        return sl_error_set(err, -EINVAL,
                            "this program is started by \"skylane run\", of the same version, and "
                            "does nothing by itself");
    return 0;
}

/* Sleeps until there is a reason to end. */
static void await_end(pid_t owner, int signals)
{
    struct pollfd ends[] = {{.fd = (int)syscall(SYS_pidfd_open, owner, 0), .events = POLLIN},
                            {.fd = signals, .events = POLLIN}};
    /* A pid is not reused while its parenthood holds: this is the one meant. */
    while (getppid() == owner && poll(ends, 2, -1) < 0 && errno == EINTR)
        ;
    if (ends[0].fd >= 0)
        close(ends[0].fd);
}

static int start(struct helper *h, struct sl_thread *thread, struct sl_error *err)
{
    h->device = sl_output_find(h->page->device);
    if (h->device == NULL)
        return sl_error_set(err, -EINVAL, "there is no output device \"%.15s\"", h->page->device);
    int rc = sl_pulse_init(&h->pulse, &h->page->config.pulse, err);
    if (rc != 0)
        return rc;
    h->state = calloc(1, h->device->state_bytes);
    if (h->state == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for an output device");
    h->status.speed_mps = NAN;
    /* A helper before this one may have died while it wrote. */
    const uint64_t version = atomic_load_explicit(&h->page->status.version, memory_order_relaxed);
    if (version % 2 != 0)
        atomic_store_explicit(&h->page->status.version, version + 1, memory_order_relaxed);
    struct sl_error lacks; /* "skylane run" has said it */
    (void)sl_memory_lock(&lacks);
    const struct sl_thread_config config = {.name = "sl-outputs",
                                            .priority = h->page->config.priority,
                                            .cpu = -1,
                                            .stack_bytes = STACK_BYTES};
    return sl_thread_start(thread, &config, write_outputs, h, err);
}

int sl_actuator_helper_run(int fd, struct sl_error *err)
{
    struct helper h = {0};
    struct sl_thread thread = {0};
    int rc = map_page(fd, &h.page, err);
    if (rc != 0)
        return rc;
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    const int signals = signalfd(-1, &ends, SFD_CLOEXEC);
    rc = start(&h, &thread, err);
    if (rc == 0) {
        await_end(h.page->owner, signals);
        atomic_store_explicit(&h.end, true, memory_order_release);
        atomic_fetch_add_explicit(&h.page->bell, 1, memory_order_release);
        sl_futex_wake_shared(&h.page->bell, 1);
        sl_thread_join(&thread);
    }
    free(h.state);
    close(signals);
    munmap(h.page, sizeof *h.page);
    return rc;
}
