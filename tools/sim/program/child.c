#include "tools/sim/program/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rt/cli.h"
#include "rt/clock.h"

#define ARGUMENTS_MAX 256
#define REPORT_FD     3 /* in the child */
#define REPORT_MAX    65536

int sl_child_start(struct sl_child *child, const char *const *arguments, struct sl_error *err)
{
    *child = (struct sl_child){.report_fd = -1};
    const char *argv[ARGUMENTS_MAX] = {child->path, "--json", "/proc/self/fd/3"};
    int count = 3;
    for (; *arguments != NULL && count < ARGUMENTS_MAX - 1; arguments++)
        argv[count++] = *arguments;

    if (sl_cli_program_dir(child->path, sizeof child->path - sizeof "/skylane-run") != 0)
        return sl_error_set(err, -ENOENT, "cannot tell where skylane-run is installed");
    memcpy(child->path + strlen(child->path), "/skylane-run", sizeof "/skylane-run");
    if (access(child->path, X_OK) != 0)
        return sl_error_set(err, -ENOENT,
                            "%s is missing; build it (tools/build) or install skylane whole",
                            child->path);
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return sl_error_set(err, -errno, "cannot make a pipe: %s", strerror(errno));
    const pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent) /* it died before the line above */
            _exit(1);
        /* dup2 onto itself would leave close-on-exec set */
        if (fds[1] == REPORT_FD)
            fcntl(REPORT_FD, F_SETFD, 0);
        else
            dup2(fds[1], REPORT_FD);
        execv(child->path, (char *const *)argv);
        _exit(127);
    }
    close(fds[1]);
    if (pid < 0) {
        int code = errno;
        close(fds[0]);
        return sl_error_set(err, -code, "cannot start %s: %s", child->path, strerror(code));
    }
    child->pid = pid;
    child->report_fd = fds[0];
    return 0;
}

static void tell_end(int status, struct sl_error *why)
{
    if (WIFSIGNALED(status))
        sl_error_set(why, 0, "the vehicle's process was ended by signal %d (%s)", WTERMSIG(status),
                     strsignal(WTERMSIG(status)));
    else
        sl_error_set(why, 0, "the vehicle's process ended with status %d", WEXITSTATUS(status));
}

bool sl_child_running(struct sl_child *child, struct sl_error *why)
{
    int status;
    if (child->pid == 0)
        return false;
    if (waitpid(child->pid, &status, WNOHANG) == 0)
        return true;
    child->pid = 0;
    tell_end(status, why);
    return false;
}

/* Reads to the end of the pipe, which comes with the child's end. */
static char *read_report(int fd)
{
    char *text = malloc(REPORT_MAX);
    size_t used = 0;
    while (text != NULL && used < REPORT_MAX - 1) {
        ssize_t n = read(fd, text + used, REPORT_MAX - 1 - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    if (text != NULL)
        text[used] = '\0';
    return text;
}

char *sl_child_stop(struct sl_child *child, struct sl_error *err)
{
    char *report = NULL;
    if (child->pid != 0) {
        const uint64_t give_up = sl_clock_now_ns() + 5 * SL_NS_PER_S;
        int status = 0;
        kill(child->pid, SIGTERM);
        while (waitpid(child->pid, &status, WNOHANG) == 0) {
            if (sl_clock_now_ns() > give_up)
                kill(child->pid, SIGKILL);
            sl_clock_sleep_until_ns(sl_clock_now_ns() + 5 * SL_NS_PER_MS);
        }
        child->pid = 0;
        if (WIFSIGNALED(status))
            tell_end(status, err);
    }
    if (child->report_fd >= 0) {
        report = read_report(child->report_fd);
        close(child->report_fd);
        child->report_fd = -1;
    }
    if (report != NULL && report[0] == '\0') {
        free(report);
        report = NULL;
    }
    if (report == NULL && err->text[0] == '\0')
        sl_error_set(err, -EIO, "the vehicle's process left no report");
    return report;
}
