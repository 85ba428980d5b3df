#include "run_net.h"

#include <signal.h>
#include <string.h>

static void say(void *log, enum sl_child_news news, const char *text)
{
    if (news == SL_CHILD_ENDED)
        sl_log((struct sl_log *)log, SL_LOG_WARNING, "driving on, but nobody can watch: {}",
               sl_log_copy(text));
    else
        sl_log((struct sl_log *)log, SL_LOG_INFO, "{}{}",
               sl_log_text(strncmp(text, "skylane ", 8) == 0 ? "" : "skylane net: "),
               sl_log_copy(text));
}

struct sl_child *run_net_start(const struct sl_settings *settings,
                               const struct sl_settings_options *options, bool lockstep,
                               int insecure, struct sl_log *log)
{
    if (!settings->net.start || lockstep || strcmp(settings->camera.driver, "file") == 0)
        return NULL;
    const char *arguments[SL_SETTINGS_ARGUMENTS_MAX + 3] = {"--insecure", "--insecure"};
    arguments[sl_settings_options_pass(options, arguments, insecure < 2 ? insecure : 2)] = NULL;
    const struct sl_child_config config = {.program = "skylane-net",
                                           .arguments = arguments,
                                           .given_fd = -1,
                                           .orphan_signal = SIGKILL, /* it leaves nothing */
                                           .again = true,
                                           .restarts_variable = "SKYLANE_NET_RESTARTS",
                                           .say = say,
                                           .context = log};
    struct sl_child *net = NULL;
    struct sl_error err;
    if (sl_child_open(&net, &config, &err) != 0)
        sl_log(log, SL_LOG_WARNING,
               "driving, but nobody can watch: {} (or do without: -o net.start=no)",
               sl_log_copy(err.text));
    return net;
}
