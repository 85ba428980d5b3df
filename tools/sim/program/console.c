#include "tools/sim/program/console.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct {
    bool line, keys;
    bool drawn;
    bool silent; /* nothing but the report on standard output */
    struct termios before;
} console;

void sl_console_open(void)
{
    console.line = isatty(STDOUT_FILENO);
    console.keys = console.line && isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp() &&
                   tcgetattr(STDIN_FILENO, &console.before) == 0;
    if (console.keys) {
        struct termios raw = console.before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        puts("keys: p pause/resume   r respawn   s stop   a arm   q quit");
    }
}

void sl_console_close(void)
{
    if (console.drawn)
        putchar('\n');
    if (console.keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &console.before);
    console.line = console.keys = console.drawn = false;
    fflush(stdout);
}

int sl_console_key(void)
{
    char c;
    return console.keys && read(STDIN_FILENO, &c, 1) == 1 ? c : 0;
}

/* Green while it drives, yellow while it waits, red when it stopped. */
static const char *colour_of(const struct sl_state *state)
{
    if (state == NULL)
        return "\033[33m";
    switch (state->mode) {
    case SL_MODE_DRIVING:
        return "\033[32m";
    case SL_MODE_SAFE_STOP:
        return "\033[31m";
    default:
        return "\033[33m";
    }
}

static int terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void sl_console_line(const struct sl_host_status *status, const struct sl_state *state)
{
    if (!console.line)
        return;
    char text[512];
    double fps = status->seconds > 0 ? (double)(status->frames - 1) / status->seconds : 0.0;
    int n = snprintf(text, sizeof text, "%-9s %5.1f s %5.1f fps  lane %+5.2f m  %4.1f m/s",
                     state == NULL ? "waiting" : sl_mode_name(state->mode), status->seconds, fps,
                     (double)status->truth.lateral_offset_m, (double)status->truth.speed_mps);
    if (state != NULL) {
        const struct sl_stage_stats *path = &state->stages[SL_STAGE_CAMERA_TO_ACTUATOR];
        n += snprintf(text + n, sizeof text - (size_t)n,
                      "  steer %+6.3f rad  latency p50/p99/max %.0f/%.0f/%.0f us  dropped %" PRIu64
                      "  missed %" PRIu64,
                      (double)state->steering_rad, (double)path->p50_us, (double)path->p99_us,
                      (double)path->max_us, state->frames_dropped, state->deadline_misses);
    }
    int columns = terminal_columns();
    if (n >= columns) /* a line that wraps could not be drawn over */
        text[columns - 1] = '\0';
    printf("\r%s%.9s\033[0m%s\033[K", colour_of(state), text, text + 9);
    fflush(stdout);
    console.drawn = true;
}

void sl_console_silence(void)
{
    console.silent = true;
}

static void clear_line(void)
{
    if (console.drawn)
        fputs("\r\033[K", stdout);
    console.drawn = false;
    fflush(stdout);
}

void sl_console_say(const char *text)
{
    clear_line();
    if (console.silent)
        fprintf(stderr, "skylane sim: %s\n", text);
    else
        printf("%s\n", text);
    fflush(stdout);
}

void sl_console_pass(const char *line)
{
    clear_line();
    fprintf(stderr, "%s\n", line);
}
