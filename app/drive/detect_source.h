/* Whose lanes a vehicle drives by that asks a detection server on another
 * machine. Pure: frames, answers and time in, a decision out.
 *
 *   built-in --ten answers in a row, all in time, over calm_ns--> remote
 *   remote   --a frame without an answer for timeout_ns---------> built-in
 *
 * One missing answer is enough to leave: the built-in detector has looked at the
 * newest frame anyway, so that leaving costs nothing, while waiting for a second
 * one would cost a frame's time without a lane. Coming back is slow instead:
 * calm_ns is a second; each time that the server drops out within ten seconds of
 * coming back it doubles, up to 32 s, and once the server lasted longer it is a
 * second again. So a server that fails now and then does not make the vehicle
 * change detectors all the time: with the built-in detector it drives well, too.
 *
 * Without a built-in detector beside it (`when_gone = stop`) every answer in time
 * is taken; the decision then only says what to tell the user. */
#ifndef SL_APP_DRIVE_DETECT_SOURCE_H
#define SL_APP_DRIVE_DETECT_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#define SL_SOURCE_CALM_ANSWERS 10
#define SL_SOURCE_CALM_NS      UINT64_C(1000000000)
#define SL_SOURCE_CALM_MAX_NS  UINT64_C(32000000000)
#define SL_SOURCE_LASTING_NS   UINT64_C(10000000000)

struct sl_source {
    uint64_t timeout_ns;
    bool remote;            /* the server's lanes are driven by */
    uint64_t frame_ns;      /* when the newest frame was published; 0: none yet */
    uint64_t answered_ns;   /* when that was published which the newest answer is about */
    uint64_t waiting_ns;    /* since when a frame is without an answer; 0: none is */
    uint64_t calm_since_ns; /* first of the answers in a row; 0: none */
    uint32_t calm_answers;
    uint64_t calm_ns;         /* how long it must be calm at present */
    uint64_t remote_since_ns; /* if `remote` */
};

/* Begins with the built-in detector. */
void sl_source_init(struct sl_source *source, uint64_t timeout_ns);

/* A frame was published at `published_ns`. Those that are not newer than the
 * newest change nothing. */
void sl_source_frame(struct sl_source *source, uint64_t published_ns);

/* A lane came, in time, for the frame of `published_ns`. */
void sl_source_answer(struct sl_source *source, uint64_t now_ns, uint64_t published_ns);

/* Decides: call after frames and answers, and at the deadline. Returns
 * source->remote. */
bool sl_source_step(struct sl_source *source, uint64_t now_ns);

/* When the server drops out unless it answers; UINT64_MAX: no frame waits, or it has
 * dropped out already. Never in the past after sl_source_step(). */
uint64_t sl_source_deadline_ns(const struct sl_source *source);

#endif
