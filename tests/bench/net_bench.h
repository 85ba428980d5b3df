/* The parts of net_bench: the vehicle that is watched, those who watch and
 * disturb it, and what is made of the figures. One thread in each process. */
#ifndef SL_TESTS_NET_BENCH_H
#define SL_TESTS_NET_BENCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "rt/error.h"

/* ---- what disturbs the vehicle: phases, which take turns ---- */

enum phase {
    PHASE_NOBODY, /* skylane net runs, and nobody subscribes */
    PHASE_VIEWER, /* one that takes what the viewer's page does */
    PHASE_TEN,    /* ten: eight ordinary, one stopped, one slow */
    PHASE_FLOOD,  /* garbage on both ports, and one viewer */
    PHASE_KILL,   /* skylane net killed again and again, with one viewer */
    PHASES
};

/* ---- net_bench_vehicle.c: simulator and vehicle, and what they publish ---- */

struct vehicle {
    char folder[64]; /* buses, keys and outputs; SKYLANE_BUS_DIR and SKYLANE_KEYS say so */
    pid_t sim, run;
    struct sl_bus_reader *commands, *states;
    struct command *seen; /* every command */
    size_t count, room;
    int core;      /* of the control path; -1: any */
    uint64_t lost; /* commands that were overwritten before they were read */
};

/* Of each command, all that matters here. */
struct command {
    uint64_t issued_ns, published_ns;
    uint64_t received_ns; /* when its frame was published; 0: none */
    uint64_t frame_id;
    uint64_t missed; /* commands lost before this one */
};

#define VEHICLE_PICTURES_HZ 30 /* that skylane net sends at most */
#define VEHICLE_QUALITY     80

struct vehicle_setup {
    int port;      /* of the broadcast; the next is of actions, the one after of figures */
    int camera_hz; /* frames a second */
    int width_px;  /* of a frame, which is three quarters as high */
    int core;      /* of the control path; -1: any */
};

/* Starts simulator and vehicle, which starts skylane net, and waits until it
 * drives. 0, or what failed; vehicle_stop() cleans up in either case. */
int vehicle_start(struct vehicle *v, const struct vehicle_setup *setup, struct sl_error *err);
void vehicle_stop(struct vehicle *v);

/* Takes the commands that came since: to be called ten times a second. 0, or
 * -ECHILD with the reason if a program has ended. */
int vehicle_look(struct vehicle *v, struct sl_error *err);

/* The process that broadcasts; 0: none at present. */
pid_t vehicle_net(const struct vehicle *v);

/* The last that the vehicle said: why skylane net is not there. */
#define VEHICLE_WORDS 192
void vehicle_words(const struct vehicle *v, char words[VEHICLE_WORDS]);

/* What the control process itself counted since its start. */
struct sl_state;
int vehicle_state(struct vehicle *v, struct sl_state *state, struct sl_error *err);

/* CPU time of a process so far, all its threads, in seconds; negative: it is gone. */
double process_cpu_s(pid_t pid);

/* What encoding one of this camera's frames costs while nothing else is done, in
 * CPU time. Lowers the caller's priority for good. 0, or what failed. */
int vehicle_jpeg_us(double *us, struct sl_error *err);

/* Sleeps so long, but for looks at the vehicle. 0 or as vehicle_look(); -EINTR
 * after Ctrl-C. */
int vehicle_watch(struct vehicle *v, uint64_t until_ns, struct sl_error *err);

/* ---- net_bench_peers.c: who connects ---- */

enum peer_kind {
    PEER_VIEWER,   /* all that the viewer's page takes */
    PEER_ORDINARY, /* frames and states */
    PEER_STOPPED,  /* the same; whoever starts it stops it with SIGSTOP */
    PEER_SLOW,     /* the same, but reads 50 kB/s */
    PEER_ACTIONS,  /* paired: garbage as actions */
    PEER_TOPICS,   /* paired: garbage as subscriptions */
    PEER_STRANGER, /* without a key: bytes, and messages without encryption, to both ports */
    PEER_KINDS
};

