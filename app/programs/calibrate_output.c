#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/calibrate/settings_edit.h"
#include "app/config/settings.h"
#include "calibrate.h"
#include "rt/outfile.h"

#define FILE_BYTES_MAX (1u << 20)
#define LENS_MARK      "; lens: "
#define POSE_MARK      "; pose: "

static int check_settings(const char *path, struct sl_error *err)
{
    struct sl_settings *settings = malloc(sizeof *settings);
    if (settings == NULL)
        return sl_error_set(err, -ENOMEM, "no memory to read %s", path);
    sl_settings_defaults(settings);
    int rc = sl_settings_read(settings, path, err);
    free(settings);
    return rc;
}

int calibrate_output_check(const char *path, struct sl_error *err)
{
    struct stat st;
    int rc = sl_outfile_check(path, err);
    if (rc != 0)
        return rc;
    if (stat(path, &st) == 0) {
        if (!S_ISREG(st.st_mode))
            return sl_error_set(err, -EINVAL, "--output %s is not a file; give the name of one",
                                path);
        rc = check_settings(path, err);
        if (rc != 0)
            sl_error_prefix(err, "--output will not overwrite what is no settings file");
        return rc;
    }
    return 0;
}

/* A number with so many decimals, trailing zeros cut. */
static void number(struct sl_settings_edit *edit, const char *key, double value, int decimals)
{
    edit->key = key;
    int n = snprintf(edit->value, sizeof edit->value, "%.*f", decimals, value);
    while (decimals > 0 && n > 0 && edit->value[n - 1] == '0')
        edit->value[--n] = '\0';
    if (decimals > 0 && n > 0 && edit->value[n - 1] == '.')
        edit->value[--n] = '\0';
    if (strcmp(edit->value, "-0") == 0)
        memcpy(edit->value, "0", 2);
}

static size_t lens_edits(const struct sl_camera_calibration *c, struct sl_settings_edit *e)
{
    size_t n = 0;
    number(&e[n++], "width_px", c->width_px, 0);
    number(&e[n++], "height_px", c->height_px, 0);
    number(&e[n++], "fx_px", c->fx_px, 2);
    number(&e[n++], "fy_px", c->fy_px, 2);
    number(&e[n++], "cx_px", c->cx_px, 2);
    number(&e[n++], "cy_px", c->cy_px, 2);
    number(&e[n++], "k1", c->k1, 6);
    number(&e[n++], "k2", c->k2, 6);
    number(&e[n++], "p1", c->p1, 6);
    number(&e[n++], "p2", c->p2, 6);
    number(&e[n++], "k3", c->k3, 6);
    return n;
}

static size_t pose_edits(const struct sl_camera_calibration *c, struct sl_settings_edit *e)
{
    size_t n = 0;
    number(&e[n++], "height_m", c->height_m, 4);
    number(&e[n++], "pitch_rad", c->pitch_rad, 5);
    number(&e[n++], "yaw_rad", c->yaw_rad, 5);
    number(&e[n++], "roll_rad", c->roll_rad, 5);
    return n;
}

/* Reads the file there is, or nothing. The text is the caller's to free. */
static int read_old(const char *path, char **text, size_t *size, mode_t *mode, struct sl_error *err)
{
    mode_t mask = umask(0);
    umask(mask);
    *mode = 0666 & ~mask;
    *size = 0;
    *text = malloc(FILE_BYTES_MAX + 1);
    if (*text == NULL)
        return sl_error_set(err, -ENOMEM, "no memory to write %s", path);
    FILE *from = fopen(path, "rb");
    if (from == NULL && errno == ENOENT)
        return 0;
    struct stat st;
    if (from != NULL && fstat(fileno(from), &st) == 0) {
        *mode = st.st_mode & 07777;
        *size = fread(*text, 1, FILE_BYTES_MAX + 1, from);
        if (!ferror(from) && *size <= FILE_BYTES_MAX) {
            fclose(from);
            return 0;
        }
    }
    int code = from == NULL ? errno : EIO;
    if (from != NULL)
        fclose(from);
    return sl_error_set(err, -code, "cannot read %s: %s", path, strerror(code));
}

/* A file appears whole or not at all, also if the power fails: written beside,
 * brought to the disk, then renamed. What is renamed was read back as settings. */
