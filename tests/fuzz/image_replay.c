/* Runs every file of a corpus through the fuzzer's entry, so that what fuzzing
 * once found stays found without clang. Arguments: corpus folders; the one of
 * this repository if there are none. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        return 1;
    }
    const long size = ftell(file);
    rewind(file);
    /* Exactly as large as the input: a sanitizer sees a byte read behind it. */
    uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
    if (data == NULL || size < 0 || fread(data, 1, (size_t)size, file) != (size_t)size) {
        perror(path);
        fclose(file);
        free(data);
        return 1;
    }
    fclose(file);
    LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    static char standard[] = SL_SOURCE_DIR "/tests/fuzz/corpus/image";
    char *folders[] = {standard};
    char **list = argc > 1 ? argv + 1 : folders;
    const int count = argc > 1 ? argc - 1 : 1;
    int files = 0, failed = 0;
    for (int i = 0; i < count; i++) {
        DIR *dir = opendir(list[i]);
        if (dir == NULL) {
            perror(list[i]);
            return 1;
        }
        const struct dirent *entry;
        while ((entry = readdir(dir)) != NULL) {
            char path[4096];
            if (entry->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", list[i], entry->d_name);
            failed += replay(path);
            files++;
        }
        closedir(dir);
    }
    printf("%d files, %d unreadable\n", files, failed);
    return files == 0 || failed != 0;
}
