#include "run_camera.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "app/config/convert.h"

/* The camera's process logs as this one does; what else it says is an error's sentence. */
static void say(void *log, enum sl_child_news news, const char *text)
{
    enum sl_log_level level = news == SL_CHILD_ENDED ? SL_LOG_WARNING : SL_LOG_INFO;
    const char *message = sl_log_line_text(text, &level);
    const bool named = message != text || strncmp(text, "skylane ", 8) == 0;
    sl_log((struct sl_log *)log, level, "{}{}", sl_log_text(named ? "" : "skylane camera: "),
           sl_log_copy(message));
}

int run_camera_start(struct sl_child **camera, const struct sl_settings *s,
                     const struct sl_settings_options *options, struct sl_log *log,
                     struct sl_error *err)
{
    *camera = NULL;
    if (!sl_settings_camera_is_hardware(s) || !s->camera.process)
        return 0;
    /* What --camera said is no option of the settings'. */
    char driver[SL_SETTINGS_TEXT_MAX + 32], source[SL_SETTINGS_TEXT_MAX + 32];
    snprintf(driver, sizeof driver, "-ocamera.driver=%s", s->camera.driver);
    snprintf(source, sizeof source, "-ocamera.source=%s", s->camera.source);
    const char *arguments[SL_SETTINGS_ARGUMENTS_MAX + 4] = {"run"};
    int count = sl_settings_options_pass(options, arguments, 1);
    arguments[count++] = driver;
    arguments[count++] = source;
    arguments[count] = NULL;
    const struct sl_child_config config = {.program = "skylane-camera",
                                           .arguments = arguments,
                                           .given_fd = -1,
                                           .orphan_signal = SIGKILL, /* it leaves nothing */
                                           .again = true,
                                           .say = say,
                                           .context = log};
    return sl_child_open(camera, &config, err);
}
