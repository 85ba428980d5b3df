#include "floor.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rt/clock.h"

#define PERIOD_NS (2 * SL_NS_PER_MS)

static struct shared {
    _Atomic uint64_t worst_ns;
    _Atomic uint64_t due_ns; /* when the waker is to send next */
    _Atomic uint64_t sent_ns;
    _Atomic uint64_t seen_ns; /* of the last that was received, when it was sent */
    struct sl_histogram wakes;
} * shared;

static pid_t children[2];

static void note(uint64_t late_ns)
{
    uint64_t worst = atomic_load(&shared->worst_ns);
    while (late_ns > worst && !atomic_compare_exchange_weak(&shared->worst_ns, &worst, late_ns)) {
    }
}

static void wake_forever(int fd)
{
    uint64_t due_ns = sl_clock_now_ns();
    for (;;) {
        due_ns += PERIOD_NS;
        atomic_store(&shared->due_ns, due_ns);
        uint64_t now = sl_clock_sleep_until_ns(due_ns);
        note(now - due_ns);
        due_ns = now;
        atomic_store(&shared->sent_ns, now);
        if (write(fd, &now, sizeof now) != (ssize_t)sizeof now)
            _exit(0);
    }
}

static void be_woken_forever(int fd)
{
    uint64_t sent_ns;
    while (read(fd, &sent_ns, sizeof sent_ns) == (ssize_t)sizeof sent_ns) {
        uint64_t late_ns = sl_clock_now_ns() - sent_ns;
        atomic_store(&shared->seen_ns, sent_ns);
        note(late_ns);
        sl_histogram_add(&shared->wakes, late_ns);
    }
    _exit(0);
}

int floor_start(void)
{
    int fds[2];
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || pipe(fds) != 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        children[i] = fork();
        if (children[i] < 0)
            return -1;
        if (children[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            signal(SIGINT, SIG_IGN);
            close(fds[1 - i]);
            if (i == 0)
                be_woken_forever(fds[0]);
            wake_forever(fds[1]);
        }
    }
    close(fds[0]);
    close(fds[1]);
    return 0;
}

void floor_stop(void)
{
    for (int i = 0; i < 2; i++) {
        if (children[i] <= 0)
            continue;
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
        children[i] = 0;
    }
}

void floor_window(void)
{
    atomic_store(&shared->worst_ns, 0);
}

uint64_t floor_worst_ns(void)
{
    const uint64_t now = sl_clock_now_ns();
    const uint64_t due_ns = atomic_load(&shared->due_ns), sent_ns = atomic_load(&shared->sent_ns);
    if (now > due_ns && sent_ns < due_ns)
        note(now - due_ns);
    if (now > sent_ns && atomic_load(&shared->seen_ns) < sent_ns)
        note(now - sent_ns);
    return atomic_load(&shared->worst_ns);
}

const struct sl_histogram *floor_wakes(void)
{
    return &shared->wakes;
}
