#include "tests/bench/net_bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "net/jpeg.h"
#include "rt/bus.h"
#include "rt/cli.h"
#include "rt/clock.h"
#include "rt/records.h"

#define STRING(x)    STRING_OF(x)
#define STRING_OF(x) #x
#define LOOK_NS      (20 * SL_NS_PER_MS)
#define PATIENCE_NS  (30 * SL_NS_PER_S)

/* ---- programs ---- */

static pid_t start(const struct vehicle *v, const char *const *arguments)
{
    char path[512], output[128];
    snprintf(path, sizeof path, SL_BIN_DIR "/%s", arguments[0]);
    snprintf(output, sizeof output, "%s/%s.txt", v->folder, arguments[0]);
    const pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    execv(path, (char *const *)(uintptr_t)arguments); /* which it only reads */
    _exit(127);
}

/* The last line that a program wrote with this in it. */
static void last_words(const struct vehicle *v, const char *program, const char *with,
                       char words[VEHICLE_WORDS])
{
    char path[128], line[VEHICLE_WORDS];
    snprintf(path, sizeof path, "%s/%s.txt", v->folder, program);
    snprintf(words, VEHICLE_WORDS, "nothing; is it built?");
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strstr(line, with) != NULL)
            snprintf(words, VEHICLE_WORDS, "%.*s", (int)strcspn(line, "\n"), line);
    if (file != NULL)
        fclose(file);
}

void vehicle_words(const struct vehicle *v, char words[VEHICLE_WORDS])
{
    last_words(v, "skylane-run", "nobody can watch", words);
}

static int ended(const struct vehicle *v, pid_t *pid, const char *program, struct sl_error *err)
{
    char words[VEHICLE_WORDS];
    if (*pid > 0 && waitpid(*pid, NULL, WNOHANG) == 0)
        return 0;
    *pid = 0;
    last_words(v, program, "", words);
    return sl_error_set(err, -ECHILD, "%s has ended: %s", program, words);
}

static void stop(pid_t pid)
{
    if (pid <= 0)
        return;
    kill(pid, SIGTERM);
    const uint64_t give_up_ns = sl_clock_now_ns() + 10 * SL_NS_PER_S;
    while (waitpid(pid, NULL, WNOHANG) == 0) {
        if (sl_clock_now_ns() > give_up_ns)
            kill(pid, SIGKILL);
        sl_clock_sleep_until_ns(sl_clock_now_ns() + LOOK_NS);
    }
}

static int open_reader(struct sl_bus_reader **reader, const char *bus, uint32_t type, size_t bytes,
                       struct sl_error *err)
{
    const struct sl_bus_reader_config config = {.name = bus, .type = type, .min_bytes = bytes};
    return sl_bus_reader_open(reader, &config, err);
}

static int await_driving(struct vehicle *v, struct sl_error *err)
{
    struct sl_state state = {0};
    const uint64_t give_up_ns = sl_clock_now_ns() + PATIENCE_NS;
    while (state.mode != SL_MODE_DRIVING) {
        if (sl_clock_now_ns() > give_up_ns)
            return sl_error_set(err, -ETIMEDOUT,
                                "the vehicle does not drive off; is this machine "
                                "too busy?");
        const int rc = vehicle_watch(v, sl_clock_now_ns() + LOOK_NS, err);
        if (rc != 0)
            return rc;
        sl_bus_read_newest(v->states, &state, sizeof state, NULL);
    }
    if ((state.realtime & SL_REALTIME_FIFO) == 0)
        fprintf(stderr, "net_bench: without real-time threads these figures say little; "
                        "tools/setup --realtime grants them, or run it as root\n");
    return 0;
}

/* Told here, and not when skylane net has been started for the tenth time. */
static int check_port(int port, struct sl_error *err)
{
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    const bool good = bind(fd, (const struct sockaddr *)&at, sizeof at) == 0;
    const int code = errno;
    close(fd);
    return good ? 0
                : sl_error_set(err, -code, "port %d: %s; choose others with --port", port,
                               strerror(code));
}

#define CAMERA_SETTINGS 6

/* The view of board/sim/skylane.ini's camera, at another size. */
static void set_camera(char options[CAMERA_SETTINGS][40], int width_px)
{
    const int height_px = width_px * 3 / 4;
    const double focal_px = 0.7 * width_px;
    snprintf(options[0], 40, "-ocamera.width_px=%d", width_px);
    snprintf(options[1], 40, "-ocamera.height_px=%d", height_px);
    snprintf(options[2], 40, "-ocamera.fx_px=%g", focal_px);
    snprintf(options[3], 40, "-ocamera.fy_px=%g", focal_px);
    snprintf(options[4], 40, "-ocamera.cx_px=%g", (width_px - 1) / 2.0);
    snprintf(options[5], 40, "-ocamera.cy_px=%g", (height_px - 1) / 2.0);
}

