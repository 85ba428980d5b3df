/* Files that programs leave behind: whole, or not at all.
 *
 * A file grows as "NAME.part" and gets its name when it is complete, so that
 * neither a full disk nor Ctrl-C leaves half a file that looks like a whole
 * one, and what was there before stays until then. What is no
 * file of a disk (a pipe, a terminal, /dev/null, "-" for standard output) is
 * written to as it is.
 *
 * One thread at a time for each file; blocks as the disk does. Not for
 * real-time loops. */
#ifndef SL_RT_OUTFILE_H
#define SL_RT_OUTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "rt/error.h"

struct sl_outfile; /* opaque */

/* Tells, before any work, whether `path` could be written: it, and the folder
 * that it is in. 0, or -EISDIR, -EACCES, -ENOENT (no such folder) and the like
 * with a sentence. Leaves nothing behind. */
int sl_outfile_check(const char *path, struct sl_error *err);

/* What a user can do about an errno of writing: "; free some space ..." and the
 * like, to be put behind its text; "" where there is nothing to say. */
const char *sl_outfile_way_out(int code);

/* Makes a folder for files, if it is not there yet. 0; -ENOTDIR (there is a
 * file of that name), -EACCES, -ENOENT and the like with a sentence. */
int sl_outfile_folder(const char *path, struct sl_error *err);

/* Begins a file. A link stays one: what it points to is replaced. Rights are
 * those of the file that is there, else as the umask says. 0; -EISDIR,
 * -EACCES, -ENOENT, -ENOSPC, -ENOMEM and the like with a sentence. */
int sl_outfile_open(struct sl_outfile **file, const char *path, struct sl_error *err);

/* Where to write. Stays the file's; whether writing worked is told by
 * sl_outfile_good() and by sl_outfile_finish(). */
FILE *sl_outfile_stream(struct sl_outfile *file);

/* Hands on what is buffered. 0; -ENOSPC, -EPIPE and the like with a sentence:
 * what follows is for sl_outfile_abandon(). */
int sl_outfile_flush(struct sl_outfile *file, struct sl_error *err);

/* Ends the file and gives it its name. Frees `file` in
 * any case. 0; or -ENOSPC and the like with a sentence, and then the part is
 * removed, and what was there before is there still. */
int sl_outfile_finish(struct sl_outfile *file, struct sl_error *err);

/* Ends the file but leaves it its "NAME.part": work that was stopped. Writes
 * that name into `kept` of `size` bytes, or "" where there is no such file.
 * Frees `file`. Errors as sl_outfile_finish(). */
int sl_outfile_keep_part(struct sl_outfile *file, char *kept, size_t size, struct sl_error *err);

/* Removes the part and frees `file`; NULL is allowed. */
void sl_outfile_abandon(struct sl_outfile *file);

/* All of it: open, `size` bytes, finish. */
int sl_outfile_write(const char *path, const void *bytes, size_t size, struct sl_error *err);

#endif
