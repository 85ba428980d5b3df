/* A program that measures transports: options, the plan of what is measured,
 * rounds, table and JSON. "skylane bus bench" is one; each transport that it
 * is compared with has another, of the same options and the same output. */
#ifndef SL_TOOLS_BUS_BENCH_PROGRAM_H
#define SL_TOOLS_BUS_BENCH_PROGRAM_H

#include "tools/bus/bench_run.h"

#define BENCH_CASES_MAX  48u
#define BENCH_ROUNDS_MAX 50u

enum bench_section {
    BENCH_FLOORS = 0, /* cache line, memcpy, clock: no transport */
    BENCH_HANDOVER,   /* one polling reader, as fast as it goes: publishing to pointer */
    BENCH_PACED,      /* the same at 60 frames a second */
    BENCH_SLEEP,      /* one sleeping reader: the same */
    BENCH_PUBLISH,    /* what publishing costs the writer */
    BENCH_MANY,       /* hundreds of readers: access, memory, every frame */
    BENCH_SECTIONS
};

struct bench_case {
    enum bench_section section;
    char name[40]; /* the same for every transport that does the same */
    const struct bench_transport *transport;
    struct bench_setup setup;
};

struct bench_plan {
    struct bench_case cases[BENCH_CASES_MAX];
    uint32_t count;
    int cores[2];
    bool quick; /* a tenth of the frames and readers */
};

/* Each adds cases of one section for one transport. Frames are 800x600 or
 * 1920x1080 with three bytes a pixel. */
void bench_plan_handover(struct bench_plan *plan, const struct bench_transport *transport);

/* The hand-over of a frame that is not there, for the floor. */
void bench_plan_line(struct bench_plan *plan, const struct bench_transport *transport);

/* The same for transports that copy: fewer frames, and readers that sleep, as
 * their own threads need the core. */
void bench_plan_copied(struct bench_plan *plan, const struct bench_transport *transport);

/* An ordinary reader of an ordinary writer; a real-time one of a real-time one. */
void bench_plan_sleep(struct bench_plan *plan, const struct bench_transport *transport);
void bench_plan_sleep_realtime(struct bench_plan *plan, const struct bench_transport *transport);

/* Publishing while `readers` of them sleep. */
void bench_plan_publish(struct bench_plan *plan, const struct bench_transport *transport,
                        uint32_t readers);
/* Publishing while none does: to nobody, and to one that polls. */
void bench_plan_publish_awake(struct bench_plan *plan, const struct bench_transport *transport);

void bench_plan_many(struct bench_plan *plan, const struct bench_transport *transport,
                     uint32_t readers, double fps);
/* As fast as all readers follow. */
void bench_plan_many_unpaced(struct bench_plan *plan, const struct bench_transport *transport,
                             uint32_t readers);
/* The writer's loop alone, of the same rate. */
void bench_plan_many_floor(struct bench_plan *plan, const struct bench_transport *transport,
                           double fps);

struct bench_program {
    const char *verb;     /* as in "skylane VERB", for messages */
    const char *help;     /* its first lines; those on options follow */
    const char *examples; /* and these */
    bool floors;          /* has a section of floors */
    void (*plan)(struct bench_plan *plan);
};

int bench_program_main(const struct bench_program *program, int argc, char **argv);

#endif
