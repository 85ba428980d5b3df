/* Pictures in files, for programs that look through them: which there are,
 * their pixels, and pictures drawn for people. One thread. */
#ifndef SL_APP_PROGRAMS_PICTURE_FILES_H
#define SL_APP_PROGRAMS_PICTURE_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "app/detect/overlay.h"
#include "net/jpeg.h"
#include "rt/error.h"
#include "rt/frame.h"

/* ---- which ---- */

struct sl_picture_files {
    char **paths;
    size_t count, room;
};

/* The .jpg, .jpeg, .pgm and .ppm of a folder and, `depth` levels deep, of the
 * folders in it; one file, whatever its name; or a glob's matches. In the order
 * of their paths. `option` is what the user gave `where` to, for sentences. 0;
 * -EINVAL if there is no such thing, or no picture in it; -EACCES, -ENOMEM and
 * the like. The list may be freed in any case. */
int sl_picture_files_find(struct sl_picture_files *files, const char *option, const char *where,
                          int depth, struct sl_error *err);
void sl_picture_files_free(struct sl_picture_files *files);

/* ---- their pixels ---- */

struct sl_picture_file_reader;                                      /* opaque */
struct sl_picture_file_reader *sl_picture_file_reader_create(void); /* NULL: no memory */
void sl_picture_file_reader_destroy(struct sl_picture_file_reader *reader);

/* Reads a file and decodes it as `fourcc` (GRAY8, NV12, BGR24). `info` gets the
 * layout, other fields 0; `pixels` stay the reader's, may be drawn on, and are
 * valid until the next call. 0; -ENOENT and the like, -EFBIG (above 64 MiB),
 * -EPROTO, -ENOMEM, with a sentence that does not name the file. */
int sl_picture_file_read(struct sl_picture_file_reader *reader, const char *path, uint32_t fourcc,
                         struct sl_frame_info *info, uint8_t **pixels, struct sl_error *err);

/* The file that was read last, in another format. */
int sl_picture_file_again(struct sl_picture_file_reader *reader, uint32_t fourcc,
                          struct sl_frame_info *info, uint8_t **pixels, struct sl_error *err);

/* The same for bytes in memory. */
int sl_picture_file_decode(struct sl_picture_file_reader *reader, const void *bytes, size_t size,
                           uint32_t fourcc, struct sl_frame_info *info, uint8_t **pixels,
                           struct sl_error *err);

/* Memory for `bytes` bytes, instead of the pixels that were there; NULL after a
 * sentence. */
uint8_t *sl_picture_file_room(struct sl_picture_file_reader *reader, size_t bytes,
                              struct sl_error *err);

/* ---- drawn ones ---- */

/* Writes a canvas as DIR/NAME.jpg, whole or not at all, where NAME is that of
 * the picture `of` without folder and ending. 0; -EEXIST if that is the picture
 * itself; -ENAMETOOLONG; -ENOSPC, -EACCES and the like. */
int sl_picture_file_draw(struct sl_jpeg_encoder *encoder, const struct sl_canvas *canvas,
                         const char *dir, const char *of, struct sl_error *err);

#endif
