/* Sleeping and waking, as in rt/bus_ring.h, rt/bus_writer.c and rt/bus_reader.c:
 * nobody sleeps through a publication.
 *
 * One writer publishes PUBS records and then nothing more, for ever; two
 * ordinary readers want to have seen the last; either may be killed at any step,
 * and is replaced. The relay wakes when both sleep, the writer itself when one
 * does. There are no time-outs here: a wake-up that is lost leaves a reader
 * asleep at the end, which Spin reports as an invalid end state.
 *
 * Stores that are no release and stand before a fence wait in a buffer, one a
 * place, and become visible at any time until the fence. */
#ifndef PUBS
#define PUBS 3
#endif
#define NREADERS 2
#define NONE     255

byte newest, newest_coming = NONE;
bool asleep[NREADERS], asleep_coming[NREADERS];
byte bell;
byte relay_word;
bool relay_word_coming;
bool relay_asleep, relay_asleep_coming;

/* In the kernel: who sleeps on which futex word. */
bool on_bell[NREADERS];
bool on_relay_word;

mtype = { FREE, TAKEN, ORPHANED };
mtype row[NREADERS] = FREE;

active proctype buffers() {
end:
    do
    :: d_step { newest_coming != NONE -> newest = newest_coming; newest_coming = NONE }
    :: d_step { asleep_coming[0] -> asleep[0] = true; asleep_coming[0] = false }
    :: d_step { asleep_coming[1] -> asleep[1] = true; asleep_coming[1] = false }
    :: d_step { relay_word_coming -> relay_word++; relay_word_coming = false }
    :: d_step { relay_asleep_coming -> relay_asleep = true; relay_asleep_coming = false }
    od
}

inline clear_bits() {
    asleep[0] = false;
    asleep[1] = false
}

/* Clears the bits, moves the bell, wakes. */
inline wake_ordinary() {
#ifndef CLEAR_AFTER_WAKING
    clear_bits();
#endif
#ifndef STILL_BELL
    bell++;
#endif
    d_step { on_bell[0] = false; on_bell[1] = false }
#ifdef CLEAR_AFTER_WAKING
    clear_bits();
#endif
}

active proctype writer() {
    byte n, count;
    do
    :: n < PUBS ->
        n++;
        newest_coming = n; /* P1 */
#ifndef NO_WRITER_FENCE
        newest_coming == NONE;
#endif
        count = asleep[0]; /* P2 */
        count = count + asleep[1];
        if
        :: count == 0
        :: count == 1 -> wake_ordinary()
        :: count == 2 -> /* ring_relay() */
            relay_word_coming = true;
#ifndef NO_RING_FENCE
            !relay_word_coming;
#endif
            if
            :: relay_asleep -> on_relay_word = false
            :: else
            fi;
            !relay_word_coming
        fi;
        count = 0
#ifdef NO_WRITER_FENCE
        ; newest_coming == NONE
#endif
    :: n == PUBS -> break
    od
}

active proctype relay() {
    byte word, seen;
    do
    ::  word = relay_word;
        if
        :: word == seen ->
            relay_asleep_coming = true;
#ifndef NO_RELAY_FENCE
            !relay_asleep_coming;
#endif
            atomic { /* FUTEX_WAIT compares and sleeps in one */
                if
#ifdef RELAY_SLEEPS_UNASKED
                :: true -> on_relay_word = true
#else
                :: relay_word == seen -> on_relay_word = true
                :: else
#endif
                fi
            }
end_asleep:
            !on_relay_word;
            atomic { relay_asleep_coming = false; relay_asleep = false }
        :: else ->
            seen = word;
            wake_ordinary()
        fi;
        word = 0
    od
}

/* Few: who can always be killed is never stuck. */
#ifndef KILLS
#define KILLS 2
#endif
byte kills = KILLS;

#define MAY_DIE if :: kills > 0 -> kills--; goto killed :: true fi

active [NREADERS] proctype reader() {
    byte r = _pid - 3;
    byte last, before;
end_attach:
    atomic {
        row[r] == FREE;
        assert(!asleep[r]);
        row[r] = TAKEN
    }
    do
    :: newest > last -> last = newest
    :: newest == last && last == PUBS -> break
    :: newest == last && last < PUBS ->
        atomic { MAY_DIE; before = bell }
        atomic { MAY_DIE; asleep_coming[r] = true } /* S1 */
#ifndef NO_READER_FENCE
        !asleep_coming[r];
#endif
        if
#ifndef NO_SECOND_LOOK
        :: newest > last /* S2 */
#endif
        :: else ->
            atomic {
                if
#ifdef SLEEPS_UNASKED
                :: true -> on_bell[r] = true
#else
                :: bell == before -> on_bell[r] = true
                :: else
#endif
                fi
            }
            do
            :: !on_bell[r] -> break
            :: atomic { kills > 0 && on_bell[r] -> kills--; goto killed } /* SIGKILL ends a sleep too */
            od
        fi;
        atomic { MAY_DIE; asleep_coming[r] = false; asleep[r] = false; before = 0 }
    od;
    goto done;
killed:
    atomic {
        asleep[r] = asleep[r] || asleep_coming[r];
        asleep_coming[r] = false; on_bell[r] = false; row[r] = ORPHANED;
        last = 0; before = 0
    }
    goto end_attach;
done:
    skip
}

active proctype door() {
end:
    do
    :: atomic { row[0] == ORPHANED -> asleep[0] = false; row[0] = FREE }
    :: atomic { row[1] == ORPHANED -> asleep[1] = false; row[1] = FREE }
    od
}
