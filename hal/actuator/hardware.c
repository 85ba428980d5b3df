/* The vehicle's side of hardware outputs: commands go into memory that is shared
 * with a helper process, which alone talks to the device. See helper.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hal/actuator/drivers.h"
#include "hal/actuator/helper.h"
#include "hal/actuator/output.h"
#include "rt/bus_futex.h"
#include "rt/child.h"
#include "rt/log.h"

#define OPEN_NS      (8 * SL_NS_PER_S) /* longer than any device takes to open */
#define OPEN_POLL_NS (2 * SL_NS_PER_MS)
#define SILENT_NS    (200 * SL_NS_PER_MS) /* a helper that says nothing for so long hangs */
#define HANGS_NS     (400 * SL_NS_PER_MS) /* then it is killed, and its successor goes neutral */
#define PATIENCE_NS  (5 * SL_NS_PER_S)    /* for it to end in: it may be opening the device */
#define STATUS_TRIES 1000
#define RESTART_NS   (1 * SL_NS_PER_MS) /* until then a PWM chip holds its last pulses */

struct hardware {
    struct sl_helper_page *page;
    int fd; /* of the page, for each start of the helper; -1: none */
    struct sl_child *child;
    struct sl_log *log;
    _Atomic uint64_t restarts;

    /* the tending thread's own */
    struct sl_actuator_status told;
    bool tells;              /* it is open: what happens is told in the log */
    pid_t helper;            /* the one that was seen last */
    uint64_t spare_until_ns; /* it may still be opening the device */
};

/* ---- commands ---- */

static bool is_alive(const struct hardware *h, uint64_t now_ns)
{
    return atomic_load_explicit(&h->page->beat_ns, memory_order_acquire) + SILENT_NS > now_ns;
}

static uint32_t state_now(const struct hardware *h)
{
    return atomic_load_explicit(&h->page->state, memory_order_relaxed);
}

static void pass(struct hardware *h, const struct sl_helper_command *command)
{
    sl_latch_write(&h->page->command, command, sizeof *command);
    /* SYNC with the acquire in the helper: it sees the command behind the bell. */
    atomic_fetch_add_explicit(&h->page->bell, 1, memory_order_release);
    sl_futex_wake_shared(&h->page->bell, 1);
}

static int hardware_send(void *state, const struct sl_command *command)
{
    struct hardware *h = state;
    const uint64_t now_ns = sl_clock_now_ns();
    const bool alive = is_alive(h, now_ns);
    const uint32_t now = state_now(h);
    pass(h, &(struct sl_helper_command){.sent_ns = now_ns,
                                        .expires_ns = command->expires_ns,
                                        .steering_rad = command->steering_rad,
                                        .speed_mps = command->speed_mps});
    return alive && (now == SL_OUTPUTS_ARMING || now == SL_OUTPUTS_READY) ? 0 : -EIO;
}

static int hardware_neutral(void *state, const struct sl_command *command)
{
    struct hardware *h = state;
    const uint64_t now_ns = sl_clock_now_ns();
    const bool alive = is_alive(h, now_ns);
    const uint32_t now = state_now(h);
    (void)command;
    pass(h, &(struct sl_helper_command){.sent_ns = now_ns, .neutral = true});
    return alive && now >= SL_OUTPUTS_ARMING && now <= SL_OUTPUTS_STOPPED ? 0 : -EIO;
}

/* ---- what is told ---- */

static void hear(void *state, enum sl_child_news news, const char *text)
{
    struct hardware *h = state;
    if (news == SL_CHILD_ENDED)
        sl_log(h->log, SL_LOG_ERROR, "nobody holds the outputs: {}", sl_log_copy(text));
    else
        sl_log(h->log, SL_LOG_INFO, "{}", sl_log_copy(text));
}

static bool works(const struct sl_actuator_status *status)
{
    return status->state == SL_OUTPUTS_ARMING || status->state == SL_OUTPUTS_READY;
}

