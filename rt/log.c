/* A bounded queue of many producers and one consumer, after D. Vyukov's
 * bounded MPMC queue: each cell carries the position for which it is free or
 * full, so that producers only meet at one counter. */
#include "rt/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "rt/clock.h"
#include "rt/thread.h"

#define LINE_MAX_BYTES    1024  /* with the terminating zero */
#define CELLS             1024u /* a power of two */
#define DRAIN_INTERVAL_NS (20 * SL_NS_PER_MS)

struct cell {
    _Alignas(64) _Atomic uint64_t turn; /* position: free for it; position + 1: full */
    uint64_t time_ns;
    const char *format;
    enum sl_log_level level;
    int count;
    struct sl_log_arg args[SL_LOG_ARGS_MAX];
    char copy[256];
};

struct sl_log {
    struct cell cells[CELLS];
    _Alignas(64) _Atomic uint64_t head; /* next position to write */
    _Alignas(64) uint64_t tail;         /* next position to print; the writing thread's */
    _Atomic uint64_t dropped;
    uint64_t dropped_told;
    _Atomic bool stop;
    enum sl_log_level level; /* printed */
    FILE *to;
    enum sl_log_level listen_level, lowest; /* passed on; the lower of both */
    void (*listen)(void *context, uint64_t time_ns, enum sl_log_level level, const char *text);
    void *listen_context;
    struct sl_thread thread;
};

void sl_log_put(struct sl_log *log, enum sl_log_level level, const char *format,
                const struct sl_log_arg *args, int count)
{
    if (log == NULL || level < log->lowest)
        return;
    uint64_t position = atomic_load_explicit(&log->head, memory_order_relaxed);
    struct cell *cell;
    for (;;) {
        cell = &log->cells[position % CELLS];
        /* SYNC with the release of turn in drain(): the cell was read out. */
        uint64_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire);
        if (turn == position) {
            if (atomic_compare_exchange_weak_explicit(&log->head, &position, position + 1,
                                                      memory_order_relaxed, memory_order_relaxed))
                break;
        } else if (turn < position) {
            atomic_fetch_add_explicit(&log->dropped, 1, memory_order_relaxed);
            return;
        } else {
            position = atomic_load_explicit(&log->head, memory_order_relaxed);
        }
    }
    cell->time_ns = sl_clock_now_ns();
    cell->format = format;
    cell->level = level;
    cell->count = count < SL_LOG_ARGS_MAX ? count : SL_LOG_ARGS_MAX;
    for (int i = 0; i < cell->count; i++) {
        cell->args[i] = args[i];
        if (args[i].kind == SL_ARG_COPY) {
            size_t length = strnlen(args[i].value.text, sizeof cell->copy - 1);
            memcpy(cell->copy, args[i].value.text, length);
            cell->copy[length] = '\0';
            cell->args[i].value.text = cell->copy;
        }
    }
    /* SYNC with the acquire of turn in drain(). */
    atomic_store_explicit(&cell->turn, position + 1, memory_order_release);
}

/* Appends to a text of LINE_MAX_BYTES; what does not fit is cut. */
static void append(char *text, size_t *length, const char *what)
{
    const size_t room = LINE_MAX_BYTES - 1 - *length;
    const size_t size = strnlen(what, room);
    memcpy(text + *length, what, size);
    *length += size;
    text[*length] = '\0';
}

static void append_arg(char *text, size_t *length, const struct sl_log_arg *arg)
{
    char number[32];
    switch (arg->kind) {
    case SL_ARG_I64:
        snprintf(number, sizeof number, "%" PRId64, arg->value.i64);
        break;
    case SL_ARG_U64:
        snprintf(number, sizeof number, "%" PRIu64, arg->value.u64);
        break;
    case SL_ARG_F64:
        snprintf(number, sizeof number, "%.4g", arg->value.f64);
        break;
    case SL_ARG_TEXT:
    case SL_ARG_COPY:
        append(text, length, arg->value.text);
        return;
    }
    append(text, length, number);
}

static void format_cell(char *text, const struct cell *cell)
{
    size_t length = 0;
    int next = 0;
    text[0] = '\0';
    for (const char *p = cell->format; *p != '\0'; p++) {
        if (p[0] == '{' && p[1] == '}') {
            if (next < cell->count)
                append_arg(text, &length, &cell->args[next]);
            next++;
            p++;
        } else {
            append(text, &length, (const char[]){*p, '\0'});
        }
    }
}

