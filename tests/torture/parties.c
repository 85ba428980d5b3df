#include "parties.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pattern.h"
#include "rt/clock.h"

struct torture *torture;
static char folder[] = "/dev/shm/sl-torture-XXXXXX";

static const char *const kinds[PARTY_KINDS] = {"writes", "sleeps", "polls",  "real-time", "next",
                                               "slow",   "spins",  "copies", "poll() fd"};

static const char *const points[POINTS] = {"nowhere",    "starting", "opening",   "waiting",
                                           "acquiring",  "holding",  "releasing", "filling",
                                           "publishing", "closing"};

const char *party_name(enum party_kind kind)
{
    return kinds[kind];
}

const char *point_name(enum party_point point)
{
    return points[point];
}

void torture_begin(uint64_t seed)
{
    torture =
        mmap(NULL, sizeof *torture, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (torture == MAP_FAILED || mkdtemp(folder) == NULL ||
        setenv("SKYLANE_BUS_DIR", folder, 1) != 0) {
        fprintf(stderr, "no memory or no folder in /dev/shm: %s\n", strerror(errno));
        exit(1);
    }
    torture->run = seed;
}

int torture_files(char *text, size_t size, uint64_t *bytes)
{
    int found = 0;
    size_t length = 0;
    text[0] = '\0';
    *bytes = 0;
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        struct stat st;
        if (e->d_name[0] == '.' || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        found++;
        *bytes += (uint64_t)st.st_blocks * 512;
        int n = snprintf(text + length, size - length, "%s%s", length == 0 ? "" : ", ", e->d_name);
        if (n > 0 && (size_t)n < size - length)
            length += (size_t)n;
    }
    closedir(dir);
    return found;
}

static void remove_folder(void)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return;
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
    rmdir(folder);
}

void torture_end(void)
{
    for (uint32_t i = 0; i < torture->party_count; i++)
        party_kill(&torture->parties[i]);
    remove_folder();
}

void violation(const char *format, ...)
{
    if (atomic_fetch_add(&torture->violations, 1) != 0)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(torture->violation, sizeof torture->violation, format, args);
    va_end(args);
    atomic_store(&torture->violation_told, 1);
}

struct party *party_add(enum party_kind kind)
{
    struct party *p = &torture->parties[torture->party_count++];
    p->kind = kind;
    p->chance = torture->run * TORTURE_PARTIES_MAX + torture->party_count;
    return p;
}

void party_start(struct party *p)
{
    atomic_store(&p->leave, 0);
    atomic_store(&p->die_at, POINT_NOWHERE);
    atomic_store(&p->life_reads, 0);
    at_point(p, POINT_STARTS);
    pattern_random(&p->chance); /* no life is like the one before */
    fflush(NULL);
    const pid_t supervisor = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        violation("fork: %s; allow more processes", strerror(errno));
        return;
    }
    if (pid == 0) {
        /* Nobody outlives the supervisor; Ctrl-C is the supervisor's. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != supervisor)
            _exit(0);
        signal(SIGINT, SIG_IGN);
        signal(SIGTERM, SIG_DFL);
        if (p->kind == PARTY_WRITES)
            writer_main(p);
        else
            reader_main(p);
        exit(0); /* not _exit(): a leak checker looks at the end */
    }
    p->pid = pid;
    p->life = PARTY_RUNS;
    p->due_ns = 0;
    p->starts++;
}

/* How a child ended that nobody killed. */
static void ended(struct party *p, int status)
{
    const bool asked = atomic_load(&p->leave) != 0 ||
                       (p->kind == PARTY_WRITES ? atomic_load(&torture->writers_end) != 0
                                                : atomic_load(&torture->readers_end) != 0);
    if (WIFSIGNALED(status))
        violation("process %d, which %s, died of signal %d (%s) while %s", (int)p->pid,
                  kinds[p->kind], WTERMSIG(status), strsignal(WTERMSIG(status)),
                  points[atomic_load(&p->point) % POINTS]);
    else if (WEXITSTATUS(status) != 0)
        violation("process %d, which %s, ended with status %d; its output says why", (int)p->pid,
                  kinds[p->kind], WEXITSTATUS(status));
    else if (!asked)
        violation("process %d, which %s, ended without being asked to", (int)p->pid,
                  kinds[p->kind]);
    p->pid = 0;
    p->life = PARTY_GONE;
}

void parties_reap(void)
{
    for (uint32_t i = 0; i < torture->party_count; i++) {
        struct party *p = &torture->parties[i];
        int status;
        if (p->life != PARTY_GONE && waitpid(p->pid, &status, WNOHANG) == p->pid)
            ended(p, status);
    }
}

bool party_kill(struct party *p)
{
    if (p->life == PARTY_GONE)
        return false;
    int status;
    kill(p->pid, SIGKILL); /* a child that has ended stays until it is waited for */
    waitpid(p->pid, &status, 0);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        ended(p, status);
        return false;
    }
    p->kills++;
    p->pid = 0;
    p->life = PARTY_GONE;
    return true;
}

void party_stop(struct party *p)
{
    if (p->life != PARTY_RUNS)
        return;
    kill(p->pid, SIGSTOP);
    p->life = PARTY_STOPPED;
    p->stops++;
}

void party_continue(struct party *p)
{
    if (p->life != PARTY_STOPPED)
        return;
    kill(p->pid, SIGCONT);
    p->life = PARTY_RUNS;
    p->due_ns = 0;
}

bool parties_await(bool (*done)(const struct party *), uint64_t ms)
{
    const uint64_t give_up_ns = sl_clock_now_ns() + ms * SL_NS_PER_MS;
    for (;;) {
        parties_reap();
        bool all = true;
        for (uint32_t i = 0; all && i < torture->party_count; i++)
            all = done(&torture->parties[i]);
        if (all)
            return true;
        if (sl_clock_now_ns() >= give_up_ns)
            return false;
        sl_clock_sleep_until_ns(sl_clock_now_ns() + SL_NS_PER_MS / 2);
    }
}

uint64_t parties_accepted(int large)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < torture->party_count; i++)
        sum += counter(&torture->parties[i].accepted[large]);
    return sum;
}
