/* skylane view: the vehicle's picture, state and controls in a browser. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/pairing.h"
#include "rt/cli.h"
#include "rt/clock.h"
#include "tools/view/listen.h"
#include "tools/view/server.h"

#define VERB            "view"
#define ACTIONS_PORT    "5558"
#define DEFAULT_PORT    8080
#define DEFAULT_ADDRESS "127.0.0.1"
#define ENDPOINT_MAX    256
#define PAIR_NS         (10 * SL_NS_PER_S)

static const char HELP[] =
    "skylane view - watch and command a vehicle in a web browser\n"
    "\n"
    "usage: skylane view --vehicle tcp://HOST:PORT [options]\n"
    "\n"
    "  --vehicle URL      the vehicle's broadcast, such as tcp://192.168.1.20:5557\n"
    "  --actions URL      where it takes actions (the same host, port " ACTIONS_PORT ")\n"
    "  --port PORT        of the page (8080); 0: any free one\n"
    "  --preview          small pictures, for thin links (net.preview_scale, net.preview_rate_hz\n"
    "                     of the vehicle's settings)\n"
    "  --listen ADDRESS   where to serve the page (" DEFAULT_ADDRESS "); * : everywhere.\n"
    "                     Beyond the loopback a token is demanded, and printed with the URL\n"
    "  --token TOKEN      demand this one: 8 to 64 letters, digits, - and _\n"
    "  --pair             first pair with the vehicle, where \"skylane pair\" shows a code\n"
    "  --code CODE        the code; without it, it is asked for\n"
    "  --insecure         the vehicle asks for no keys (its own --insecure)\n"
    "  --help, --version\n"
    "\n"
    "A vehicle lets in whom it was paired with; on the same machine also its own user.\n"
    "On the page, the space bar stops the vehicle, holding A for a second arms it, P pauses and\n"
    "resumes, R respawns (simulator). Without the page: /stream.mjpg, /snapshot.jpg, /api/state,\n"
    "/metrics.\n"
    "\n"
    "examples:\n"
    "  skylane view --vehicle tcp://localhost:5557\n"
    "  skylane view --vehicle tcp://car.local:5557 --pair                 # the first time\n"
    "  skylane view --vehicle tcp://192.168.1.20:5557 --port 9000\n"
    "  skylane view --vehicle tcp://car.local:5557 --listen 192.168.1.5   # for a phone\n"
    "\n"
    "exit status: 0 (ended by Ctrl-C), 1 (failed), 2 (misuse)\n";

struct options {
    const char *vehicle, *actions, *address, *token, *code;
    int64_t port;
    bool pair, preview, insecure;
};

static bool is_endpoint(const char *url)
{
    struct sl_error err;
    int64_t port;
    const char *colon = strrchr(url, ':');
    return strncmp(url, "tcp://", 6) == 0 && strlen(url) < ENDPOINT_MAX && colon != NULL &&
           colon > url + 6 && url[6] != ':' &&
           sl_cli_integer(colon + 1, "port", 1, 65535, &port, &err) == 0;
}

/* The program's exit status if it is to end, else -1. */
static int read_options(int argc, char **argv, struct options *o)
{
    enum {
        OPT_VEHICLE = 256,
        OPT_ACTIONS,
        OPT_PORT,
        OPT_LISTEN,
        OPT_TOKEN,
        OPT_PREVIEW,
        OPT_PAIR,
        OPT_CODE,
        OPT_INSECURE
    };
    static const struct option OPTIONS[] = {
        {"vehicle", required_argument, NULL, OPT_VEHICLE},
        {"actions", required_argument, NULL, OPT_ACTIONS},
        {"port", required_argument, NULL, OPT_PORT},
        {"listen", required_argument, NULL, OPT_LISTEN},
        {"token", required_argument, NULL, OPT_TOKEN},
        {"preview", no_argument, NULL, OPT_PREVIEW},
        {"pair", no_argument, NULL, OPT_PAIR},
        {"code", required_argument, NULL, OPT_CODE},
        {"insecure", no_argument, NULL, OPT_INSECURE},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    struct sl_error err = {0};
    int answer;
    opterr = 0;
    while ((answer = getopt_long(argc, argv, ":hV", OPTIONS, NULL)) != -1) {
        switch (answer) {
        case OPT_VEHICLE:
            o->vehicle = optarg;
            break;
        case OPT_ACTIONS:
            o->actions = optarg;
            break;
        case OPT_PORT:
            if (sl_cli_integer(optarg, "--port", 0, 65535, &o->port, &err) != 0)
                return sl_cli_misuse(VERB, "%s", err.text);
            break;
        case OPT_LISTEN:
            o->address = optarg;
            break;
        case OPT_TOKEN:
            o->token = optarg;
            break;
        case OPT_PREVIEW:
            o->preview = true;
            break;
        case OPT_PAIR:
            o->pair = true;
            break;
        case OPT_CODE:
            o->code = optarg;
            break;
        case OPT_INSECURE:
            o->insecure = true;
            break;
        case 'h':
            fputs(HELP, stdout);
            return SL_EXIT_OK;
        case 'V':
            puts("skylane-" VERB " " SL_VERSION);
            return SL_EXIT_OK;
        default:
            return sl_cli_bad_option(VERB, answer, argv, OPTIONS);
        }
    }
    if (optind < argc)
        return sl_cli_bad_operand(VERB, argv[optind]);
    if (o->vehicle == NULL)
        return sl_cli_misuse(VERB, "--vehicle tcp://HOST:5557 is needed: whom to watch");
    if (!is_endpoint(o->vehicle))
        return sl_cli_misuse(VERB, "--vehicle: \"%s\" is not tcp://HOST:PORT", o->vehicle);
    if (o->actions != NULL && !is_endpoint(o->actions))
        return sl_cli_misuse(VERB, "--actions: \"%s\" is not tcp://HOST:PORT", o->actions);
    if (o->code != NULL && !o->pair)
        return sl_cli_misuse(VERB, "--code is for --pair, which is missing");
    if (o->insecure && o->pair)
        return sl_cli_misuse(VERB, "--insecure needs no --pair: leave out one");
    struct view_access access;
    if (o->token != NULL && view_access_init(&access, o->token, true, &err) != 0)
        return sl_cli_misuse(VERB, "%s", err.text);
    return -1;
}

static void tell_address(const struct options *o, const struct view_server_config *config)
{
    const bool everywhere = strcmp(o->address, "*") == 0 || strcmp(o->address, "0.0.0.0") == 0 ||
                            strcmp(o->address, "::") == 0;
    const bool v6 = !everywhere && strchr(o->address, ':') != NULL;
    char host[64] = "this-machine";
    if (everywhere)
        gethostname(host, sizeof host - 1);
    printf("http://%s%s%s:%u/%s%s\n", v6 ? "[" : "", everywhere ? host : o->address, v6 ? "]" : "",
           config->port, config->access.token[0] == '\0' ? "" : "?token=", config->access.token);
    fflush(stdout);
}

/* Exchanges keys with the vehicle, once and for all. */
static int pair(const struct options *o, struct sl_error *err)
{
    char host[ENDPOINT_MAX], name[SL_KEYS_NAME], typed[64] = "", folder[PATH_MAX];
    const char *begin = o->vehicle + strlen("tcp://"), *end = strrchr(o->vehicle, ':');
    const bool v6 = *begin == '[' && end[-1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(end - begin) - 2 * v6, begin + v6);
    sl_keys_host_name(name);
    int rc = sl_keys_folder(folder, sizeof folder, err);
    if (rc != 0)
        return rc;
    if (o->code == NULL) {
        fputs("Code on the vehicle's screen (\"skylane pair\" there): ", stderr);
        if (fgets(typed, sizeof typed, stdin) == NULL)
            return sl_error_set(err, -EINVAL, "no code was given");
    }
    const struct sl_pair_join_config config = {.folder = folder,
                                               .host = host,
                                               .code = o->code != NULL ? o->code : typed,
                                               .name = name,
                                               .port = SL_PAIR_PORT,
                                               .timeout_ns = PAIR_NS};
    struct sl_pair_joined joined;
    rc = sl_pair_join(&config, &joined, err);
    if (rc == 0)
        fprintf(stderr, "paired with \"%s\" at %s, as %s\n", joined.name, host,
                sl_role_text(joined.role));
    return rc;
}

static int serve(const struct options *o, struct sl_error *err)
{
    struct view_server *server;
    struct view_server_config config = {.vehicle = o->vehicle,
                                        .actions = o->actions,
                                        .pictures = o->preview ? VIEW_PREVIEW_TOPIC
                                                               : view_topic_name(VIEW_FRAME),
                                        .insecure = o->insecure};
    int rc = view_access_init(&config.access, o->token, !view_listen_is_loopback(o->address), err);
    if (rc != 0)
        return rc;
    config.listen_fd = view_listen_open(o->address, (uint16_t)o->port, &config.port, err);
    if (config.listen_fd < 0)
        return config.listen_fd;
    rc = view_server_open(&server, &config, err);
    if (rc != 0)
        return rc;
    tell_address(o, &config);
    rc = view_server_run(server, err);
    view_server_close(server);
    return rc;
}

int main(int argc, char **argv)
{
    struct options o = {.address = DEFAULT_ADDRESS, .port = DEFAULT_PORT};
    const int status = read_options(argc, argv, &o);
    if (status >= 0)
        return status;
    char actions[ENDPOINT_MAX + sizeof ACTIONS_PORT];
    if (o.actions == NULL) {
        const int host = (int)(strrchr(o.vehicle, ':') - o.vehicle);
        snprintf(actions, sizeof actions, "%.*s:" ACTIONS_PORT, host, o.vehicle);
        o.actions = actions;
    }
    struct sl_error err = {0};
    sl_cli_catch_stop();
    if ((o.pair && pair(&o, &err) != 0) || serve(&o, &err) != 0) {
        fprintf(stderr, "skylane " VERB ": %s\n", err.text);
        return SL_EXIT_FAILED;
    }
    return SL_EXIT_OK;
}
