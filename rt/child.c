#include "rt/child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rt/cli.h"
#include "rt/clock.h"

#define GIVEN_FD       3    /* in the child */
#define FIRST_FREE_FD  4    /* above those that it gets */
#define LINE_MAX_BYTES 512  /* with the terminating zero */
#define READ_AT_ONCE   4096 /* of its output */
#define REMEMBERED     16   /* texts that are not said twice */
#define HELD_NS        (200 * SL_NS_PER_MS)
#define STOP_POLL_NS   (5 * SL_NS_PER_MS)
#define CANNOT_EXECUTE 127 /* exit status, as of a shell */

struct sl_child {
    struct sl_child_config config;
    char path[4096];
    char **argv, **environment;
    char restarts_text[96]; /* NAME=NUMBER, one of the environment's */

    pid_t pid;     /* 0: does not run */
    int output_fd; /* what it writes; -1: none */
    uint64_t restarts;
    uint64_t started_ns, again_ns; /* again_ns is 0: not to be started */
    uint64_t delay_ns;

    char line[LINE_MAX_BYTES]; /* not complete yet */
    size_t line_bytes;
    /* The newest line waits a moment: if it is the last one before a failure, it
     * is the failure's reason and becomes part of that sentence. */
    char held[LINE_MAX_BYTES];
    uint64_t held_ns;
    char end[LINE_MAX_BYTES];
    uint64_t said[REMEMBERED]; /* hashes of what was said; 0: none */
    size_t said_next;
};

/* ---- saying ---- */

/* FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/). */
static uint64_t hash(const char *text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *text != '\0'; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return h;
}

static void say_once(struct sl_child *c, enum sl_child_news news, const char *text)
{
    const uint64_t h = hash(text);
    for (size_t i = 0; c->config.again && i < REMEMBERED; i++)
        if (c->said[i] == h)
            return;
    c->said[c->said_next++ % REMEMBERED] = h;
    c->config.say(c->config.context, news, text);
}

static void say_held(struct sl_child *c)
{
    if (c->held[0] != '\0')
        say_once(c, SL_CHILD_SAID, c->held);
    c->held[0] = '\0';
}

static void take_line(struct sl_child *c)
{
    say_held(c);
    memcpy(c->held, c->line, c->line_bytes);
    c->held[c->line_bytes] = '\0';
    c->held_ns = sl_clock_now_ns();
    c->line_bytes = 0;
}

/* True if there may be more. */
static bool read_output(struct sl_child *c)
{
    char bytes[READ_AT_ONCE];
    const ssize_t n = c->output_fd < 0 ? 0 : read(c->output_fd, bytes, sizeof bytes);
    for (ssize_t i = 0; i < n; i++) {
        if (bytes[i] == '\n' || c->line_bytes == LINE_MAX_BYTES - 1)
            take_line(c);
        if (bytes[i] != '\n')
            c->line[c->line_bytes++] = bytes[i];
    }
    return n > 0;
}

/* ---- its end ---- */

/* What our programs say when they fail, "skylane VERB: why and what to do"; and
 * whatever a library says before it aborts. NULL: nothing. */
static const char *held_reason(const struct sl_child *c, int status)
{
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGABRT && c->held[0] != '\0' ? c->held : NULL;
    const char *colon = strstr(c->held, ": ");
    const bool ours = strncmp(c->held, "skylane ", 8) == 0 && colon != NULL;
    return WEXITSTATUS(status) != 0 && ours ? colon + 2 : NULL;
}

static void describe_end(struct sl_child *c, int status)
{
    const char *reason = held_reason(c, status);
    char how[128];
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        snprintf(how, sizeof how,
                 "was ended by signal 9 (Killed), by somebody or for lack of memory: \"dmesg\" "
                 "tells the latter");
    else if (WIFSIGNALED(status))
        snprintf(how, sizeof how, "was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(how, sizeof how, "ended with status %d", WEXITSTATUS(status));
    if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT_EXECUTE)
        snprintf(c->end, sizeof c->end, "%.300s cannot be executed; build or install skylane anew",
                 c->path);
    else
        snprintf(c->end, sizeof c->end, "%s %s%s%.300s", c->config.program, how,
                 reason != NULL ? ": " : "", reason != NULL ? reason : "");
    if (reason != NULL)
        c->held[0] = '\0';
}

