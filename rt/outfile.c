#include "rt/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct sl_outfile {
    FILE *to;
    char name[PATH_MAX];   /* as the user wrote it, for sentences */
    char target[PATH_MAX]; /* where links lead; empty: written to directly */
    char part[PATH_MAX];
};

const char *sl_outfile_way_out(int code)
{
    switch (code) {
    case ENOSPC:
    case EDQUOT:
        return "; free some space and start again";
    case ENOENT:
        return "; the folder that it is to lie in must exist";
    case EISDIR:
        return "; give the name of a file";
    case EPIPE:
        return "; whoever was to read it has ended";
    case EACCES:
    case EPERM:
    case EROFS:
        return "; choose another place, or change the rights of this one";
    default:
        return "";
    }
}

static int cannot(const char *path, int code, struct sl_error *err)
{
    return sl_error_set(err, -code, "cannot write %s: %s%s", path, strerror(code),
                        sl_outfile_way_out(code));
}

static bool is_stdout(const char *path)
{
    return strcmp(path, "-") == 0;
}

/* The folder that `path` is in. */
static bool folder_of(const char *path, char folder[PATH_MAX])
{
    char copy[PATH_MAX];
    if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy)
        return false;
    snprintf(folder, PATH_MAX, "%s", dirname(copy));
    return true;
}

int sl_outfile_check(const char *path, struct sl_error *err)
{
    char target[PATH_MAX], folder[PATH_MAX];
    struct stat st;
    if (is_stdout(path))
        return 0;
    if (path[0] == '\0')
        return sl_error_set(err, -EINVAL, "cannot write a file without a name");
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return cannot(path, EISDIR, err);
        if (access(path, W_OK) != 0)
            return cannot(path, errno, err);
        if (!S_ISREG(st.st_mode))
            return 0;
    } else if (errno != ENOENT) {
        return cannot(path, errno, err);
    }
    if (path[strlen(path) - 1] == '/')
        return cannot(path, EISDIR, err);
    /* The part will lie beside it: where links lead, if it is one. */
    if (realpath(path, target) == NULL && snprintf(target, sizeof target, "%s", path) >= PATH_MAX)
        return cannot(path, ENAMETOOLONG, err);
    if (!folder_of(target, folder))
        return cannot(path, ENAMETOOLONG, err);
    return access(folder, W_OK | X_OK) == 0 ? 0 : cannot(path, errno, err);
}

int sl_outfile_folder(const char *path, struct sl_error *err)
{
    struct stat st;
    if (path[0] == '\0')
        return sl_error_set(err, -EINVAL, "cannot make a folder without a name");
    if (mkdir(path, 0777) == 0)
        return 0;
    const int code = errno;
    if (code == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    if (code == EEXIST)
        return sl_error_set(err, -ENOTDIR,
                            "cannot make the folder %s: a file has this name; give another", path);
    return sl_error_set(err, -code, "cannot make the folder %s: %s%s", path, strerror(code),
                        sl_outfile_way_out(code));
}

/* A descriptor of the part; -1 with errno. */
static int open_part(struct sl_outfile *file, const struct stat *old)
{
    if (snprintf(file->part, sizeof file->part, "%s.part", file->target) >=
        (int)sizeof file->part) {
        errno = ENAMETOOLONG;
        return -1;
    }
    const int fd = open(file->part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    /* Rights that cannot be given, as to another's file, are no reason to fail. */
    if (fd >= 0 && old != NULL)
        (void)!fchmod(fd, old->st_mode & 0777);
    return fd;
}

static int open_descriptor(struct sl_outfile *file)
{
    struct stat st;
    const bool there = stat(file->name, &st) == 0;
    if (there && !S_ISREG(st.st_mode))
        return open(file->name, O_WRONLY | O_CLOEXEC);
    if (realpath(file->name, file->target) == NULL)
        snprintf(file->target, sizeof file->target, "%s", file->name);
    return open_part(file, there ? &st : NULL);
}

int sl_outfile_open(struct sl_outfile **out, const char *path, struct sl_error *err)
{
    *out = NULL;
    int rc = sl_outfile_check(path, err);
    if (rc != 0)
        return rc;
    struct sl_outfile *file = calloc(1, sizeof *file);
    if (file == NULL)
        return cannot(path, ENOMEM, err);
    if (snprintf(file->name, sizeof file->name, "%s", is_stdout(path) ? "standard output" : path) >=
        (int)sizeof file->name) {
        free(file);
        return cannot(path, ENAMETOOLONG, err);
    }
    if (is_stdout(path)) {
        file->to = stdout;
    } else {
        const int fd = open_descriptor(file);
        if (fd >= 0)
            file->to = fdopen(fd, "wb");
        if (file->to == NULL) {
            rc = cannot(path, errno, err);
            if (fd >= 0)
                close(fd);
            sl_outfile_abandon(file);
            return rc;
        }
    }
    *out = file;
    return 0;
}

FILE *sl_outfile_stream(struct sl_outfile *file)
{
    return file->to;
}

int sl_outfile_flush(struct sl_outfile *file, struct sl_error *err)
{
    errno = 0;
    if (fflush(file->to) == 0 && !ferror(file->to))
        return 0;
    /* An earlier write has failed, and nobody knows why any more. The part is
     * lost: one byte more tells. */
    if (errno == 0 && file->target[0] != '\0')
        (void)!write(fileno(file->to), "", 1);
    return cannot(file->name, errno != 0 ? errno : EIO, err);
}

/* Everything handed over, and the stream closed. */
static int complete(struct sl_outfile *file, struct sl_error *err)
{
    int rc = sl_outfile_flush(file, err);
    if (file->to != stdout) {
        if (fclose(file->to) != 0 && rc == 0)
            rc = cannot(file->name, errno, err);
        file->to = NULL;
    }
    return rc;
}

int sl_outfile_finish(struct sl_outfile *file, struct sl_error *err)
{
    int rc = complete(file, err);
    if (rc == 0 && file->target[0] != '\0' && rename(file->part, file->target) != 0)
        rc = cannot(file->name, errno, err);
    if (rc == 0)
        file->target[0] = '\0'; /* nothing is left to be removed */
    sl_outfile_abandon(file);
    return rc;
}

int sl_outfile_keep_part(struct sl_outfile *file, char *kept, size_t size, struct sl_error *err)
{
    const int rc = complete(file, err);
    snprintf(kept, size, "%s", rc == 0 && file->target[0] != '\0' ? file->part : "");
    if (rc == 0)
        file->target[0] = '\0';
    sl_outfile_abandon(file);
    return rc;
}

void sl_outfile_abandon(struct sl_outfile *file)
{
    if (file == NULL)
        return;
    if (file->to != NULL && file->to != stdout)
        fclose(file->to);
    if (file->target[0] != '\0' && file->part[0] != '\0')
        unlink(file->part);
    free(file);
}

int sl_outfile_write(const char *path, const void *bytes, size_t size, struct sl_error *err)
{
    struct sl_outfile *file;
    int rc = sl_outfile_open(&file, path, err);
    if (rc != 0)
        return rc;
    errno = 0;
    if (fwrite(bytes, 1, size, file->to) != size) {
        rc = cannot(file->name, errno != 0 ? errno : EIO, err);
        sl_outfile_abandon(file);
        return rc;
    }
    return sl_outfile_finish(file, err);
}
