/* What the commands say about buses, in words. ASCII only, so that bytes are
 * columns; nothing in it comes from other processes unfiltered. */
#ifndef SL_TOOLS_BUS_WORDS_H
#define SL_TOOLS_BUS_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "tools/bus/look.h"

/* "alive", "dead", "silent", "foreign", "mismatch"; "absent" if not found. */
const char *bus_life_word(const struct bus_look *look);

/* A sentence on what a bus that is not alive is, and what to do. */
void bus_life_sentence(char *text, size_t size, const struct bus_look *look);

/* "frame", "state" and so on; the four characters of a type that is not ours. */
void bus_type_word(char *text, size_t size, uint32_t type);

/* What it carries: "frames 800x600 NV12", "vehicle states". */
void bus_carries_text(char *text, size_t size, const struct bus_look *look);

const char *bus_pages_word(uint32_t pages);   /* "plain", "transparent", "huge" */
const char *bus_access_word(uint32_t access); /* "owner", "group", "all" */

/* "340 us", "12 ms", "3.4 s", "5 min", "7 h"; "1.4 MiB". */
void bus_duration_text(char *text, size_t size, uint64_t ns);
void bus_bytes_text(char *text, size_t size, uint64_t bytes);

/* What a process runs: "skylane-run", "python3 detector.py"; "?" if that can
 * not be told. */
void bus_program_text(char *text, size_t size, int32_t pid);

/* A user's name, or number. */
void bus_user_text(char *text, size_t size, uint32_t uid);

#endif
