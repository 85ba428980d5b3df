/* The protocol of rt/bus_ring.c: who may have which slot.
 *
 * One writer, two readers, three slots, PUBS publications a writer's life,
 * one slot on loan at a time, with TWO_LOANS two (a device fills the other meanwhile), readers
 * and writer killed at any step, dead readers' rows cleared by the door,
 * dead writers replaced.
 *
 * Memory is weaker than on any processor that this runs on: the writer's stores
 * wait in a buffer and become visible in any order, but that two stores to one
 * place keep theirs, that a release store waits for all before it, and that a
 * fence waits for all. A reader's announcement waits in the same way. Loads take
 * what is visible at their moment; where an acquire keeps a later load from
 * being done earlier (or an earlier one later), the mutation that takes it away
 * does the loads in the other order.
 *
 * A payload is one word: what may be wrong with one of its words may be wrong
 * with that one. A successor's ring is other memory, so that what is left of the
 * old one can not meet it: the model waits with the new ring until the readers
 * have left the old. */
#ifndef PUBS
#define PUBS 5
#endif
#define NSLOTS   3
#define NREADERS 2
#define ROOM     8
#define NONE     255
#define HALF     254 /* of a payload that is being filled */

/* Places, as the buffer names them. */
#define SEQ(s)  (s)
#define WORD(s) (NSLOTS + (s))
#define NEWEST  (2 * NSLOTS)

byte memory[2 * NSLOTS + 1]; /* NEWEST holds number * 4 + slot; 0: none */
byte hazard[NREADERS];       /* slot + 1; 0: none */

/* The writer's stores on their way, oldest first. */
byte queued;
byte place[ROOM], value[ROOM];
bit release[ROOM];

byte announced[NREADERS] = NONE; /* a reader's store on its way */

mtype = { FREE, TAKEN, ORPHANED };
mtype row[NREADERS] = FREE;
bool writer_alive = false;
byte attached; /* readers that look at this ring */

/* What nobody in the program knows, for the assertions. */
byte holds[NREADERS];  /* slot + 1 while a reader rightly believes in it */
bool overrun[NREADERS]; /* the writer took it all the same, for want of others */

inline store(where, what, order) {
    assert(queued < ROOM);
    place[queued] = where; value[queued] = what; release[queued] = order;
    queued++
}

#define ORDERED 1
#define RELAXED 0

/* ---- memory: makes what waits visible ---- */

inline make_visible(k) {
    d_step {
        memory[place[k]] = value[k];
        i = k;
        do
        :: i + 1 < queued ->
           place[i] = place[i + 1]; value[i] = value[i + 1]; release[i] = release[i + 1]; i++
        :: else -> break
        od;
        queued--;
        place[queued] = 0; value[queued] = 0; release[queued] = 0; i = 0
    }
}

#define FIRST(k)  (queued > k && !release[k])
#define APART(j, k) (place[j] != place[k])

active proctype buffers() {
    byte i;
end:
    do
    :: atomic { queued > 0 -> make_visible(0) }
    :: atomic { FIRST(1) && APART(0, 1) -> make_visible(1) }
    :: atomic { FIRST(2) && APART(0, 2) && APART(1, 2) -> make_visible(2) }
    :: atomic { FIRST(3) && APART(0, 3) && APART(1, 3) && APART(2, 3) -> make_visible(3) }
    :: d_step { announced[0] != NONE -> hazard[0] = announced[0]; announced[0] = NONE }
    :: d_step { announced[1] != NONE -> hazard[1] = announced[1]; announced[1] = NONE }
    od
}

/* ---- the writer ---- */

byte number;           /* of the last publication */
byte slot_seq[NSLOTS]; /* the writer's own copy */

#define W_MAY_DIE if :: goto killed :: true fi

inline oldest(excluded) {
    s = NSLOTS;
    for (i : 0 .. NSLOTS - 1) {
        if
        :: i != newest && i != aside && ((excluded >> i) & 1) == 0 && (s == NSLOTS || slot_seq[i] < slot_seq[s]) -> s = i
        :: else
        fi
    }
    i = 0
}

inline look(r) {
    if
    :: hazard[r] != 0 -> held = held | (1 << (hazard[r] - 1))
    :: else
    fi
}

