/* libFuzzer's entry for the reader of uncompressed video. The first byte
 * chooses the format to convert to, the rest is the file. Build with
 * -DSL_FUZZ=ON and clang, then run bin/y4m_fuzz on a copy of
 * tests/fuzz/corpus/y4m. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hal/camera/y4m.h"

#define FRAMES_MAX 16
#define BYTES_MAX  ((size_t)1 << 20) /* of a converted frame: larger ones find nothing more */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void convert(struct sl_y4m *video, uint64_t index, uint32_t fourcc)
{
    const struct sl_y4m_header *header = sl_y4m_header(video);
    struct sl_frame_info info = {0};
    struct sl_error err = {0};
    const uint8_t *planes;
    if (sl_y4m_read(video, index, &planes, &err) != 0) {
        if (err.text[0] == '\0')
            abort();
        return;
    }
    /* Exactly what the frame needs, so that one byte more is noticed. */
    const uint32_t even = fourcc == SL_FORMAT_NV12 || fourcc == SL_FORMAT_YUYV ? ~1u : ~0u;
    const uint32_t even_rows = fourcc == SL_FORMAT_NV12 ? ~1u : ~0u;
    const size_t need =
        sl_frame_size_bytes(fourcc, header->width_px & even, header->height_px & even_rows);
    if (need > BYTES_MAX)
        return;
    uint8_t *memory = malloc(need > 0 ? need : 1);
    if (memory == NULL)
        return;
    const int failed = sl_y4m_convert(header, planes, fourcc, memory, need, &info, &err);
    if (failed != (need > 0 ? 0 : -EPROTO))
        abort();
    if (failed == 0 && sl_frame_check(&info, need, &err) != 0)
        abort();
    if (need > 0 &&
        sl_y4m_convert(header, planes, fourcc, memory, need - 1, &info, &err) != -ENOSPC)
        abort();
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t FORMATS[] = {SL_FORMAT_GRAY8, SL_FORMAT_NV12, SL_FORMAT_YUYV,
                                       SL_FORMAT_BGR24};
    char path[64];
    struct sl_y4m *video;
    struct sl_error err = {0};
    if (size == 0)
        return 0;
    const int fd = memfd_create("y4m_fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data + 1, size - 1) != (ssize_t)(size - 1)) {
        perror("y4m_fuzz");
        abort();
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const int failed = sl_y4m_open(&video, path, &err);
    if (failed != 0 && (video != NULL || err.text[0] == '\0'))
        abort();
    if (failed == 0) {
        const uint64_t count = sl_y4m_count(video);
        if (count == 0 || count > size || sl_y4m_is_stream(video))
            abort();
        for (uint64_t i = 0; i < count && i < FRAMES_MAX; i++)
            convert(video, i, FORMATS[data[0] % 4]);
        convert(video, count - 1, FORMATS[data[0] % 4]);
        const uint8_t *planes;
        if (sl_y4m_read(video, count, &planes, &err) != -ENODATA)
            abort();
    }
    sl_y4m_close(video);
    close(fd);
    return 0;
}