static void take_end(struct sl_child *c, int status)
{
    while (read_output(c)) /* no more than its pipe holds, for it is dead */
        ;
    if (c->line_bytes > 0)
        take_line(c);
    close(c->output_fd);
    c->output_fd = -1;
    c->pid = 0;
    describe_end(c, status);
    say_held(c);
}

/* It was well: what happens to it now is another matter. */
static void begin_anew(struct sl_child *c)
{
    c->delay_ns = c->config.delay_ns != 0 ? c->config.delay_ns : SL_CHILD_DELAY_NS;
    memset(c->said, 0, sizeof c->said);
}

static void plan_restart(struct sl_child *c)
{
    c->again_ns = sl_clock_now_ns() + c->delay_ns;
    c->delay_ns = 2 * c->delay_ns < SL_CHILD_DELAY_MAX_NS ? 2 * c->delay_ns : SL_CHILD_DELAY_MAX_NS;
    char text[LINE_MAX_BYTES + 64];
    snprintf(text, sizeof text, "%s; it is started again from time to time", c->end);
    say_once(c, SL_CHILD_ENDED, text);
}

/* ---- its start ---- */

/* Between vfork() and exec: in the parent's memory and on its stack, while that
 * thread waits. System calls only. */
static _Noreturn __attribute__((noinline)) void become(struct sl_child *c, pid_t parent,
                                                       int output_fd)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, c->config.orphan_signal);
    if (getppid() != parent) /* it died before the line above */
        _exit(CANNOT_EXECUTE);
    /* The parent's handlers would run in the parent's memory. */
    for (int number = 1; number < NSIG; number++) {
        struct sigaction action;
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_IGN &&
            action.sa_handler != SIG_DFL) {
            action = (struct sigaction){.sa_handler = SIG_DFL};
            sigaction(number, &action, NULL);
        }
    }
    signal(SIGPIPE, SIG_DFL);
    const int policy = sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
    const struct sched_param none = {0};
    if (policy == SCHED_FIFO || policy == SCHED_RR)
        sched_setscheduler(0, SCHED_OTHER, &none);
    /* Out of the way of 0 to 3 first, should the parent have closed these. */
    const int nothing = fcntl(open("/dev/null", O_RDONLY), F_DUPFD, FIRST_FREE_FD);
    const int output = fcntl(output_fd, F_DUPFD, FIRST_FREE_FD);
    const int given =
        c->config.given_fd < 0 ? -1 : fcntl(c->config.given_fd, F_DUPFD, FIRST_FREE_FD);
    dup2(nothing, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    if (given >= 0)
        dup2(given, GIVEN_FD);
    close_range(given >= 0 ? FIRST_FREE_FD : GIVEN_FD, ~0u, 0);
    sigset_t empty;
    sigemptyset(&empty);
    sigprocmask(SIG_SETMASK, &empty, NULL);
    execve(c->path, c->argv, c->environment);
    _exit(CANNOT_EXECUTE);
}

/* Not fork(): that copies the page tables of all locked memory, and each page
 * that a thread then writes to faults once. Nor posix_spawn(), which can not tie a
 * life to this one. Linux lets a child make system calls here. */
static pid_t spawn(struct sl_child *c, int output_fd)
{
    const pid_t parent = getpid();
    const pid_t pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */
    if (pid == 0)
        become(c, parent, output_fd); /* NOLINT(clang-analyzer-unix.Vfork) */
    return pid;
}

static int start(struct sl_child *c)
{
    /* See the header: the main thread lives as long as the process. */
    assert(gettid() == getpid());
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return -errno;
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    if (c->config.restarts_variable != NULL)
        snprintf(c->restarts_text, sizeof c->restarts_text, "%s=%llu", c->config.restarts_variable,
                 (unsigned long long)c->restarts);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const pid_t pid = spawn(c, fds[1]);
    const int code = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return -code;
    }
    c->pid = pid;
    c->output_fd = fds[0];
    c->started_ns = sl_clock_now_ns();
    c->again_ns = 0;
    return 0;
}

static void start_again(struct sl_child *c)
{
    c->restarts++;
    const int rc = start(c);
    if (rc == 0)
        return;
    snprintf(c->end, sizeof c->end, "%s cannot be started: %s", c->config.program, strerror(-rc));
    plan_restart(c);
}

/* ---- opening ---- */