int vehicle_start(struct vehicle *v, const struct vehicle_setup *setup, struct sl_error *err)
{
    const int port = setup->port;
    const int core = setup->core;
    char camera[40], detect[40], control[40], picture[CAMERA_SETTINGS][40];
    char keys[80], rate[16], broadcast[64], actions[64], metrics[64];
    *v = (struct vehicle){.core = core};
    for (int i = 0; i < 3; i++)
        if (check_port(port + i, err) != 0)
            return -EADDRINUSE;
    strcpy(v->folder, "/dev/shm/sl-net-bench-XXXXXX");
    if (mkdtemp(v->folder) == NULL)
        return sl_error_set(err, -errno, "no folder in /dev/shm: %s", strerror(errno));
    snprintf(keys, sizeof keys, "%s/keys", v->folder);
    setenv("SKYLANE_BUS_DIR", v->folder, 1);
    setenv("SKYLANE_KEYS", keys, 1);
    snprintf(rate, sizeof rate, "%d", setup->camera_hz);
    snprintf(broadcast, sizeof broadcast, "-onet.broadcast=tcp://127.0.0.1:%d", port);
    snprintf(actions, sizeof actions, "-onet.actions=tcp://127.0.0.1:%d", port + 1);
    snprintf(metrics, sizeof metrics, "-onet.metrics=127.0.0.1:%d", port + 2);
    snprintf(camera, sizeof camera, "-orealtime.camera_cpu=%d", core);
    snprintf(detect, sizeof detect, "-orealtime.detect_cpu=%d", core);
    snprintf(control, sizeof control, "-orealtime.control_cpu=%d", core);
    set_camera(picture, setup->width_px);
    int rc = open_reader(&v->commands, SL_BUS_COMMAND, SL_RECORD_COMMAND, sizeof(struct sl_command),
                         err);
    if (rc == 0)
        rc = open_reader(&v->states, SL_BUS_STATE, SL_RECORD_STATE, sizeof(struct sl_state), err);
    if (rc != 0)
        return rc;
    const char *sim[] = {"skylane-sim", "--headless", "--viewer",
                         "none",        "--track",    SL_SOURCE_DIR "/tools/sim/tracks/oval.ini",
                         "--rate",      rate,         picture[0],
                         picture[1],    picture[2],   picture[3],
                         picture[4],    picture[5],   NULL};
    const char *run[] = {"skylane-run",
                         "--quiet",
                         "--config",
                         SL_SOURCE_DIR "/board/sim/skylane.ini",
                         "-ocontrol.rate_hz=100",
                         "-onet.frame_rate_hz=" STRING(VEHICLE_PICTURES_HZ),
                         "-onet.quality=" STRING(VEHICLE_QUALITY),
                         broadcast,
                         actions,
                         metrics,
                         camera,
                         detect,
                         control,
                         picture[0],
                         picture[1],
                         picture[2],
                         picture[3],
                         picture[4],
                         picture[5],
                         NULL};
    v->sim = start(v, sim);
    v->run = start(v, run);
    return await_driving(v, err);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

void vehicle_stop(struct vehicle *v)
{
    stop(v->run);
    stop(v->sim);
    sl_bus_reader_close(v->commands);
    sl_bus_reader_close(v->states);
    if (v->folder[0] != '\0')
        nftw(v->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(v->seen);
}

/* ---- what it publishes ---- */

static int keep(struct vehicle *v, const struct command *command, struct sl_error *err)
{
    if (v->count == v->room) {
        const size_t room = v->room == 0 ? 65536 : 2 * v->room;
        struct command *seen = realloc(v->seen, room * sizeof *seen);
        if (seen == NULL)
            return sl_error_set(err, -ENOMEM, "no memory for the commands");
        v->seen = seen;
        v->room = room;
    }
    v->seen[v->count++] = *command;
    return 0;
}

/* The reader never sleeps on the bus, so that the control thread has nobody to
 * wake: measuring costs it nothing. */
int vehicle_look(struct vehicle *v, struct sl_error *err)
{
    struct sl_command c;
    struct sl_bus_view view;
    int rc = ended(v, &v->sim, "skylane-sim", err);
    if (rc == 0)
        rc = ended(v, &v->run, "skylane-run", err);
    while (rc == 0 && sl_bus_read_next(v->commands, &c, sizeof c, &view) == 0) {
        const struct command command = {.issued_ns = c.issued_ns,
                                        .published_ns = view.published_ns,
                                        .received_ns = c.received_ns,
                                        .frame_id = c.frame_id,
                                        .missed = view.missed};
        v->lost += view.missed;
        rc = keep(v, &command, err);
    }
    return rc;
}

int vehicle_watch(struct vehicle *v, uint64_t until_ns, struct sl_error *err)
{
    int rc = 0;
    for (uint64_t now_ns; rc == 0 && (now_ns = sl_clock_now_ns()) < until_ns;) {
        sl_clock_sleep_until_ns(now_ns + LOOK_NS < until_ns ? now_ns + LOOK_NS : until_ns);
        /* Ctrl-C ends the programs beside us, too. */
        rc = sl_cli_stop_wanted() ? sl_error_set(err, -EINTR, "stopped") : vehicle_look(v, err);
    }
    return rc;
}

int vehicle_state(struct vehicle *v, struct sl_state *state, struct sl_error *err)
{
    sl_bus_wait(v->states, sl_clock_now_ns() + SL_NS_PER_S);
    if (sl_bus_read_newest(v->states, state, sizeof *state, NULL) != 0)
        return sl_error_set(err, -EPIPE, "the vehicle tells no state");
    return vehicle_look(v, err);
}

/* ---- processes ---- */

/* The child of skylane-run that is called so. */
pid_t vehicle_net(const struct vehicle *v)
{
    char path[64];
    int pid, found = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)v->run, (int)v->run);
    FILE *children = fopen(path, "r");
    while (children != NULL && found == 0 && fscanf(children, "%d", &pid) == 1) {
        char name[32] = "";
        snprintf(path, sizeof path, "/proc/%d/comm", pid);
        FILE *comm = fopen(path, "r");
        if (comm != NULL && fgets(name, sizeof name, comm) != NULL &&
            strcmp(name, "skylane-net\n") == 0)
            found = pid;
        if (comm != NULL)
            fclose(comm);
    }
    if (children != NULL)
        fclose(children);
    return found;
}

