/* Runs the detector's corpus through the fuzzer's entry, so that what fuzzing
 * once found stays found without clang; and some hundred inputs more, made
 * from the corpus by changing bytes in a way that is the same each time.
 *
 *     detect_corpus_test [FOLDER...]
 *
 * Folders of inputs to run instead of this repository's corpus; a file is run
 * as it is. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUTS_MAX 4096
#define CHANGED    400 /* inputs made from the corpus */
#define CHANGES    12  /* bytes at most */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *paths[INPUTS_MAX];
static int path_count;

static uint8_t *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        if (file != NULL)
            fclose(file);
        return NULL;
    }
    const long end = ftell(file);
    rewind(file);
    /* Exactly as large as the input: a sanitizer sees a byte read behind it. */
    uint8_t *data = malloc(end > 0 ? (size_t)end : 1);
    if (data == NULL || end < 0 || fread(data, 1, (size_t)end, file) != (size_t)end) {
        perror(path);
        fclose(file);
        free(data);
        return NULL;
    }
    fclose(file);
    *size = (size_t)end;
    return data;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL && errno == ENOTDIR && path_count < INPUTS_MAX) {
        paths[path_count] = strdup(path);
        return paths[path_count++] != NULL ? 0 : -1;
    }
    if (dir == NULL) {
        perror(path);
        return -1;
    }
    int failed = 0;
    const struct dirent *entry;
    while (failed == 0 && path_count < INPUTS_MAX && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        char *inner = NULL;
        failed = asprintf(&inner, "%s/%s", path, entry->d_name) < 0 ? -1 : 0;
        if (failed == 0)
            paths[path_count++] = inner;
    }
    closedir(dir);
    return failed;
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Most changes fall where the configuration and the frames are described. */
static void change(uint8_t *data, size_t size, uint32_t *random)
{
    const uint32_t changes = 1 + next_random(random) % CHANGES;
    for (uint32_t i = 0; i < changes && size > 0; i++) {
        const size_t within = next_random(random) % 4 != 0 && size > 128 ? 128 : size;
        data[next_random(random) % within] = (uint8_t)next_random(random);
    }
}

int main(int argc, char **argv)
{
    static char standard[] = SL_SOURCE_DIR "/tests/fuzz/corpus/detect";
    int failed = 0, inputs = 0;
    if (argc == 1)
        failed = add(standard);
    for (int i = 1; i < argc; i++)
        failed |= add(argv[i]);
    qsort(paths, (size_t)path_count, sizeof *paths, by_name);

    for (int i = 0; i < path_count; i++) {
        size_t size;
        uint8_t *data = read_whole(paths[i], &size);
        if (data == NULL) {
            failed = -1;
            continue;
        }
        LLVMFuzzerTestOneInput(data, size);
        free(data);
        inputs++;
    }
    uint32_t random = 3;
    for (int i = 0; i < CHANGED && argc == 1 && path_count > 0; i++) {
        size_t size;
        uint8_t *data = read_whole(paths[i % path_count], &size);
        if (data == NULL)
            break;
        change(data, size, &random);
        LLVMFuzzerTestOneInput(data, size);
        free(data);
        inputs++;
    }
    for (int i = 0; i < path_count; i++)
        free(paths[i]);
    printf("%d inputs\n", inputs);
    return path_count == 0 || failed != 0;
}