static int find(struct sl_child *c, struct sl_error *err)
{
    const char *program = c->config.program;
    const size_t room = sizeof c->path - 2 - strlen(program);
    if (sl_cli_program_dir(c->path, room) != 0)
        return sl_error_set(err, -ENOENT, "cannot tell where %s is installed", program);
    const size_t length = strlen(c->path);
    snprintf(c->path + length, sizeof c->path - length, "/%s", program);
    if (access(c->path, X_OK) != 0)
        return sl_error_set(
            err, -ENOENT,
            "%s is missing; build it (tools/setup, tools/build) or install skylane whole", c->path);
    return 0;
}

static bool copy_arguments(struct sl_child *c)
{
    size_t count = 0;
    while (c->config.arguments[count] != NULL)
        count++;
    c->argv = calloc(count + 2, sizeof *c->argv);
    if (c->argv == NULL)
        return false;
    c->argv[0] = c->path;
    for (size_t i = 0; i < count; i++) {
        c->argv[i + 1] = strdup(c->config.arguments[i]);
        if (c->argv[i + 1] == NULL)
            return false;
    }
    return true;
}

/* This process's, but for the one variable. */
static bool make_environment(struct sl_child *c)
{
    const char *name = c->config.restarts_variable;
    size_t count = 0, used = 0;
    while (environ[count] != NULL)
        count++;
    c->environment = calloc(count + 2, sizeof *c->environment);
    if (c->environment == NULL)
        return false;
    if (name != NULL)
        c->environment[used++] = c->restarts_text;
    for (size_t i = 0; i < count; i++)
        if (name == NULL || strncmp(environ[i], name, strlen(name)) != 0 ||
            environ[i][strlen(name)] != '=')
            c->environment[used++] = environ[i];
    return true;
}

int sl_child_open(struct sl_child **out, const struct sl_child_config *config, struct sl_error *err)
{
    *out = NULL;
    struct sl_child *c = calloc(1, sizeof *c);
    if (c == NULL)
        return sl_error_set(err, -ENOMEM, "no memory to start %s", config->program);
    c->config = *config;
    c->output_fd = -1;
    begin_anew(c);
    int rc = find(c, err);
    if (rc == 0 && !(copy_arguments(c) && make_environment(c)))
        rc = sl_error_set(err, -ENOMEM, "no memory to start %s", config->program);
    if (rc == 0) {
        rc = start(c);
        if (rc != 0)
            sl_error_set(err, rc, "cannot start %s: %s", c->path, strerror(-rc));
    }
    if (rc != 0) {
        sl_child_close(c);
        return rc;
    }
    *out = c;
    return 0;
}

/* ---- living ---- */

bool sl_child_poll(struct sl_child *c)
{
    int status;
    if (c == NULL)
        return false;
    const uint64_t now_ns = sl_clock_now_ns();
    if (c->pid != 0) {
        read_output(c);
        if (waitpid(c->pid, &status, WNOHANG) == c->pid) {
            take_end(c, status);
            if (now_ns > c->started_ns + SL_CHILD_LIVED_NS)
                begin_anew(c);
            if (c->config.again)
                plan_restart(c);
        } else if (now_ns > c->held_ns + HELD_NS) {
            say_held(c);
        }
    }
    if (c->pid == 0 && c->again_ns != 0 && now_ns >= c->again_ns)
        start_again(c);
    return c->pid != 0;
}

const char *sl_child_end(const struct sl_child *c)
{
    return c->end;
}

pid_t sl_child_pid(const struct sl_child *c)
{
    return c->pid;
}

uint64_t sl_child_restarts(const struct sl_child *c)
{
    return c->restarts;
}

bool sl_child_stop(struct sl_child *c, uint64_t patience_ns)
{
    if (c == NULL)
        return true;
    c->again_ns = 0;
    if (c->pid == 0)
        return true;
    const uint64_t give_up_ns = sl_clock_now_ns() + patience_ns;
    int status = 0;
    kill(c->pid, SIGTERM);
    while (waitpid(c->pid, &status, WNOHANG) == 0) {
        if (sl_clock_now_ns() > give_up_ns)
            kill(c->pid, SIGKILL);
        if (!read_output(c)) /* or its pipe would fill, and it could not end */
            sl_clock_sleep_until_ns(sl_clock_now_ns() + STOP_POLL_NS);
    }
    take_end(c, status);
    return WIFEXITED(status);
}

void sl_child_close(struct sl_child *c)
{
    if (c == NULL)
        return;
    sl_child_stop(c, 0);
    for (size_t i = 1; c->argv != NULL && c->argv[i] != NULL; i++)
        free(c->argv[i]);
    free(c->argv);
    free(c->environment);
    free(c);
}
