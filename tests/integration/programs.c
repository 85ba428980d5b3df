#include "tests/integration/programs.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "rt/clock.h"

#define ARGUMENTS_MAX 48

static char bus_folder[64];
static int outputs;

void programs_begin(void)
{
    char keys[sizeof bus_folder + sizeof "/keys"];
    strcpy(bus_folder, "/dev/shm/sl-programs-XXXXXX");
    if (mkdtemp(bus_folder) == NULL || setenv("SKYLANE_BUS_DIR", bus_folder, 1) != 0)
        fail_msg("no folder for buses: %s", strerror(errno));
    snprintf(keys, sizeof keys, "%s/keys", bus_folder);
    if (setenv("SKYLANE_KEYS", keys, 1) != 0)
        fail_msg("no folder for keys: %s", strerror(errno));
}

void programs_end(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", bus_folder);
    if (system(command) != 0)
        print_error("%s is left behind\n", bus_folder);
}

void program_start(struct program *p, void (*before)(void), const char *verb, ...)
{
    char path[512];
    char *arguments[ARGUMENTS_MAX] = {path};
    int count = 1;
    static char no_net[] = "-onet.start=no";
    if (strcmp(verb, "run") == 0) /* drives side by side would want the same port */
        arguments[count++] = no_net;
    va_list args;
    va_start(args, verb);
    while (count < ARGUMENTS_MAX - 1 && (arguments[count] = va_arg(args, char *)) != NULL)
        count++;
    va_end(args);
    snprintf(path, sizeof path, "%s/skylane-%s", SL_BIN_DIR, verb);
    snprintf(p->output, sizeof p->output, "/tmp/sl-test-%d-%d.txt", getpid(), outputs++);
    int fd = open(p->output, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    p->pid = fork();
    if (p->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nothing running */
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        if (before != NULL)
            before();
        execv(path, arguments);
        _exit(127);
    }
    close(fd);
    assert_true(p->pid > 0);
}

int program_wait(struct program *p, int seconds)
{
    const uint64_t give_up = sl_clock_now_ns() + (uint64_t)seconds * SL_NS_PER_S;
    int status;
    while (waitpid(p->pid, &status, WNOHANG) == 0) {
        if (sl_clock_now_ns() > give_up) {
            program_signal(p, SIGKILL);
            waitpid(p->pid, &status, 0);
            p->pid = 0;
            fail_msg("the program did not end within %d s", seconds);
        }
        sl_clock_sleep_until_ns(sl_clock_now_ns() + 5 * SL_NS_PER_MS);
    }
    p->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void program_signal(const struct program *p, int signal_number)
{
    kill(p->pid, signal_number);
}

bool program_said(const struct program *p, const char *text)
{
    return program_times_said(p, text) > 0;
}

int program_times_said(const struct program *p, const char *text)
{
    static char content[65536];
    int times = 0;
    FILE *from = fopen(p->output, "r");
    if (from == NULL)
        return 0;
    size_t n = fread(content, 1, sizeof content - 1, from);
    content[n] = '\0';
    fclose(from);
    for (const char *at = content; (at = strstr(at, text)) != NULL; at++)
        times++;
    return times;
}

void program_must_say(const struct program *p, const char *text)
{
    program_must_say_again(p, text, 1);
}

void program_must_say_again(const struct program *p, const char *text, int times)
{
    const uint64_t give_up_ns = sl_clock_now_ns() + 20 * SL_NS_PER_S;
    for (int said; (said = program_times_said(p, text)) < times;) {
        if (sl_clock_now_ns() > give_up_ns)
            fail_msg("it says \"%s\" %d times instead of %d; see %s", text, said, times, p->output);
        sl_clock_sleep_until_ns(sl_clock_now_ns() + 5 * SL_NS_PER_MS);
    }
}

int program_stop(struct program *p)
{
    if (p->pid <= 0)
        return 0;
    program_signal(p, SIGTERM);
    int status = program_wait(p, 20);
    unlink(p->output);
    return status;
}

int program_children(pid_t parent, const char *name, pid_t *found, int max)
{
    char path[64], command[64];
    int count = 0, pid;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    FILE *list = fopen(path, "r");
    while (list != NULL && count < max && fscanf(list, "%d", &pid) == 1) {
        snprintf(path, sizeof path, "/proc/%d/comm", pid);
        FILE *from = fopen(path, "r");
        command[0] = '\0';
        if (from != NULL && fgets(command, sizeof command, from) != NULL)
            command[strcspn(command, "\n")] = '\0';
        if (from != NULL)
            fclose(from);
        if (strcmp(command, name) == 0)
            found[count++] = pid;
    }
    if (list != NULL)
        fclose(list);
    return count;
}

struct sl_bus_reader *reader_of(const char *bus, uint32_t type, size_t bytes)
{
    struct sl_error err;
    struct sl_bus_reader *reader = NULL;
    const struct sl_bus_reader_config config = {
        .name = bus, .type = type, .min_bytes = bytes, .writers = SL_BUS_WRITERS_ANY};
    if (sl_bus_reader_open(&reader, &config, &err) != 0)
        fail_msg("%s", err.text);
    return reader;
}

bool await_state(struct sl_bus_reader *states, uint64_t ms, bool (*good)(const struct sl_state *),
                 struct sl_state *state)
{
    const uint64_t deadline = sl_clock_now_ns() + ms * SL_NS_PER_MS;
    while (sl_clock_now_ns() < deadline) {
        if (sl_bus_wait(states, deadline) == 0 &&
            sl_bus_read_newest(states, state, sizeof *state, NULL) == 0 && good(state))
            return true;
    }
    return false;
}
