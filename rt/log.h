/* Logging from real-time threads: numbers into a ring, text later.
 *
 *     sl_log(log, SL_LOG_WARNING, "frame {} came {} ms late", sl_log_u64(id), sl_log_f64(ms));
 *
 * A call stores the format's address and up to six numbers: no formatting, no
 * lock, no system call. A thread of ordinary priority turns them into lines.
 * When the ring is full the message is dropped and counted, and the count is
 * told. Any thread may log. */
#ifndef SL_RT_LOG_H
#define SL_RT_LOG_H

#include <stdint.h>
#include <stdio.h>

#include "rt/error.h"

enum sl_log_level {
    SL_LOG_DEBUG = 0, /* for us */
    SL_LOG_INFO,      /* for the curious user */
    SL_LOG_WARNING,   /* the user should know */
    SL_LOG_ERROR,     /* the user must act */
};

#define SL_LOG_ARGS_MAX 6

struct sl_log_arg {
    enum { SL_ARG_I64, SL_ARG_U64, SL_ARG_F64, SL_ARG_TEXT, SL_ARG_COPY } kind;
    union {
        int64_t i64;
        uint64_t u64;
        double f64;
        const char *text; /* SL_ARG_TEXT: must live for ever, as literals do */
    } value;
};

struct sl_log;

/* Starts the writing thread, which prints lines of `level` and above to `to`
 * (kept open by the caller): "12.345678 warning: ...", seconds since boot.
 * 0 or -ENOMEM, -EAGAIN. */
int sl_log_open(struct sl_log **log, FILE *to, enum sl_log_level level, struct sl_error *err);

/* Has each line of `level` and above passed on as well, whatever is printed: by the
 * writing thread, in order, without time, level and newline; `text` lives during
 * the call, and is cut at 1023 bytes. Once, before anybody logs. */
void sl_log_listen(struct sl_log *log, enum sl_log_level level,
                   void (*listen)(void *context, uint64_t time_ns, enum sl_log_level level,
                                  const char *text),
                   void *context);

/* Takes apart a line that another process's log printed: its level into `level`, and
 * the text behind. Any other line comes back as it is, and `level` stays. Pure. */
const char *sl_log_line_text(const char *line, enum sl_log_level *level);

/* Prints what is left and ends. NULL is allowed. */
void sl_log_close(struct sl_log *log);

/* Messages lost because the ring was full. Any thread. */
uint64_t sl_log_dropped(const struct sl_log *log);

/* Wait-free but for other loggers in the same instant; < 100 ns. `format` must
 * be a literal; each {} takes the next argument. A NULL log drops the message. */
void sl_log_put(struct sl_log *log, enum sl_log_level level, const char *format,
                const struct sl_log_arg *args, int count);

static inline struct sl_log_arg sl_log_i64(int64_t v)
{
    return (struct sl_log_arg){SL_ARG_I64, {.i64 = v}};
}
static inline struct sl_log_arg sl_log_u64(uint64_t v)
{
    return (struct sl_log_arg){SL_ARG_U64, {.u64 = v}};
}
static inline struct sl_log_arg sl_log_f64(double v)
{
    return (struct sl_log_arg){SL_ARG_F64, {.f64 = v}};
}
static inline struct sl_log_arg sl_log_text(const char *v)
{
    return (struct sl_log_arg){SL_ARG_TEXT, {.text = v}};
}

/* A text that may change after the call: its first 255 bytes are copied. One
 * for each message. */
static inline struct sl_log_arg sl_log_copy(const char *v)
{
    return (struct sl_log_arg){SL_ARG_COPY, {.text = v}};
}

/* sl_log(log, level, "text {}", sl_log_f64(x), ...) */
#define sl_log(log, level, format, ...)                                                            \
    sl_log_put((log), (level), (format), (const struct sl_log_arg[]){{0}, ##__VA_ARGS__} + 1,      \
               (int)(sizeof((const struct sl_log_arg[]){{0}, ##__VA_ARGS__}) /                     \
                     sizeof(struct sl_log_arg)) -                                                  \
                   1)

#endif
