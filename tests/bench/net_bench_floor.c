/* cyclictest, which does nothing but wake: what this machine is late by at the same
 * time, whatever program runs. */
#include "tests/bench/net_bench.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Not the control loop's 10 ms: both would wake side by side for a whole slot, or
 * never. */
#define INTERVAL_US  9700
#define PRIORITY     "80" /* the control thread's */
#define HISTOGRAM_US 20000
#define STRING(x)    STRING_OF(x)
#define STRING_OF(x) #x

void floor_start(struct floor_run *f, const struct vehicle *v, double seconds)
{
    char loops[24], core[24];
    snprintf(f->path, sizeof f->path, "%s/floor.txt", v->folder);
    snprintf(core, sizeof core, "--affinity=%d", v->core);
    snprintf(loops, sizeof loops, "%.0f", seconds * 1e6 / INTERVAL_US);
    fflush(NULL);
    f->pid = fork();
    if (f->pid != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(fd, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    /* --laptop: without it, it keeps all cores from sleeping as long as it runs. */
    execlp("cyclictest", "cyclictest", "-q", "-m", "--laptop", "-p", PRIORITY, "-i",
           STRING(INTERVAL_US), "-h", STRING(HISTOGRAM_US), "-l", loops,
           v->core >= 0 ? core : (char *)NULL, (char *)NULL);
    _exit(127);
}

void floor_take(struct floor_run *f, struct series *to)
{
    char line[256];
    unsigned us;
    uint64_t count, max_us = 0, beyond = 0;
    if (f->pid <= 0)
        return;
    kill(f->pid, SIGINT); /* it then tells what it has */
    waitpid(f->pid, NULL, 0);
    f->pid = 0;
    FILE *file = fopen(f->path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "# Max Latencies: %" SCNu64, &max_us) == 1 ||
            sscanf(line, "# Histogram Overflows: %" SCNu64, &beyond) == 1)
            continue;
        if (line[0] == '#' || sscanf(line, "%u %" SCNu64, &us, &count) != 2)
            continue;
        while (count-- > 0)
            series_add(to, us);
    }
    while (beyond-- > 0)
        series_add(to, (double)max_us);
    if (file != NULL)
        fclose(file);
}