static const char *const LEVELS[] = {"debug", "info", "warning", "error"};

const char *sl_log_line_text(const char *line, enum sl_log_level *level)
{
    const size_t digits = strspn(line, "0123456789.");
    if (digits == 0 || line[digits] != ' ')
        return line;
    const char *word = line + digits + 1;
    for (size_t i = 0; i < sizeof LEVELS / sizeof LEVELS[0]; i++) {
        const size_t length = strlen(LEVELS[i]);
        if (strncmp(word, LEVELS[i], length) == 0 && strncmp(word + length, ": ", 2) == 0) {
            *level = (enum sl_log_level)i;
            return word + length + 2;
        }
    }
    return line;
}

/* True if it was printed. */
static bool tell(struct sl_log *log, uint64_t time_ns, enum sl_log_level level, const char *text)
{
    if (log->listen != NULL && level >= log->listen_level)
        log->listen(log->listen_context, time_ns, level, text);
    if (level < log->level)
        return false;
    fprintf(log->to, "%.6f %s: %s\n", (double)time_ns / 1e9, LEVELS[level], text);
    return true;
}

static void drain(struct sl_log *log)
{
    bool printed = false;
    char text[LINE_MAX_BYTES];
    for (;;) {
        struct cell *cell = &log->cells[log->tail % CELLS];
        /* SYNC with the release of turn in sl_log_put(). */
        if (atomic_load_explicit(&cell->turn, memory_order_acquire) != log->tail + 1)
            break;
        format_cell(text, cell);
        printed |= tell(log, cell->time_ns, cell->level, text);
        atomic_store_explicit(&cell->turn, log->tail + CELLS, memory_order_release);
        log->tail++;
    }
    uint64_t dropped = sl_log_dropped(log);
    if (dropped != log->dropped_told) {
        snprintf(text, sizeof text, "%" PRIu64 " log messages were lost: too many at once",
                 dropped - log->dropped_told);
        log->dropped_told = dropped;
        printed |= tell(log, sl_clock_now_ns(), SL_LOG_WARNING, text);
    }
    if (printed)
        fflush(log->to);
}

static void *log_main(void *argument)
{
    struct sl_log *log = argument;
    while (!atomic_load_explicit(&log->stop, memory_order_acquire)) {
        drain(log);
        sl_clock_sleep_until_ns(sl_clock_now_ns() + DRAIN_INTERVAL_NS);
    }
    drain(log);
    return NULL;
}

int sl_log_open(struct sl_log **out, FILE *to, enum sl_log_level level, struct sl_error *err)
{
    *out = NULL;
    struct sl_log *log = aligned_alloc(64, sizeof *log);
    if (log == NULL)
        return sl_error_set(err, -ENOMEM, "no memory for the log");
    memset(log, 0, sizeof *log);
    for (uint32_t i = 0; i < CELLS; i++)
        atomic_init(&log->cells[i].turn, i);
    log->to = to;
    log->level = log->lowest = level;
    const struct sl_thread_config config = {.name = "sl-log", .priority = 0, .cpu = -1};
    int rc = sl_thread_start(&log->thread, &config, log_main, log, err);
    if (rc != 0) {
        free(log);
        return rc;
    }
    *out = log;
    return 0;
}

void sl_log_listen(struct sl_log *log, enum sl_log_level level,
                   void (*listen)(void *context, uint64_t time_ns, enum sl_log_level level,
                                  const char *text),
                   void *context)
{
    log->listen_level = level;
    log->listen_context = context;
    log->lowest = level < log->level ? level : log->level;
    /* SYNC with the acquire of turn in drain(): the writing thread looks at all
     * this only after the first message, and messages come later than this. */
    log->listen = listen;
}

void sl_log_close(struct sl_log *log)
{
    if (log == NULL)
        return;
    atomic_store_explicit(&log->stop, true, memory_order_release);
    sl_thread_join(&log->thread);
    free(log);
}

uint64_t sl_log_dropped(const struct sl_log *log)
{
    return atomic_load_explicit(&log->dropped, memory_order_relaxed);
}
