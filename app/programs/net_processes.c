#include "net_processes.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rt/bus_status.h"
#include "rt/clock.h"

#define LOOK_NS      SL_NS_PER_S
#define SECONDS      10 /* over which the share of a core is told */
#define RESTARTS_ENV "SKYLANE_NET_RESTARTS"

struct process {
    pid_t pid;            /* of the last one */
    uint64_t begun_ticks; /* its start: a pid may be another's later */
    bool here;            /* at the last look */
    double cpu_s[SECONDS + 1], at_s[SECONDS + 1];
    unsigned looks; /* at this very process */
    double memory_bytes;
    double restarts, crashes;
};

struct bus {
    const char *name;
    uint32_t life; /* enum sl_bus_life; GONE: there is none */
    pid_t writer;
    double age_s; /* since the newest record, negative: none yet */
    uint64_t published, overruns;
    uint32_t readers, starved;
};
enum { GONE = UINT32_MAX };

/* Which bus a process writes. The first who has a process has it. */
static const enum sl_figure_bus WRITES[SL_PROCESSES] = {
    [SL_PROCESS_CONTROL] = SL_FIGURE_BUS_STATE,
    [SL_PROCESS_DETECTOR] = SL_FIGURE_BUS_DETECTION,
    [SL_PROCESS_CAMERA] = SL_FIGURE_BUS_CAMERA,
};

struct net_processes {
    pthread_t thread;
    bool started;
    double ticks_per_s;
    struct sl_bus_status status; /* too large for a stack */
    struct process process[SL_PROCESSES];
    struct bus bus[SL_FIGURE_BUSES];

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t wanted;
    bool ending, hurry;
    struct sl_figures seen;
};

/* ---- /proc ---- */