static int replace(const char *path, const char *text, size_t size, mode_t mode,
                   struct sl_error *err)
{
    char beside[PATH_MAX + 16], folder[PATH_MAX];
    if (snprintf(folder, sizeof folder, "%s", path) >= (int)sizeof folder)
        return sl_error_set(err, -ENAMETOOLONG, "%s is too long a path", path);
    snprintf(beside, sizeof beside, "%s.XXXXXX", path);
    int fd = mkstemp(beside);
    if (fd < 0)
        return sl_error_set(err, -errno, "cannot write %s: %s", path, strerror(errno));
    size_t written = 0;
    while (written < size) {
        ssize_t n = write(fd, text + written, size - written);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        written += (size_t)n;
    }
    bool good = written == size && fchmod(fd, mode) == 0 && fsync(fd) == 0;
    int code = errno;
    if (close(fd) != 0 && good) {
        good = false;
        code = errno;
    }
    int rc = 0;
    if (!good)
        rc = sl_error_set(err, -code, "cannot write %s: %s%s", path, strerror(code),
                          sl_outfile_way_out(code));
    if (rc == 0)
        rc = check_settings(beside, err);
    if (rc == 0 && rename(beside, path) != 0)
        rc = sl_error_set(err, -errno, "cannot replace %s: %s", path, strerror(errno));
    if (rc != 0) {
        unlink(beside);
        return rc;
    }
    int dir = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0) {
        fsync(dir); /* where the file system has no such thing there is nothing to do */
        close(dir);
    }
    return 0;
}

int calibrate_output_write(const struct calibrate_output *output, const char *path,
                           struct sl_error *err)
{
    struct sl_settings_edit edits[16];
    char note[256], date[16], target[PATH_MAX];
    char *text = NULL, *lens_text = NULL, *pose_text = NULL;
    size_t size = 0;
    mode_t mode = 0;
    time_t now = time(NULL);
    struct tm day;
    /* A link stays one: what it points to is replaced. */
    if (realpath(path, target) == NULL &&
        snprintf(target, sizeof target, "%s", path) >= (int)sizeof target)
        return sl_error_set(err, -ENAMETOOLONG, "%s is too long a path", path);
    strftime(date, sizeof date, "%Y-%m-%d", localtime_r(&now, &day));
    int rc = read_old(target, &text, &size, &mode, err);
    const size_t room = size + 8192;
    lens_text = malloc(room);
    pose_text = malloc(room);
    if (rc == 0 && (lens_text == NULL || pose_text == NULL))
        rc = sl_error_set(err, -ENOMEM, "no memory to write %s", path);
    const char *now_text = text;
    long n = (long)size;
    if (rc == 0 && output->lens) {
        snprintf(note, sizeof note, LENS_MARK "%s, %s", output->lens_note, date);
        n = sl_settings_edit(now_text, (size_t)n, "camera", LENS_MARK, note, edits,
                             lens_edits(&output->camera, edits), lens_text, room);
        now_text = lens_text;
    }
    if (rc == 0 && n >= 0 && output->pose) {
        snprintf(note, sizeof note, POSE_MARK "%s, %s", output->pose_note, date);
        n = sl_settings_edit(now_text, (size_t)n, "camera", POSE_MARK, note, edits,
                             pose_edits(&output->camera, edits), pose_text, room);
        now_text = pose_text;
    }
    if (rc == 0 && n < 0)
        rc = sl_error_set(err, (int)n, "no room to edit %s", path);
    if (rc == 0)
        rc = replace(target, now_text, (size_t)n, mode, err);
    free(text);
    free(lens_text);
    free(pose_text);
    return rc;
}

int calibrate_section_write(const char *path, const char *section, const char *mark,
                            const char *note, const struct sl_settings_edit *edits, size_t count,
                            struct sl_error *err)
{
    char target[PATH_MAX];
    char *text = NULL, *edited = NULL;
    size_t size = 0;
    mode_t mode = 0;
    if (realpath(path, target) == NULL &&
        snprintf(target, sizeof target, "%s", path) >= (int)sizeof target)
        return sl_error_set(err, -ENAMETOOLONG, "%s is too long a path", path);
    int rc = read_old(target, &text, &size, &mode, err);
    const size_t room = size + 4096;
    long n = 0;
    if (rc == 0) {
        edited = malloc(room);
        n = edited == NULL
                ? -ENOMEM
                : sl_settings_edit(text, size, section, mark, note, edits, count, edited, room);
        rc = n < 0 ? sl_error_set(err, (int)n, "no room to edit %s", path)
                   : replace(target, edited, (size_t)n, mode, err);
    }
    free(text);
    free(edited);
    return rc;
}
