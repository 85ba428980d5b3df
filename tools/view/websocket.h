/* Browsers: what they are sent, and what they ask.
 *
 * The WebSocket is at /socket, subprotocol "skylane-view". All times named
 * `_ns` are the viewer's CLOCK_MONOTONIC unless said otherwise.
 *
 * To the browser, as text (JSON):
 *   {"type":"hello", "browser", "version", "client", "now_ns"}     first
 *   {"type":"link", ...}        state of the link, twice a second and at once
 *                               when it changes: "connecting", "live",
 *                               "no_vehicle", "reconnecting"; since_ns, clock
 *   {"type":"state"|"detection"|"trace"|"log", "arrived_ns",
 *    "sent_viewer_ns", <type>: {...}}    as the vehicle sent it, its own times
 *   {"type":"answer", "id", "name", "accepted", "reason", "text", "took_ms"}
 *   {"type":"pong", "t", "viewer_ns"}     t as in the ping
 *
 * To the browser, as binary: a frame. 64 bytes, little-endian, then the JPEG:
 *   0 "SKYF"  4 u16 version (1)  6 u16 bytes of this header  8 u64 frame_id
 *   16 u64 exposed (viewer's clock; 0: not known yet)  24 u64 arrived here
 *   32 u64 sent to the browser  40 u32 bound of `exposed` in us (2^32-1: not
 *   known)  44 u32 width  48 u32 height  52 u32 source width  56 u32 source
 *   height  60 u32 0
 *
 * From the browser, as text of at most 8 KiB:
 *   {"type":"shown", "frame_id", "age_ms", "hz"}   the credit for the next frame
 *   {"type":"ping", "t"}
 *   {"type":"action", "id", "name", "args", "expires_ms"}
 *
 * A browser holds one credit for frames, and gets it back with "shown": what
 * comes meanwhile is not queued, the newest goes next. States, traces and
 * detections have one place each, where a newer one replaces an older one; so
 * a slow browser costs the others nothing. */
#ifndef SL_TOOLS_VIEW_WEBSOCKET_H
#define SL_TOOLS_VIEW_WEBSOCKET_H

#include "tools/view/server.h"

/* Something new is there: whoever wants it is woken. */
void view_websocket_wake(struct view_server *server);

/* The link's state, to all. */
void view_websocket_tell_link(struct view_server *server, uint64_t now_ns);

/* An answer, to the one who asked. A view_answer_fn whose context is the server. */
void view_websocket_answer(void *server, const struct view_asker *asker, const char *name,
                           bool accepted, const char *reason, const char *text, double took_ms);

/* Frames a second that the best browser shows; 0 without. */
double view_websocket_shown_hz(const struct view_server *server);

#endif
