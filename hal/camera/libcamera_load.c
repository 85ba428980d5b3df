#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hal/camera/libcamera_parts.h"
#include "rt/cli.h"

#define FILE_NAME "skylane-libcamera.so"
#define NO_PLUGIN                                                                                  \
    "this build of skylane has no libcamera: install libcamera-dev and g++, then configure and "   \
    "build anew"

/* In the folder of libraries that belongs to the program's own folder, installed or
 * in a build tree, else beside the program, where somebody copied both. */
static int find_plugin(char *path, size_t size)
{
    static const char *const FOLDERS[] = {"/../" SL_PLUGIN_DIR "/", "/"};
    char own[512];
    if (sl_cli_program_dir(own, sizeof own) != 0)
        return -ENOENT;
    for (size_t i = 0; i < 2; i++) {
        const int length = snprintf(path, size, "%s%s" FILE_NAME, own, FOLDERS[i]);
        if (length > 0 && (size_t)length < size && access(path, R_OK) == 0)
            return 0;
    }
    return -ENOENT;
}

static const struct sl_libcamera_api *load(struct sl_error *err)
{
    char path[640];
    if (find_plugin(path, sizeof path) != 0) {
        sl_error_set(err, -ENODEV, NO_PLUGIN);
        return NULL;
    }
    /* It would tell each camera and format on standard error; its reader may ask so. */
    setenv("LIBCAMERA_LOG_LEVELS", "*:ERROR", 0);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        sl_error_set(err, -ENODEV,
                     "libcamera does not load; install it with \"sudo apt install libcamera-ipa\", "
                     "or build skylane anew with this system's libcamera-dev (%s)",
                     dlerror());
        return NULL;
    }
    const struct sl_libcamera_api *api = dlsym(library, SL_LIBCAMERA_API_SYMBOL);
    if (api != NULL && api->version == SL_LIBCAMERA_API_VERSION)
        return api;
    sl_error_set(err, -ENODEV, "%s is of another build than this program; install both anew", path);
    dlclose(library);
    return NULL;
}

const struct sl_libcamera_api *sl_libcamera_load(struct sl_error *err)
{
    /* Never unloaded: threads of its libraries may still be in it. */
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static const struct sl_libcamera_api *loaded;
    pthread_mutex_lock(&lock);
    if (loaded == NULL)
        loaded = load(err);
    const struct sl_libcamera_api *api = loaded;
    pthread_mutex_unlock(&lock);
    return api;
}