active proctype writer() {
    byte s, i, newest, held, tries;
    byte aside = NONE; /* a slot on loan, beside s */
    bool forced;
end_open:
    atomic {
        !writer_alive && attached == 0 && queued == 0;
        d_step {
            for (i : 0 .. 2 * NSLOTS) { memory[i] = 0 }
            for (i : 0 .. NSLOTS - 1) { slot_seq[i] = 0 }
            i = 0; number = 0; newest = NSLOTS; aside = NONE; writer_alive = true
        }
    }
loan:
    atomic {
        W_MAY_DIE;
        if
        :: number == PUBS -> goto done
        :: else
        fi;
        /* What was published or given back is there. */
        d_step {
            for (i : 0 .. NSLOTS - 1) { assert(queued != 0 || memory[SEQ(i)] == slot_seq[i]) }
            i = 0; held = 0; tries = 0; forced = false
        }
        look(0)
    }
    atomic { W_MAY_DIE; look(1) }
pick:
    atomic {
        W_MAY_DIE;
        d_step {
            oldest(held);
            if
            :: s == NSLOTS -> forced = true; oldest(0)
            :: else
            fi;
            tries++;
            assert(tries <= NSLOTS) /* bounded, whatever readers do */
        }
        store(SEQ(s), 0, RELAXED) /* W1 */
    }
#ifndef NO_WRITER_FENCE
    atomic { queued == 0; W_MAY_DIE }
#endif
    if
    :: forced -> goto fill
    :: else
    fi;
    held = held & ~(1 << s);
    atomic { W_MAY_DIE; look(0) } /* W2 */
    atomic { W_MAY_DIE; look(1) }
    atomic {
        if
        :: ((held >> s) & 1) != 0 ->
#ifndef NO_RESTORE
           store(SEQ(s), slot_seq[s], ORDERED);
#endif
           goto pick
        :: else
        fi
    }
fill:
    atomic {
        W_MAY_DIE;
        assert(s != newest && s != aside);
        d_step {
            for (i : 0 .. NREADERS - 1) {
                if
                :: holds[i] == s + 1 -> assert(forced); overrun[i] = true
                :: else
                fi
            }
            i = 0; slot_seq[s] = 0
        }
#ifdef TWO_LOANS
        store(WORD(s), HALF, RELAXED)
    }
    atomic {
        W_MAY_DIE;
        if
        :: aside == NONE -> aside = s; s = 0; forced = false; goto loan
        :: aside != NONE -> i = s; s = aside; aside = i; i = 0
        :: true
        fi
    }
    atomic {
        W_MAY_DIE;
#endif
        slot_seq[s] = number + 1;
        store(WORD(s), number + 1, RELAXED)
    }
    atomic {
        W_MAY_DIE;
#ifdef RELAXED_PUBLISH
        store(SEQ(s), number + 1, RELAXED)
#else
        store(SEQ(s), number + 1, ORDERED)
#endif
    }
    atomic {
        W_MAY_DIE;
        store(NEWEST, (number + 1) * 4 + s, ORDERED);
        number++;
#ifndef REUSE_NEWEST
        newest = s;
#endif
        s = 0; forced = false
    }
    atomic { queued == 0; goto loan } /* P1, fence */
done:
killed:
    atomic { writer_alive = false; s = 0; held = 0; tries = 0; forced = false; newest = 0 }
    goto end_open
}

/* ---- readers ---- */

#define R_MAY_DIE if :: goto killed :: true fi

inline want(slot, seq_) {
    s = slot; n = seq_
}

active [NREADERS] proctype reader() {
    byte r = _pid - 2;
    byte s, n;
    bool wrong, intact;
#ifdef EARLY_LOADS
    byte early[NSLOTS];
#endif
end_attach:
    atomic {
        writer_alive && row[r] == FREE;
        assert(hazard[r] == 0); /* nothing of the one before */
        row[r] = TAKEN; attached++
    }
idle:
    atomic { s = 0; n = 0; wrong = false; intact = false }
#ifdef EARLY_LOADS /* no acquire when the number is read: the payload may be read before */
    atomic { early[0] = memory[WORD(0)]; early[1] = memory[WORD(1)]; early[2] = memory[WORD(2)] }
#endif
    atomic {
        R_MAY_DIE;
end_idle:
        if
        :: !writer_alive -> /* its connection has ended */
           announced[r] = NONE; hazard[r] = 0; row[r] = FREE; attached--; goto end_attach
        :: memory[NEWEST] != 0 -> want(memory[NEWEST] & 3, memory[NEWEST] >> 2)
        :: memory[SEQ(0)] != 0 -> want(0, memory[SEQ(0)])
        :: memory[SEQ(1)] != 0 -> want(1, memory[SEQ(1)])
        :: memory[SEQ(2)] != 0 -> want(2, memory[SEQ(2)])
        fi
    }
    atomic { R_MAY_DIE; announced[r] = s + 1 } /* R1 */
#ifndef NO_READER_FENCE
    atomic { announced[r] == NONE; R_MAY_DIE }
#endif
    atomic {
        R_MAY_DIE;
#ifndef NO_SECOND_LOOK
        if /* R2 */
        :: memory[NEWEST] == n * 4 + s
        :: memory[SEQ(s)] == n
        :: else -> goto let_go
        fi;
#endif
        holds[r] = s + 1
    }
#ifdef EARLY_LOADS
    wrong = early[s] != n;
#else
#ifndef LATE_LOADS
    atomic { R_MAY_DIE; wrong = memory[WORD(s)] != n }
#endif
#endif
    atomic { R_MAY_DIE; intact = memory[SEQ(s)] == n }
#ifdef LATE_LOADS /* no acquire fence before the look at release */
    atomic { R_MAY_DIE; wrong = memory[WORD(s)] != n }
#endif
#ifdef NO_LOOK_AT_RELEASE
    intact = true;
#endif
    assert(!(intact && wrong)); /* nothing torn or foreign passes as good */
let_go:
    atomic { R_MAY_DIE; holds[r] = 0; overrun[r] = false; announced[r] = 0 }
    goto idle;
killed:
    atomic { /* its stores are visible before the kernel ends its connection */
        if
        :: announced[r] != NONE -> hazard[r] = announced[r]; announced[r] = NONE
        :: else
        fi;
        holds[r] = 0; overrun[r] = false; row[r] = ORPHANED; attached--;
        s = 0; n = 0; wrong = false; intact = false
    }
    goto end_attach
}

/* ---- the door's thread ---- */

inline clear(r) {
#ifndef NO_RECOVERY
    hazard[r] = 0;
#endif
    row[r] = FREE
}

active proctype door() {
end:
    do
    :: atomic { row[0] == ORPHANED -> clear(0) }
    :: atomic { row[1] == ORPHANED -> clear(1) }
#ifdef CLEAR_THE_LIVING
    :: atomic { row[0] == TAKEN && hazard[0] != 0 -> hazard[0] = 0 }
#endif
    od
}