static void tell(struct hardware *h, const struct sl_actuator_status *now)
{
    struct sl_actuator_status *told = &h->told;
    if (strcmp(now->problem, told->problem) != 0 && now->problem[0] != '\0')
        sl_log(h->log, SL_LOG_WARNING, "{}{}",
               sl_log_text(works(now) ? "outputs work again, but once did not: " : "outputs: "),
               sl_log_copy(now->problem));
    if (works(now) && !works(told))
        sl_log(h->log, SL_LOG_INFO, "the outputs are neutral and take commands");
    if (now->lease_ends > 0 && told->lease_ends == 0)
        sl_log(h->log, SL_LOG_WARNING,
               "no command came in time, and the outputs went neutral by themselves");
    *told = *now;
}

/* A stopped or hanging helper leaves a PWM chip at its last pulses. */
static void end_hanging(struct hardware *h)
{
    const uint64_t now_ns = sl_clock_now_ns();
    const pid_t pid = sl_child_pid(h->child);
    if (pid != h->helper) {
        h->helper = pid;
        h->spare_until_ns = now_ns + OPEN_NS;
        if (is_alive(h, now_ns))
            h->spare_until_ns = now_ns;
    }
    const uint64_t beat_ns = atomic_load_explicit(&h->page->beat_ns, memory_order_acquire);
    if (pid <= 0 || now_ns < h->spare_until_ns || beat_ns + HANGS_NS > now_ns)
        return;
    sl_log(h->log, SL_LOG_ERROR, "outputs: skylane-actuator hangs, and is killed");
    kill(pid, SIGKILL);
    h->spare_until_ns = now_ns + OPEN_NS;
}

static void hardware_tend(void *state)
{
    struct hardware *h = state;
    struct sl_actuator_status now;
    uint64_t count;
    sl_child_poll(h->child);
    end_hanging(h);
    atomic_store_explicit(&h->restarts, sl_child_restarts(h->child), memory_order_relaxed);
    if (sl_latch_try_read(&h->page->status, &now, sizeof now, &count) && count > 0)
        tell(h, &now);
}

static int hardware_status(void *state, struct sl_actuator_status *status)
{
    struct hardware *h = state;
    uint64_t count;
    int tries = STATUS_TRIES; /* it may have died while it wrote */
    while (!sl_latch_try_read(&h->page->status, status, sizeof *status, &count))
        if (--tries == 0)
            return -EAGAIN;
    status->restarts = atomic_load_explicit(&h->restarts, memory_order_relaxed);
    return 0;
}

static void sum_up(struct hardware *h)
{
    struct sl_actuator_status s;
    uint64_t count;
    if (!h->tells || !sl_latch_try_read(&h->page->status, &s, sizeof s, &count) || s.writes == 0)
        return;
    sl_log(h->log, s.errors == 0 ? SL_LOG_INFO : SL_LOG_WARNING,
           "outputs: {} writes, the longest {} us; {} errors, {} of them made up for; {} commands "
           "ran out",
           sl_log_u64(s.writes), sl_log_u64(s.write_max_ns / SL_NS_PER_US), sl_log_u64(s.errors),
           sl_log_u64(s.recovered), sl_log_u64(s.lease_ends));
}

/* ---- opening ---- */

