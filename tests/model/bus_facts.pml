/* The protocol of rt/bus_ring.c: the newest record's size and times, which lie
 * beside the newest word and change with every publication.
 *
 * One writer, one reader, PUBS publications, two facts. That the record's slot is
 * held is bus_ring.pml's matter; here the question is whether the facts that the
 * reader takes along are those of the record that it takes.
 *
 * Memory is as weak as in bus_ring.pml: stores wait in a buffer and become
 * visible in any order, but that two to one place keep theirs, and that a release
 * store waits for all before it. The fence at the end of a publication waits for
 * all. Where an acquire keeps a later load from being done earlier, the mutation
 * that takes it away does the loads in the other order. */
#ifndef PUBS
#define PUBS 4
#endif

/* Places, in the order in which they are stored. */
#define BEGUN   0
#define FIRST   1
#define SECOND  2
#define NEWEST  3
#define NPLACES 4

byte memory[NPLACES]; /* the number of the record that it speaks of */
bool waits[NPLACES];  /* a store to it is on its way */
byte value[NPLACES];

#ifdef RELAXED_FACTS
#define FACTS_WAIT_FOR_BEGUN false
#else
#define FACTS_WAIT_FOR_BEGUN waits[BEGUN]
#endif
#ifdef RELAXED_NEWEST
#define NEWEST_WAITS_FOR_ALL false
#else
#define NEWEST_WAITS_FOR_ALL (waits[BEGUN] || waits[FIRST] || waits[SECOND])
#endif

inline make_visible(where) { memory[where] = value[where]; waits[where] = false }

inline store(where, what) { value[where] = what; waits[where] = true }

active proctype buffer() {
end:
    do
    :: atomic { waits[BEGUN] -> make_visible(BEGUN) }
    :: atomic { waits[FIRST] && !FACTS_WAIT_FOR_BEGUN -> make_visible(FIRST) }
    :: atomic { waits[SECOND] && !FACTS_WAIT_FOR_BEGUN && !waits[FIRST] -> make_visible(SECOND) }
    :: atomic { waits[NEWEST] && !NEWEST_WAITS_FOR_ALL -> make_visible(NEWEST) }
    od
}

byte number; /* of the last record: its slot says so before anything here does */

active proctype writer() {
    do
    :: number < PUBS ->
       number++;
       store(BEGUN, number);
       store(FIRST, number);
       store(SECOND, number);
       store(NEWEST, number);
       /* fence */
       !waits[BEGUN] && !waits[FIRST] && !waits[SECOND] && !waits[NEWEST]
    :: else -> break
    od
}

inline load_facts() { first = memory[FIRST]; second = memory[SECOND] }

active proctype reader() {
    byte wanted, first, second, begun;
    bool still;
end:
    do
    :: if /* who reads in order finds it by its slot */
       :: wanted = memory[NEWEST]
       :: wanted = number
       fi;
       if
       :: wanted == 0 -> goto end
       :: else
       fi;
#ifdef EARLY_FACTS /* newest is asked without acquire */
       load_facts();
       still = memory[NEWEST] == wanted;
#else
       still = memory[NEWEST] == wanted;
#ifdef LATE_FACTS /* the facts are read without acquire */
       begun = memory[BEGUN];
       load_facts();
#else
       load_facts();
#endif
#endif
#ifndef LATE_FACTS
       begun = memory[BEGUN];
#endif
#ifdef NO_BEGUN
       begun = wanted;
#endif
       assert(!(still && begun == wanted) || (first == wanted && second == wanted));
       atomic { wanted = 0; first = 0; second = 0; begun = 0; still = false }
    od
}
