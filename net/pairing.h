/* Pairing: a short code, shown by the vehicle and typed on the laptop, lets the
 * two exchange their public keys, so that later connections need no code.
 *
 * The code has 40 bits, far too few for a key; but CPace (net/cpace.h) gives a
 * listener nothing to try codes on, and one try for each exchange to somebody
 * in the middle. The laptop proves the code first, so that the vehicle sees
 * every try, and three wrong ones end the code. Only after both have proved it
 * do keys, role and names go over, encrypted with the agreed key.
 * net/pairing_wire.h has the messages.
 *
 * sodium_init() is called inside. One thread at a time for each host. */
#ifndef SL_NET_PAIRING_H
#define SL_NET_PAIRING_H

#include <stddef.h>
#include <stdint.h>

#include "net/keys.h"
#include "rt/error.h"

#define SL_PAIR_PORT      5559
#define SL_PAIR_TRIES     3
#define SL_PAIR_CODE      9  /* eight characters, terminated: what is agreed on */
#define SL_PAIR_CODE_SHOW 10 /* "K7QF-3M9P", terminated: what people see */
#define SL_PAIR_ADDRESS   64

/* ---- codes ---- */

/* Draws a code of 32 letters and digits that look like no other: without 0, 1, I, O. */
void sl_pair_code_draw(char shown[SL_PAIR_CODE_SHOW]);

/* Reads what somebody typed: upper or lower case, hyphens and blanks anywhere.
 * 0, or -EINVAL with a sentence. */
int sl_pair_code_read(const char *typed, char code[SL_PAIR_CODE], struct sl_error *err);

/* ---- the vehicle ---- */

struct sl_pair_host; /* opaque */

struct sl_pair_host_config {
    const char *folder;   /* for keys, as sl_keys_folder() tells */
    const char *name;     /* of the vehicle, as sl_keys_name_good() wants it */
    enum sl_role role;    /* which the client will have */
    uint16_t port;        /* 0: any that is free */
    uint64_t lifetime_ns; /* of the code, from opening on */
};

enum sl_pair_what {
    SL_PAIR_NOTHING, /* the deadline passed */
    SL_PAIR_DONE,    /* paired: the client is on the list. The end */
    SL_PAIR_FAILED,  /* a wrong code; with tries_left 0, the end */
    SL_PAIR_EXPIRED, /* the code's time is over. The end */
};

struct sl_pair_event {
    enum sl_pair_what what;
    char address[SL_PAIR_ADDRESS]; /* DONE, FAILED: of the peer; "an unknown address" */
    unsigned tries_left;           /* FAILED */
    struct sl_keys_entry client;   /* DONE */
    size_t replaced;               /* DONE: older entries of this name or key */
};

struct sl_pair_counts {
    uint64_t garbage; /* messages that made no sense */
    uint64_t busy;    /* exchanges that were refused, because too many were open */
};

/* Draws a code and begins to listen on all interfaces. Everything in `config` is
 * copied. Makes the vehicle's key pair if there is none. 0; -EADDRINUSE, as
 * sl_keys_own(), -EINVAL (name or role), -ENOMEM with a sentence. */
int sl_pair_host_open(struct sl_pair_host **out, const struct sl_pair_host_config *config,
                      struct sl_error *err);

/* The code to be shown, and the port. The code is the host's; valid until closed. */
const char *sl_pair_host_code(const struct sl_pair_host *host);
uint16_t sl_pair_host_port(const struct sl_pair_host *host);

/* Answers whoever asks, until something is to be told or until the deadline
 * (sl_clock_now_ns()). After the end it tells the same end again and answers nobody.
 * 0; -EINTR (a signal); as sl_keys_add() if a client that proved the code
 * could not be written down: it was told so, and may try again. */
int sl_pair_host_wait(struct sl_pair_host *host, uint64_t deadline_ns, struct sl_pair_event *event,
                      struct sl_error *err);

void sl_pair_host_counts(const struct sl_pair_host *host, struct sl_pair_counts *counts);

/* Stops listening; waits up to 1 s until the last answer is out. Wipes the code
 * and frees `host`; NULL is allowed. */
void sl_pair_host_close(struct sl_pair_host *host);

/* ---- the laptop ---- */

struct sl_pair_join_config {
    const char *folder; /* for keys, as sl_keys_folder() tells */
    const char *host;   /* name or address; what the vehicle is remembered as */
    const char *code;   /* as typed */
    const char *name;   /* the laptop's, as the vehicle will list it */
    uint16_t port;
    uint64_t timeout_ns; /* for all of it */
};

struct sl_pair_joined {
    char public_key[SL_KEYS_TEXT]; /* the vehicle's */
    char name[SL_KEYS_NAME];       /* what it calls itself */
    enum sl_role role;             /* which it gave us */
};

/* Pairs with a vehicle that shows a code, and notes it in the list `vehicles`.
 * Makes the laptop's key pair if there is none. Blocks up to timeout_ns. 0;
 * -EINVAL (code, host or name), -EACCES (wrong code; `err` tells how many tries
 * are left), -ETIMEDOUT (nobody answers), -EBUSY, -EPROTO (it could not prove
 * the code, or speaks another version), -EREMOTEIO (the vehicle cannot write it
 * down), -EINTR (a signal), or as sl_keys_own() and sl_keys_add(), with a
 * sentence. */
int sl_pair_join(const struct sl_pair_join_config *config, struct sl_pair_joined *joined,
                 struct sl_error *err);

#endif