static int make_page(struct hardware *h, const char *device,
                     const struct sl_actuator_config *config, struct sl_error *err)
{
    h->fd = memfd_create("skylane_outputs", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (h->fd < 0 || ftruncate(h->fd, sizeof *h->page) != 0)
        return sl_error_set(err, -errno, "no memory for the outputs' commands");
    fcntl(h->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    void *at =
        mmap(NULL, sizeof *h->page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, h->fd, 0);
    if (at == MAP_FAILED)
        return sl_error_set(err, -errno, "no memory for the outputs' commands");
    h->page = at;
    h->page->layout = SL_HELPER_LAYOUT;
    h->page->bytes = sizeof *h->page;
    h->page->owner = getpid();
    snprintf(h->page->device, sizeof h->page->device, "%s", device);
    h->page->config = *config->output;
    return 0;
}

/* Until the device is set up and neutral, or cannot be. */
static int await_outputs(struct hardware *h, struct sl_error *err)
{
    const uint64_t give_up_ns = sl_clock_now_ns() + OPEN_NS;
    for (;;) {
        const uint64_t now_ns = sl_clock_sleep_until_ns(sl_clock_now_ns() + OPEN_POLL_NS);
        uint64_t count;
        if (sl_latch_try_read(&h->page->status, &h->told, sizeof h->told, &count)) {
            if (h->told.state == SL_OUTPUTS_FAILED)
                return sl_error_set(err, h->told.code, "%s", h->told.problem);
            if (h->told.state != SL_OUTPUTS_OPENING)
                return 0;
        }
        if (!sl_child_poll(h->child))
            return sl_error_set(err, -EIO, "%s", sl_child_end(h->child));
        if (now_ns > give_up_ns)
            return sl_error_set(err, -ETIMEDOUT, "the outputs' device does not open within %d s",
                                (int)(OPEN_NS / SL_NS_PER_S));
    }
}

static int open_hardware(struct hardware *h, const char *device,
                         const struct sl_actuator_config *config, struct sl_error *err)
{
    struct sl_pulse pulse;
    h->log = config->log;
    if (config->output == NULL)
        return sl_error_set(err, -EINVAL, "the actuator \"%s\" needs its outputs' settings",
                            device);
    int rc = sl_pulse_init(&pulse, &config->output->pulse, err);
    if (rc == 0)
        rc = make_page(h, device, config, err);
    const char *const arguments[] = {device, NULL}; /* for who lists processes */
    const struct sl_child_config child = {.program = SL_HELPER_PROGRAM,
                                          .arguments = arguments,
                                          .given_fd = h->fd,
                                          .orphan_signal = SIGTERM, /* it goes neutral */
                                          .again = true,
                                          .delay_ns = RESTART_NS,
                                          .say = hear,
                                          .context = h};
    if (rc == 0)
        rc = sl_child_open(&h->child, &child, err);
    if (rc == 0)
        rc = await_outputs(h, err);
    if (rc != 0)
        return rc;
    h->tells = true;
    return 0;
}

static void hardware_close(void *state)
{
    struct hardware *h = state;
    sl_child_stop(h->child, PATIENCE_NS);
    sl_child_close(h->child);
    h->child = NULL;
    if (h->page != NULL) {
        sum_up(h);
        munmap(h->page, sizeof *h->page);
        close(h->fd);
    }
    h->page = NULL;
}

#define DRIVER(device, text)                                                                       \
    static int device##_open(void *state, const struct sl_actuator_config *config,                 \
                             struct sl_error *err)                                                 \
    {                                                                                              \
        return open_hardware(state, #device, config, err);                                         \
    }                                                                                              \
    const struct sl_actuator_driver sl_actuator_##device = {                                       \
        .name = #device,                                                                           \
        .help = text,                                                                              \
        .state_bytes = sizeof(struct hardware),                                                    \
        .open = device##_open,                                                                     \
        .send = hardware_send,                                                                     \
        .neutral = hardware_neutral,                                                               \
        .close = hardware_close,                                                                   \
        .tend = hardware_tend,                                                                     \
        .status = hardware_status,                                                                 \
    };

DRIVER(pca9685, "servo and ESC at a PCA9685 board on I2C; target: ignored")
DRIVER(pwm, "servo and ESC at two PWM outputs of the kernel; target: ignored")
DRIVER(serial, "a microcontroller at a serial port (docs/serial.md); target: ignored")
DRIVER(vesc, "a VESC motor controller at a serial port; target: ignored")
