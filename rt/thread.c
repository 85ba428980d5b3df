#include "rt/thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "rt/clock.h"

#define DEFAULT_STACK ((size_t)256 << 10)
/* Left untouched at the stack's low end, for what runs while touching. */
#define STACK_MARGIN ((size_t)32 << 10)

struct start {
    void *(*main)(void *);
    void *argument;
    char name[16];
};

/* Writes to every page of the stack from here down to `lowest`, so that later
 * calls find them present. Not inlined, so that each array lies below its
 * caller's frame; goes by addresses, since frames differ between builds. */
__attribute__((noinline)) static void touch_stack(uintptr_t lowest)
{
    volatile char page[4096];
    page[0] = 0;
    page[sizeof page - 1] = 0;
    if ((uintptr_t)page > lowest + sizeof page)
        touch_stack(lowest);
    page[1] = 0; /* keeps the call from becoming a jump */
}

/* All of the calling thread's stack but the margin. Its low end is asked for:
 * the C library and sanitizers keep parts of what was asked as stack. */
static void touch_own_stack(void)
{
    pthread_attr_t attr;
    void *low = NULL;
    size_t size = 0, guard = 0;
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return;
    pthread_attr_getstack(&attr, &low, &size);
    pthread_attr_getguardsize(&attr, &guard);
    pthread_attr_destroy(&attr);
    if (size > guard + STACK_MARGIN)
        touch_stack((uintptr_t)low + guard + STACK_MARGIN);
}

static void *thread_main(void *argument)
{
    struct start start = *(struct start *)argument;
    free(argument);
    pthread_setname_np(pthread_self(), start.name);
    touch_own_stack();
    return start.main(start.argument);
}

static int create(struct sl_thread *thread, const struct sl_thread_config *config,
                  struct start *start, int priority)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    size_t stack = config->stack_bytes == 0 ? DEFAULT_STACK : config->stack_bytes;
    /* 16 KiB on x86-64, 128 KiB on aarch64. */
    long least = sysconf(_SC_THREAD_STACK_MIN);
    if (least > 0 && stack < (size_t)least)
        stack = (size_t)least;
    int rc = pthread_attr_setstacksize(&attr, stack);
    if (rc == 0 && config->cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(config->cpu, &set);
        rc = pthread_attr_setaffinity_np(&attr, sizeof set, &set);
    }
    /* SCHED_IDLE is inherited: who is no root may not leave it again. */
    if (priority > 0 || sched_getscheduler(0) != SCHED_IDLE) {
        const struct sched_param param = {.sched_priority = priority};
        pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
        pthread_attr_setschedpolicy(&attr, priority > 0 ? SCHED_FIFO : SCHED_OTHER);
        pthread_attr_setschedparam(&attr, &param);
    }
    if (rc == 0) {
        sigset_t all, old;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        rc = pthread_create(&thread->id, &attr, thread_main, start);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    pthread_attr_destroy(&attr);
    return rc;
}

bool sl_thread_keep_off(const int *cores, int count)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return false;
    for (int i = 0; i < count; i++)
        if (cores[i] >= 0 && cores[i] < CPU_SETSIZE)
            CPU_CLR(cores[i], &set);
    return CPU_COUNT(&set) > 0 && sched_setaffinity(0, sizeof set, &set) == 0;
}

/* A user who was granted rtprio has it as the hard limit. */
static void raise_rtprio_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_RTPRIO, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_RTPRIO, &limit);
    }
}

int sl_thread_start(struct sl_thread *thread, const struct sl_thread_config *config,
                    void *(*main)(void *), void *argument, struct sl_error *err)
{
    *thread = (struct sl_thread){0};
    if (config->priority < 0 || config->priority > 98)
        return sl_error_set(err, -EINVAL, "thread %s: priority %d is not in 0..98", config->name,
                            config->priority);
    if (config->cpu >= sysconf(_SC_NPROCESSORS_CONF) || config->cpu >= CPU_SETSIZE)
        return sl_error_set(err, -EINVAL,
                            "thread %s is to stay on core %d, but this machine has %ld cores "
                            "(counted from 0); see [realtime] in the settings",
                            config->name, config->cpu, sysconf(_SC_NPROCESSORS_CONF));
    struct start *start = calloc(1, sizeof *start); /* the thread frees it */
    if (start == NULL)
        return sl_error_set(err, -EAGAIN, "no memory for thread %s", config->name);
    start->main = main;
    start->argument = argument;
    snprintf(start->name, sizeof start->name, "%s", config->name);
    raise_rtprio_limit();
    int rc = create(thread, config, start, config->priority);
    thread->fifo = rc == 0 && config->priority > 0;
    if (rc == EPERM)
        rc = create(thread, config, start, 0);
    thread->running = rc == 0;
    if (rc == 0)
        return 0;
    free(start);
    return sl_error_set(err, -rc, "cannot start thread %s: %s", config->name, strerror(rc));
}

void sl_thread_join(struct sl_thread *thread)
{
    if (!thread->running)
        return;
    pthread_join(thread->id, NULL);
    thread->running = false;
}

static void *nothing(void *argument)
{
    return argument;
}

int sl_thread_may_fifo(int priority, struct sl_error *err)
{
    struct sl_thread thread;
    const struct sl_thread_config config = {.name = "sl-probe", .priority = priority, .cpu = -1};
    int rc = sl_thread_start(&thread, &config, nothing, NULL, err);
    if (rc != 0)
        return rc;
    sl_thread_join(&thread);
    if (thread.fifo)
        return 0;
    return sl_error_set(err, -EPERM,
                        "threads run at ordinary priority: SCHED_FIFO is not permitted; grant it "
                        "with tools/setup --realtime and log in again");
}

void sl_loop_init(struct sl_loop *loop, uint64_t period_ns, uint64_t allowed_ns, uint64_t start_ns)
{
    memset(loop, 0, sizeof *loop);
    loop->period_ns = period_ns;
    loop->allowed_ns = allowed_ns;
    loop->next_ns = start_ns + period_ns;
}

bool sl_loop_begin(struct sl_loop *loop, uint64_t now_ns)
{
    uint64_t late_ns = now_ns > loop->next_ns ? now_ns - loop->next_ns : 0;
    sl_histogram_add(&loop->lateness, late_ns);
    uint64_t whole = late_ns / loop->period_ns; /* deadlines that passed unserved */
    bool missed = whole > 0 || late_ns > loop->allowed_ns;
    if (missed) {
        uint64_t misses = atomic_load_explicit(&loop->misses, memory_order_relaxed);
        atomic_store_explicit(&loop->misses, misses + (whole > 0 ? whole : 1),
                              memory_order_relaxed);
    }
    loop->next_ns += (whole + 1) * loop->period_ns;
    return missed;
}

bool sl_loop_wait(struct sl_loop *loop)
{
    return sl_loop_begin(loop, sl_clock_sleep_until_ns(loop->next_ns));
}

uint64_t sl_loop_misses(const struct sl_loop *loop)
{
    return atomic_load_explicit(&loop->misses, memory_order_relaxed);
}
