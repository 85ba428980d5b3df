/* Between the counting allocator (rt/alloc_guard.c, linked only into programs
 * with a control path) and rt/memory.c. Not for anybody else. */
#ifndef SL_RT_ALLOC_GUARD_H
#define SL_RT_ALLOC_GUARD_H

/* Called at each allocation, by the allocating thread; allocates nothing. */
void sl_alloc_guard_note(void);
/* Called once: this program counts. */
void sl_alloc_guard_present(void);

#endif
