/* Runs the real programs for tests, and watches them over the real buses. */
#ifndef SL_TESTS_INTEGRATION_PROGRAMS_H
#define SL_TESTS_INTEGRATION_PROGRAMS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rt/bus.h"
#include "rt/records.h"

/* A program of build/bin with its output in a file. */
struct program {
    pid_t pid;
    char output[64];
};

/* A fresh folder for buses, made SKYLANE_BUS_DIR, and in it one for keys, made
 * SKYLANE_KEYS; removed by programs_end(). */
void programs_begin(void);
void programs_end(void);

/* Starts "skylane-VERB" with the arguments up to NULL. `before` runs in the
 * child before exec (drop rights, close files); NULL: nothing. The vehicle does
 * not broadcast unless the arguments say net.start=yes. */
void program_start(struct program *p, void (*before)(void), const char *verb, ...);

/* Waits for its end; the exit status, or 128 + signal. Fails the test after
 * `seconds`. */
int program_wait(struct program *p, int seconds);

/* Sends a signal. */
void program_signal(const struct program *p, int signal_number);

/* True if its output so far holds the text. */
bool program_said(const struct program *p, const char *text);

/* How often its output so far holds the text. */
int program_times_said(const struct program *p, const char *text);

/* Waits until its output holds the text, that often: its lines come one by one. Fails
 * the test after 20 s. */
void program_must_say(const struct program *p, const char *text);
void program_must_say_again(const struct program *p, const char *text, int times);

/* SIGTERM and wait. Does nothing if it does not run. */
int program_stop(struct program *p);

/* The children of a process whose name in the kernel, at most 15 letters, is this: the
 * first `max` of them; how many. */
int program_children(pid_t parent, const char *name, pid_t *found, int max);

struct sl_bus_reader *reader_of(const char *bus, uint32_t type, size_t bytes);

/* Reads states until `good` holds for one; false after `ms`. */
bool await_state(struct sl_bus_reader *states, uint64_t ms, bool (*good)(const struct sl_state *),
                 struct sl_state *state);

#endif
