/* The measurements of "skylane bus bench" with iceoryx in the bus's place:
 * polled, with a WaitSet, and with a Listener. Each has an iox-roudi of its own,
 * with a pool of chunks for the frames and nothing else. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <iceoryx_binding_c/listener.h>
#include <iceoryx_binding_c/log.h>
#include <iceoryx_binding_c/publisher.h>
#include <iceoryx_binding_c/runtime.h>
#include <iceoryx_binding_c/subscriber.h>
#include <iceoryx_binding_c/wait_set.h>

#include "tools/bus/bench_program.h"

/* Of 256 subscribers to a publisher and 300 processes, as it is packaged. */
#define READERS 200

/* Frames that exist at once: those in a reader's queue, in hands, and one that
 * is drawn. */
#define ROUDI_CONFIG                                                                               \
    "[general]\nversion = 1\n[[segment]]\n[[segment.mempool]]\nsize = 6300000\ncount = 8\n"
#define ROUDI_READY "RouDi is ready for clients"

struct writer {
    iox_pub_storage_t storage;
    iox_pub_t publisher;
    uint32_t frame_bytes;
};

struct reader {
    iox_sub_storage_t storage;
    iox_sub_t subscriber;
    iox_ws_storage_t wait_set_storage;
    iox_ws_t wait_set;
    iox_listener_storage_t listener_storage;
    iox_listener_t listener;
    const void *chunk;
    void (*arrived)(void *context);
    void *context;
};

