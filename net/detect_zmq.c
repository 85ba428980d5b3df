#include "net/detect_zmq.h"

#include <stddef.h>

#include <zmq.h>

int sl_detect_zmq_set(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value);
}

#ifdef __SANITIZE_THREAD__
/* Debian's libzmq is not built for ThreadSanitizer, which therefore sees the
 * bytes that its threads hand to each other, but not how they agree on it. */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libzmq.so\n";
}
#endif