double process_cpu_s(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    if (pid <= 0 || clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return -1;
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- the encoder alone ---- */

static double thread_cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* Each of some frames many times over. A frame that the camera took back meanwhile
 * costs the same: its pixels are copied first. */
static int encode_all(struct sl_bus_reader *frames, struct sl_jpeg_encoder *encoder, double *us,
                      struct sl_error *err)
{
    enum { FRAMES = 30, TIMES = 20 };
    static uint8_t pixels[4 << 20];
    const uint8_t *jpeg;
    size_t size;
    int rc = 0;
    *us = 0;
    for (int i = 0; rc == 0 && i < FRAMES; i++) {
        struct sl_bus_view view;
        struct sl_frame_info info;
        if (sl_bus_wait(frames, sl_clock_now_ns() + SL_NS_PER_S) != 0 ||
            sl_bus_acquire_newest(frames, &view) != 0 || view.size > sizeof pixels)
            return sl_error_set(err, -EPIPE, "the simulator sends no frames");
        memcpy(&info, view.meta, sizeof info);
        memcpy(pixels, view.data, view.size);
        sl_bus_release(frames, &view);
        const double before_us = thread_cpu_us();
        for (int k = 0; rc == 0 && k < TIMES; k++)
            rc = sl_jpeg_encode(encoder, &info, pixels, VEHICLE_QUALITY, &jpeg, &size, err);
        *us += (thread_cpu_us() - before_us) / (FRAMES * TIMES);
    }
    return rc;
}

int vehicle_jpeg_us(double *us, struct sl_error *err)
{
    const struct sched_param none = {0};
    sched_setscheduler(0, SCHED_IDLE, &none);
    struct sl_bus_reader *frames = NULL;
    struct sl_jpeg_encoder *encoder = sl_jpeg_encoder_create();
    int rc = open_reader(&frames, SL_BUS_CAMERA, SL_RECORD_FRAME, 1, err);
    if (encoder == NULL)
        rc = sl_error_set(err, -ENOMEM, "no memory for pictures");
    if (rc == 0)
        rc = encode_all(frames, encoder, us, err);
    sl_bus_reader_close(frames);
    sl_jpeg_encoder_destroy(encoder);
    return rc;
}