/* A small file as text. False if it cannot be read: the process is gone. */
static bool read_text(pid_t pid, const char *file, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* proc(5), counted from the field after the name: that is in parentheses, and
 * may itself hold spaces and more of them. */
enum { STATE_FIELD = 3, USER_FIELD = 14, SYSTEM_FIELD = 15, START_FIELD = 22 };

static bool read_field(const char *after_name, int field, uint64_t *value)
{
    const char *at = after_name;
    for (int i = STATE_FIELD; i <= field && at != NULL; i++)
        at = strchr(at + 1, ' ');
    char *end = NULL;
    *value = at != NULL ? strtoull(at + 1, &end, 10) : 0;
    return end != NULL && end != at + 1;
}

static bool read_stat(pid_t pid, uint64_t *cpu_ticks, uint64_t *begun_ticks)
{
    char text[1024];
    uint64_t user, system;
    const char *name_end = read_text(pid, "stat", text, sizeof text) ? strrchr(text, ')') : NULL;
    if (name_end == NULL || !read_field(name_end, USER_FIELD, &user) ||
        !read_field(name_end, SYSTEM_FIELD, &system) ||
        !read_field(name_end, START_FIELD, begun_ticks))
        return false;
    *cpu_ticks = user + system;
    return true;
}

static double field_bytes(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at != NULL ? (double)strtoull(at + strlen(name), NULL, 10) * 1024 : 0;
}

/* The kernel counts pages of 2 MiB, which frames lie on, apart from the rest. */
static bool read_memory(pid_t pid, double *bytes)
{
    char text[4096];
    if (!read_text(pid, "status", text, sizeof text))
        return false;
    *bytes = field_bytes(text, "\nVmRSS:") + field_bytes(text, "\nHugetlbPages:");
    return true;
}

/* ---- a look ---- */

static void look_at_bus(struct net_processes *p, struct bus *bus)
{
    struct sl_bus_status *s = &p->status;
    if (sl_bus_status_get(bus->name, s, NULL) != 0) {
        *bus = (struct bus){.name = bus->name, .life = GONE};
        return;
    }
    *bus = (struct bus){.name = bus->name,
                        .life = s->life,
                        .writer = s->writer_pid,
                        .age_s = -1,
                        .published = s->published,
                        .overruns = s->overruns,
                        .readers = s->reader_count};
    if (s->newest_ns != 0 && s->now_ns >= s->newest_ns)
        bus->age_s = (double)(s->now_ns - s->newest_ns) / (double)SL_NS_PER_S;
    for (uint32_t i = 0; i < s->reader_count && i < SL_BUS_STATUS_READERS_MAX; i++)
        bus->starved += s->readers[i].overruns > 0;
}

/* Whose process it is, or 0. */
static pid_t find(const struct net_processes *p, int which)
{
    if (which == SL_PROCESS_NETWORK)
        return getpid();
    const pid_t pid = p->bus[WRITES[which]].writer;
    for (int i = 0; i < which; i++)
        if (p->bus[WRITES[i]].writer == pid)
            return 0;
    return pid;
}

static void look_at_process(struct net_processes *p, int which, double now_s)
{
    struct process *process = &p->process[which];
    const pid_t pid = find(p, which);
    uint64_t cpu_ticks, begun_ticks;
    double bytes;
    if (pid <= 0 || !read_stat(pid, &cpu_ticks, &begun_ticks) || !read_memory(pid, &bytes)) {
        /* A bus whose writer closed it is gone; one whose writer died is left. */
        if (process->here && which != SL_PROCESS_NETWORK &&
            p->bus[WRITES[which]].life == SL_BUS_DEAD)
            process->crashes++;
        process->here = false;
        return;
    }
    if (process->pid != pid || process->begun_ticks != begun_ticks) {
        process->restarts += process->pid != 0;
        process->looks = 0;
    }
    process->pid = pid;
    process->begun_ticks = begun_ticks;
    process->here = true;
    process->memory_bytes = bytes;
    process->cpu_s[process->looks % (SECONDS + 1)] = (double)cpu_ticks / p->ticks_per_s;
    process->at_s[process->looks % (SECONDS + 1)] = now_s;
    process->looks++;
}

static void put_process(const struct process *process, int which, struct sl_figures *to)
{
    if (process->pid != 0) {
        to->value[SL_FIGURE_RESTARTS][which][0] = process->restarts;
        if (which != SL_PROCESS_NETWORK)
            to->value[SL_FIGURE_CRASHES][which][0] = process->crashes;
    }
    if (!process->here)
        return;
    const unsigned newest = (process->looks - 1) % (SECONDS + 1);
    const unsigned oldest = process->looks > SECONDS ? process->looks % (SECONDS + 1) : 0;
    to->value[SL_FIGURE_MEMORY][which][0] = process->memory_bytes;
    to->value[SL_FIGURE_CPU_SECONDS][which][0] = process->cpu_s[newest];
    if (newest != oldest)
        to->value[SL_FIGURE_CPU_RATIO][which][0] =
            (process->cpu_s[newest] - process->cpu_s[oldest]) /
            (process->at_s[newest] - process->at_s[oldest]);
}

static void put_bus(const struct bus *bus, int which, struct sl_figures *to)
{
    if (bus->life != SL_BUS_ALIVE)
        return;
    to->value[SL_FIGURE_BUS_RECORDS][which][0] = (double)bus->published;
    to->value[SL_FIGURE_BUS_OVERRUNS][which][0] = (double)bus->overruns;
    to->value[SL_FIGURE_BUS_READERS][which][0] = bus->readers;
    to->value[SL_FIGURE_BUS_STARVED][which][0] = bus->starved;
    if (which == SL_FIGURE_BUS_CAMERA && bus->age_s >= 0)
        to->value[SL_FIGURE_PICTURE_AGE][SL_PLACE_VEHICLE][0] = bus->age_s;
}

static void look(struct net_processes *p, struct sl_figures *to)
{
    for (int i = 0; i < SL_FIGURE_BUSES; i++)
        look_at_bus(p, &p->bus[i]);
    const double now_s = (double)sl_clock_now_ns() / (double)SL_NS_PER_S;
    for (int i = 0; i < SL_PROCESSES; i++)
        look_at_process(p, i, now_s);
    sl_figures_clear(to);
    for (int i = 0; i < SL_PROCESSES; i++)
        put_process(&p->process[i], i, to);
    for (int i = 0; i < SL_FIGURE_BUSES; i++)
        put_bus(&p->bus[i], i, to);
}

static void *watch(void *argument)
{
    struct net_processes *p = argument;
    struct sl_figures seen;
    pthread_mutex_lock(&p->lock);
    while (!p->ending) {
        p->hurry = false;
        pthread_mutex_unlock(&p->lock);
        look(p, &seen);
        pthread_mutex_lock(&p->lock);
        p->seen = seen;
        const struct timespec due = sl_clock_timespec(sl_clock_now_ns() + LOOK_NS);
        while (!p->ending && !p->hurry &&
               pthread_cond_timedwait(&p->wanted, &p->lock, &due) != ETIMEDOUT)
            ;
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* ---- the calls ---- */

/* Whoever starts this program again tells how often it did. */
static double own_restarts(void)
{
    const char *text = getenv(RESTARTS_ENV);
    if (text == NULL || !isdigit((unsigned char)text[0]) ||
        text[strspn(text, "0123456789")] != '\0')
        return 0;
    return (double)strtoull(text, NULL, 10);
}

int net_processes_open(struct net_processes **processes, const struct sl_settings *settings,
                       struct sl_error *err)
{
    *processes = NULL;
    struct net_processes *p = calloc(1, sizeof *p);
    if (p == NULL)
        return sl_error_set(err, -ENOMEM, "no memory to look at processes");
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&p->wanted, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&p->lock, NULL);
    sl_figures_clear(&p->seen);
    p->ticks_per_s = (double)sysconf(_SC_CLK_TCK);
    p->bus[SL_FIGURE_BUS_CAMERA].name = settings->bus.camera;
    p->bus[SL_FIGURE_BUS_DETECTION].name = settings->bus.detection;
    p->bus[SL_FIGURE_BUS_COMMAND].name = settings->bus.command;
    p->bus[SL_FIGURE_BUS_STATE].name = settings->bus.state;
    p->process[SL_PROCESS_NETWORK].restarts = own_restarts();
    const int code = pthread_create(&p->thread, NULL, watch, p);
    p->started = code == 0;
    if (code != 0) {
        net_processes_close(p);
        return sl_error_set(err, -code, "cannot start a thread: %s", strerror(code));
    }
    *processes = p;
    return 0;
}

void net_processes_close(struct net_processes *processes)
{
    if (processes == NULL)
        return;
    pthread_mutex_lock(&processes->lock);
    processes->ending = true;
    pthread_cond_broadcast(&processes->wanted);
    pthread_mutex_unlock(&processes->lock);
    if (processes->started)
        pthread_join(processes->thread, NULL);
    pthread_cond_destroy(&processes->wanted);
    pthread_mutex_destroy(&processes->lock);
    free(processes);
}

void net_processes_look(struct net_processes *processes)
{
    pthread_mutex_lock(&processes->lock);
    processes->hurry = true;
    pthread_cond_broadcast(&processes->wanted);
    pthread_mutex_unlock(&processes->lock);
}

void net_processes_put(struct net_processes *processes, struct sl_figures *to)
{
    pthread_mutex_lock(&processes->lock);
    *to = processes->seen;
    pthread_mutex_unlock(&processes->lock);
}