static int temporary_file(const char *content, char path[32])
{
    snprintf(path, 32, "/tmp/bus_iceoryx.XXXXXX");
    int fd = mkstemp(path);
    size_t length = strlen(content);
    if (fd >= 0 && write(fd, content, length) != (ssize_t)length) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool says_ready(int fd)
{
    char text[4096] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    return n > 0 && strstr(text, ROUDI_READY) != NULL;
}

static pid_t wait_for_roudi(pid_t pid, int output, struct sl_error *err)
{
    for (int tries = 0; tries < 1000; tries++) {
        if (says_ready(output))
            return pid;
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return (pid_t)sl_error_set(err, -ENOENT,
                                       "iox-roudi did not start; is it installed (apt-get install "
                                       "iceoryx), and does none run already?");
        usleep(10000);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return (pid_t)sl_error_set(err, -ETIMEDOUT, "iox-roudi does not say that it is ready");
}

static pid_t start_roudi(struct sl_error *err)
{
    char config[32], log[32];
    int config_fd = temporary_file(ROUDI_CONFIG, config), output = temporary_file("", log);
    if (config_fd < 0 || output < 0)
        return (pid_t)sl_error_set(err, -EIO, "cannot write to /tmp");
    pid_t pid = fork();
    if (pid == 0) {
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        /* It need not watch processes: that would only disturb. */
        execlp("iox-roudi", "iox-roudi", "-c", config, "-m", "off", "-l", "error", NULL);
        _exit(1);
    }
    pid_t answer = pid < 0 ? (pid_t)sl_error_set(err, -errno, "cannot start a process")
                           : wait_for_roudi(pid, output, err);
    unlink(config);
    unlink(log);
    close(config_fd);
    close(output);
    return answer;
}

static void start_runtime(void)
{
    char name[40];
    snprintf(name, sizeof name, "bench-%d", (int)getpid());
    iox_set_loglevel(Iceoryx_LogLevel_Error);
    iox_runtime_init(name);
}

static int writer_open(void **state, const struct bench_setup *setup, struct sl_error *err)
{
    struct writer *w = calloc(1, sizeof *w);
    if (w == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for a publisher");
    start_runtime();
    iox_pub_options_t options;
    iox_pub_options_init(&options);
    w->publisher = iox_pub_init(&w->storage, "skylane", setup->bus, "frame", &options);
    w->frame_bytes = (uint32_t)setup->frame_bytes;
    *state = w;
    return 0;
}

static int loan(void *state, struct bench_loan *lent)
{
    struct writer *w = state;
    void *chunk = NULL;
    if (iox_pub_loan_chunk(w->publisher, &chunk, w->frame_bytes) != AllocationResult_SUCCESS)
        return -ENOBUFS;
    *lent = (struct bench_loan){.head = chunk, .data = chunk};
    return 0;
}

static void publish(void *state, struct bench_loan *lent)
{
    const struct writer *w = state;
    iox_pub_publish_chunk(w->publisher, lent->data);
}

static uint64_t overruns(void *state)
{
    (void)state;
    return 0; /* a chunk that somebody holds is never reused */
}

static void writer_close(void *state)
{
    struct writer *w = state;
    iox_pub_deinit(w->publisher);
    iox_runtime_shutdown();
    free(w);
}

static int subscribe(void **state, const struct bench_setup *setup, struct sl_error *err)
{
    struct reader *r = calloc(1, sizeof *r);
    if (r == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for a subscriber");
    start_runtime();
    iox_sub_options_t options;
    iox_sub_options_init(&options);
    options.queueCapacity = setup->slots;
    r->subscriber = iox_sub_init(&r->storage, "skylane", setup->bus, "frame", &options);
    *state = r;
    return 0;
}

static int open_polling(void **state, const struct bench_setup *setup,
                        void (*arrived)(void *context), void *context, struct sl_error *err)
{
    (void)arrived;
    (void)context;
    return subscribe(state, setup, err);
}

static int open_wait_set(void **state, const struct bench_setup *setup,
                         void (*arrived)(void *context), void *context, struct sl_error *err)
{
    (void)arrived;
    (void)context;
    int rc = subscribe(state, setup, err);
    if (rc != 0)
        return rc;
    struct reader *r = *state;
    r->wait_set = iox_ws_init(&r->wait_set_storage);
    if (iox_ws_attach_subscriber_state(r->wait_set, r->subscriber, SubscriberState_HAS_DATA, 0,
                                       NULL) != WaitSetResult_SUCCESS)
        return sl_error_set(err, -EIO, "cannot attach to a WaitSet");
    return 0;
}

static void on_event(iox_sub_t subscriber, void *context)
{
    const struct reader *r = context;
    (void)subscriber;
    r->arrived(r->context);
}

static int open_listener(void **state, const struct bench_setup *setup,
                         void (*arrived)(void *context), void *context, struct sl_error *err)
{
    int rc = subscribe(state, setup, err);
    if (rc != 0)
        return rc;
    struct reader *r = *state;
    r->arrived = arrived;
    r->context = context;
    r->listener = iox_listener_init(&r->listener_storage);
    if (iox_listener_attach_subscriber_event_with_context_data(
            r->listener, r->subscriber, SubscriberEvent_DATA_RECEIVED, on_event, r) !=
        ListenerResult_SUCCESS)
        return sl_error_set(err, -EIO, "cannot attach to a Listener");
    return 0;
}

static int wait_polling(void *state, struct sl_error *err)
{
    (void)state;
    (void)err;
    return 0;
}

static int wait_set(void *state, struct sl_error *err)
{
    (void)err;
    const struct reader *r = state;
    const struct timespec timeout = {.tv_nsec = (long)BENCH_WAIT_NS};
    iox_notification_info_t info;
    uint64_t missed;
    iox_ws_timed_wait(r->wait_set, timeout, &info, 1, &missed);
    return 0;
}

static int wait_listener(void *state, struct sl_error *err)
{
    (void)state;
    (void)err;
    usleep(20000); /* the Listener's own thread receives */
    return 0;
}

static bool take(void *state, struct bench_frame *frame)
{
    struct reader *r = state;
    if (iox_sub_take_chunk(r->subscriber, &r->chunk) != ChunkReceiveResult_SUCCESS)
        return false;
    *frame = (struct bench_frame){.head = r->chunk, .data = r->chunk};
    return true;
}

static int release(void *state)
{
    const struct reader *r = state;
    iox_sub_release_chunk(r->subscriber, r->chunk);
    return 0;
}

static void reader_close(void *state)
{
    struct reader *r = state;
    if (r->listener != NULL)
        iox_listener_deinit(r->listener);
    if (r->wait_set != NULL) {
        iox_ws_detach_subscriber_state(r->wait_set, r->subscriber, SubscriberState_HAS_DATA);
        iox_ws_deinit(r->wait_set);
    }
    iox_sub_deinit(r->subscriber);
    iox_runtime_shutdown();
    free(r);
}

/* Three ways to learn of a frame; all else is the same. */
#define ICEORYX                                                                                    \
    .broker_start = start_roudi, .writer_open = writer_open, .loan = loan, .publish = publish,     \
    .overruns = overruns, .writer_close = writer_close, .take = take, .release = release,          \
    .reader_close = reader_close

static const struct bench_transport POLLING = {ICEORYX, .name = "iceoryx",
                                               .reader_open = open_polling, .wait = wait_polling};

static const struct bench_transport WAIT_SET = {ICEORYX, .name = "iceoryx WaitSet",
                                                .reader_open = open_wait_set, .wait = wait_set};

static const struct bench_transport LISTENER = {ICEORYX, .name = "iceoryx Listener",
                                                .calls_back = true, .reader_open = open_listener,
                                                .wait = wait_listener};

static void plan(struct bench_plan *p)
{
    bench_plan_handover(p, &POLLING);
    bench_plan_sleep_realtime(p, &WAIT_SET);
    bench_plan_sleep_realtime(p, &LISTENER);
    bench_plan_sleep(p, &WAIT_SET);
    bench_plan_sleep(p, &LISTENER);
    bench_plan_publish_awake(p, &POLLING);
    bench_plan_publish(p, &WAIT_SET, 1);
    bench_plan_publish(p, &WAIT_SET, READERS);
    bench_plan_many(p, &WAIT_SET, READERS, 120);
    bench_plan_many_unpaced(p, &WAIT_SET, 100);
}

int main(int argc, char **argv)
{
    static const struct bench_program PROGRAM = {
        .verb = "bus_iceoryx",
        .help = "bus_iceoryx - iceoryx, measured as \"skylane bus bench\" measures the bus\n"
                "\n"
                "Starts an iox-roudi for each measurement, and ends it: none may be running.\n"
                "bus_compare puts all figures beside each other.\n"
                "\n"
                "usage: bus_iceoryx [options]\n"
                "\n",
        .examples = "example:\n"
                    "  bus_iceoryx --only sleep\n"
                    "\n",
        .plan = plan,
    };
    return bench_program_main(&PROGRAM, argc, argv);
}