/* Of all of a kind. */
struct peer_sums {
    uint64_t frames, bytes, messages;
};

#define PEERS_MAX 16

/* In memory that its process shares with us. */
struct peer_counts {
    _Atomic uint64_t messages; /* taken, or sent and acknowledged by the vehicle's kernel */
    _Atomic uint64_t frames;   /* pictures taken */
    _Atomic uint64_t bytes;    /* of all messages taken */
    char problem[160];         /* why it ended, if it did by itself */
};

struct peers {
    int port, count;
    struct {
        enum peer_kind kind;
        pid_t pid;
    } each[PEERS_MAX];
    struct peer_counts *counts; /* one each */
};

/* What disturbs runs in processes of its own at SCHED_IDLE: on a vehicle these are
 * other machines, so that their CPU time is not the vehicle's, and here they get
 * what it leaves. What the kernel does for their bytes is the vehicle's, at
 * whichever priority it runs. */
int peers_open(struct peers *p, int port, struct sl_error *err);
int peers_start(struct peers *p, enum peer_kind kind, struct sl_error *err);

/* Has every one of them begun? (A stopped one is stopped here.) -EAGAIN: not yet;
 * -ECHILD: one has ended, with the reason. */
int peers_ready(struct peers *p, struct sl_error *err);
void peers_stop(struct peers *p); /* all of them */

void peers_sum(const struct peers *p, struct peer_sums sums[PEER_KINDS]);

/* ---- net_bench_floor.c: cyclictest beside it ---- */

struct floor_run {
    pid_t pid; /* 0: it does not run, or is not there */
    char path[96];
};

/* Begins to measure for so long, on the core of the control path. Does nothing where cyclictest is
 * not installed. */
void floor_start(struct floor_run *f, const struct vehicle *v, double seconds);

struct series;
/* Its samples, once it is over; it is ended if it is not. */
void floor_take(struct floor_run *f, struct series *to);

/* ---- net_bench_figures.c ---- */

/* One stretch of one phase. */
struct slot {
    enum phase phase;
    int twin; /* of PHASE_NOBODY, which comes twice a round: 0 or 1 */
    uint64_t from_ns, until_ns;
    double net_cpu_s; /* of skylane net; not in PHASE_KILL */
    double steal;     /* share of all cores' time that the host took */
    struct peer_sums peers[PEER_KINDS];
};

struct series {
    double *us;
    size_t count, room;
};

void series_add(struct series *s, double us);
double series_quantile(struct series *s, double share); /* sorts it */

enum measure { LATENESS, LATENCY, FLOOR, MEASURES };

struct figures {
    struct slot *slots;
    int slot_count;
    struct series *by_slot[MEASURES]; /* one for each slot */
    struct series all[MEASURES][PHASES];
    struct series twins[MEASURES][2];  /* nobody, in its two slots of a round */
    double control_max_us, own_max_us; /* lateness, from control's start */
    const char *last_stop;             /* why */
    uint64_t lost, control_stops, control_drops, control_misses;
    int kills;
    double kill_s; /* from a kill until pictures come again, mean */
    double jpeg_us;
    bool slow_core; /* skylane net's cost is told, and has no limit */
};

/* Sorts the commands by slot. The control loop's own count from its start must say
 * the same: -EPROTO with a sentence if it does not. */
int figures_make(struct figures *f, const struct vehicle *v, const struct sl_state *state,
                 struct sl_error *err);

/* Is every figure there? 0, or -ENODATA with what is missing. */
int figures_complete(const struct figures *f, struct sl_error *err);

/* The tables; false if a limit is passed. */
bool figures_print(const struct figures *f, bool markdown);
int figures_json(const struct figures *f, const char *path, struct sl_error *err);
void figures_free(struct figures *f);

#endif
