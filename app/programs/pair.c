/* skylane pair: decides who may watch and drive the vehicle over the network. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "net/keys.h"
#include "net/pairing.h"
#include "rt/cli.h"
#include "rt/clock.h"

#define VERB       "pair"
#define SLICE_NS   (200 * SL_NS_PER_MS) /* Ctrl-C is heard after this, even in a flood */
#define JOIN_NS    (10 * SL_NS_PER_S)
#define TYPED_CODE 64

static const char HELP[] =
    "skylane pair - let a laptop watch or drive the vehicle over the network\n"
    "\n"
    "usage: skylane pair [--role driver|viewer] [--minutes N]    on the vehicle\n"
    "       skylane pair --join HOST [--code CODE]               on the laptop\n"
    "       skylane pair --list | --revoke NAME\n"
    "\n"
    "The vehicle shows a code, once. Typed on the laptop, it makes the two exchange\n"
    "keys; later connections need no code. The code is valid for one laptop and\n"
    "three tries. Only meanwhile does the vehicle listen for it, on all interfaces.\n"
    "\n"
    "  --role ROLE        what the laptop may do: driver (all) or viewer (watch, and\n"
    "                     stop the vehicle); default driver\n"
    "  --minutes N        how long the code is valid, 0.01 to 60 (5)\n"
    "  --join HOST        the vehicle's name or address\n"
    "  --code CODE        the code; without it, it is asked for on standard input\n"
    "  --name NAME        what this machine is to be called (its host name)\n"
    "  --port PORT        TCP port (5559); 0 on the vehicle: any that is free\n"
    "  --list             who was paired\n"
    "  --revoke NAME      this laptop is let in no longer\n"
    "  --help, --version\n"
    "\n"
    "Keys lie in $SKYLANE_KEYS; else for root in /etc/skylane/keys, for others in\n"
    "~/.config/skylane/keys. On the vehicle, pair as the user who drives.\n"
    "\n"
    "examples:\n"
    "  skylane pair                                  # on the vehicle\n"
    "  skylane pair --join car.local                 # then on the laptop\n"
    "  skylane pair --role viewer --minutes 1\n"
    "  skylane pair --list && skylane pair --revoke annas-laptop\n"
    "\n"
    "exit status: 0 (paired, listed, revoked), 1 (not so), 2 (misuse)\n";

struct options {
    const char *join, *code, *name, *revoke, *role;
    double minutes;
    int64_t port;
    bool list, timed, ported;
    char host_name[SL_KEYS_NAME];
    char folder[PATH_MAX];
};

static int failed(const struct sl_error *err)
{
    fprintf(stderr, "skylane " VERB ": %s\n", err->text);
    return SL_EXIT_FAILED;
}

/* ---- the vehicle ---- */

static void print_invitation(const struct sl_pair_host *host, const struct options *o)
{
    char port[32] = "";
    if (sl_pair_host_port(host) != SL_PAIR_PORT)
        snprintf(port, sizeof port, " --port %u", sl_pair_host_port(host));
    printf("Pairing code:   %s\n"
           "On the laptop:  skylane pair --join %s%s\n"
           "Valid for %g minutes, for one laptop, as %s. Ctrl-C ends it.\n",
           sl_pair_host_code(host), o->name, port, o->minutes, o->role);
    fflush(stdout);
}

static int tell_end(const struct sl_pair_event *event)
{
    switch (event->what) {
    case SL_PAIR_DONE:
        printf("Paired: \"%s\" at %s is %s now%s.\n", event->client.name, event->address,
               sl_role_text(event->client.role),
               event->replaced > 0 ? ", in place of an older entry" : "");
        return SL_EXIT_OK;
    case SL_PAIR_FAILED:
        fputs("skylane " VERB ": three wrong codes, so this one is void. If nobody mistyped it, "
              "somebody was guessing: look at the addresses above. Start \"skylane pair\" again "
              "for a new code\n",
              stderr);
        return SL_EXIT_FAILED;
    case SL_PAIR_EXPIRED:
        fputs("skylane " VERB ": nobody was paired in time; start \"skylane pair\" again for a "
              "new code, with more --minutes if need be\n",
              stderr);
        return SL_EXIT_FAILED;
    case SL_PAIR_NOTHING:
        break;
    }
    fputs("skylane " VERB ": stopped; nobody was paired\n", stderr);
    return SL_EXIT_FAILED;
}

static int show_code(const struct options *o)
{
    const struct sl_pair_host_config config = {.folder = o->folder,
                                               .name = o->name,
                                               .role = sl_role_parse(o->role),
                                               .port = (uint16_t)o->port,
                                               .lifetime_ns = (uint64_t)(o->minutes * 60e9)};
    struct sl_pair_host *host;
    struct sl_pair_event event = {.what = SL_PAIR_NOTHING};
    struct sl_pair_counts counts;
    struct sl_error err = {0};
    int rc = sl_pair_host_open(&host, &config, &err);
    if (rc != 0)
        return failed(&err);
    print_invitation(host, o);
    while (!sl_cli_stop_wanted()) {
        rc = sl_pair_host_wait(host, sl_clock_now_ns() + SLICE_NS, &event, &err);
        if (rc == -EINTR)
            continue;
        if (rc != 0 || event.what == SL_PAIR_DONE || event.what == SL_PAIR_EXPIRED)
            break;
        if (event.what == SL_PAIR_FAILED) {
            fprintf(stderr, "skylane " VERB ": wrong code from %s; tries left: %u\n", event.address,
                    event.tries_left);
            if (event.tries_left == 0)
                break;
            event.what = SL_PAIR_NOTHING;
        }
    }
    sl_pair_host_counts(host, &counts);
    sl_pair_host_close(host);
    if (counts.garbage + counts.busy > 0)
        fprintf(stderr,
                "skylane " VERB ": ignored %llu messages that made no sense, and %llu from "
                "peers that asked too often\n",
                (unsigned long long)counts.garbage, (unsigned long long)counts.busy);
    return rc != 0 && rc != -EINTR ? failed(&err) : tell_end(&event);
}

/* ---- the laptop ---- */

static int ask_code(char typed[TYPED_CODE])
{
    fputs("Code on the vehicle's screen: ", stderr);
    if (fgets(typed, TYPED_CODE, stdin) != NULL)
        return SL_EXIT_OK;
    fputs("\nskylane " VERB ": no code was given\n", stderr);
    return SL_EXIT_FAILED;
}

static int join_vehicle(const struct options *o)
{
    char typed[TYPED_CODE] = "";
    struct sl_pair_join_config config = {.folder = o->folder,
                                         .host = o->join,
                                         .code = o->code,
                                         .name = o->name,
                                         .port = (uint16_t)o->port,
                                         .timeout_ns = JOIN_NS};
    struct sl_pair_joined joined;
    struct sl_error err = {0};
    if (o->code == NULL) {
        if (ask_code(typed) != SL_EXIT_OK)
            return SL_EXIT_FAILED;
        config.code = typed;
    }
    const int rc = sl_pair_join(&config, &joined, &err);
    sodium_memzero(typed, sizeof typed);
    if (rc == -EINTR && sl_cli_stop_wanted()) {
        fputs("skylane " VERB ": stopped; not paired\n", stderr);
        return SL_EXIT_FAILED;
    }
    if (rc != 0)
        return failed(&err);
    printf("Paired with \"%s\" at %s, as %s.\n", joined.name, o->join, sl_role_text(joined.role));
    return SL_EXIT_OK;
}

/* ---- lists ---- */

static int print_lists(const struct options *o)
{
    static struct sl_keys_list allowed, vehicles;
    struct sl_error err = {0};
    if (sl_keys_read(o->folder, SL_KEYS_ALLOWED, &allowed, &err) != 0 ||
        sl_keys_read(o->folder, SL_KEYS_VEHICLES, &vehicles, &err) != 0)
        return failed(&err);
    if (allowed.count + vehicles.count == 0)
        printf("nobody was paired; keys would lie in %s\n", o->folder);
    for (size_t i = 0; i < allowed.count; i++)
        printf("%-7s  %-24s  %s\n", sl_role_text(allowed.entries[i].role), allowed.entries[i].name,
               allowed.entries[i].public_key);
    for (size_t i = 0; i < vehicles.count; i++)
        printf("%-7s  %-24s  %s\n", "vehicle", vehicles.entries[i].name,
               vehicles.entries[i].public_key);
    return SL_EXIT_OK;
}

static int revoke_client(const struct options *o)
{
    struct sl_error err = {0};
    const int rc = sl_keys_remove(o->folder, SL_KEYS_ALLOWED, o->revoke, &err);
    if (rc == -ENOENT)
        sl_error_set(&err, rc, "nobody is called \"%s\"; \"skylane pair --list\" tells who is",
                     o->revoke);
    if (rc != 0)
        return failed(&err);
    printf("Revoked: \"%s\" is let in no longer.\n", o->revoke);
    return SL_EXIT_OK;
}

/* ---- options ---- */

/* SL_EXIT_OK, or SL_EXIT_MISUSE after saying why. */
static int check(const struct options *o)
{
    const int modes = (o->join != NULL) + (o->revoke != NULL) + o->list;
    const bool hosts = modes == 0;
    if (modes > 1)
        return sl_cli_misuse(VERB, "--join, --list and --revoke do not go together");
    if (o->code != NULL && o->join == NULL)
        return sl_cli_misuse(VERB, "--code is for --join; the vehicle draws its code itself");
    if ((o->timed || o->role != NULL) && !hosts)
        return sl_cli_misuse(VERB, "--role and --minutes are for the vehicle, where the code is "
                                   "shown");
    if ((o->ported || o->name != NULL) && !hosts && o->join == NULL)
        return sl_cli_misuse(VERB, "--port and --name are for pairing");
    if (o->role != NULL && sl_role_parse(o->role) == SL_ROLE_NONE)
        return sl_cli_misuse(VERB, "--role is driver or viewer, not \"%s\"", o->role);
    if (o->name != NULL && !sl_keys_name_good(o->name))
        return sl_cli_misuse(VERB, "--name has 1 to 63 letters, digits and .-_@, not \"%s\"",
                             o->name);
    if (o->join != NULL && o->port == 0)
        return sl_cli_misuse(VERB, "--join needs the port that the vehicle shows");
    return SL_EXIT_OK;
}

static int perform(struct options *o)
{
    struct sl_error err = {0};
    if (sl_keys_folder(o->folder, sizeof o->folder, &err) != 0)
        return failed(&err);
    if (o->list)
        return print_lists(o);
    if (o->revoke != NULL)
        return revoke_client(o);
    sl_keys_host_name(o->host_name);
    if (o->name == NULL)
        o->name = o->host_name;
    if (o->role == NULL)
        o->role = "driver";
    sl_cli_catch_stop();
    return o->join != NULL ? join_vehicle(o) : show_code(o);
}

int main(int argc, char **argv)
{
    enum {
        OPT_ROLE = 256,
        OPT_MINUTES,
        OPT_JOIN,
        OPT_CODE,
        OPT_NAME,
        OPT_PORT,
        OPT_LIST,
        OPT_REVOKE
    };
    static const struct option OPTIONS[] = {
        {"role", required_argument, NULL, OPT_ROLE},
        {"minutes", required_argument, NULL, OPT_MINUTES},
        {"join", required_argument, NULL, OPT_JOIN},
        {"code", required_argument, NULL, OPT_CODE},
        {"name", required_argument, NULL, OPT_NAME},
        {"port", required_argument, NULL, OPT_PORT},
        {"list", no_argument, NULL, OPT_LIST},
        {"revoke", required_argument, NULL, OPT_REVOKE},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    static struct options o = {.minutes = 5, .port = SL_PAIR_PORT};
    struct sl_error err = {0};
    int answer;
    opterr = 0;
    while ((answer = getopt_long(argc, argv, ":hV", OPTIONS, NULL)) != -1) {
        switch (answer) {
        case OPT_ROLE:
            o.role = optarg;
            break;
        case OPT_MINUTES:
            o.timed = true;
            if (sl_cli_number(optarg, "--minutes", 0.01, 60, &o.minutes, &err) != 0)
                return sl_cli_misuse(VERB, "%s", err.text);
            break;
        case OPT_JOIN:
            o.join = optarg;
            break;
        case OPT_CODE:
            o.code = optarg;
            break;
        case OPT_NAME:
            o.name = optarg;
            break;
        case OPT_PORT:
            o.ported = true;
            if (sl_cli_integer(optarg, "--port", 0, 65535, &o.port, &err) != 0)
                return sl_cli_misuse(VERB, "%s", err.text);
            break;
        case OPT_LIST:
            o.list = true;
            break;
        case OPT_REVOKE:
            o.revoke = optarg;
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
    if (optind != argc)
        return sl_cli_bad_operand(VERB, argv[optind]);
    const int misuse = check(&o);
    return misuse != SL_EXIT_OK ? misuse : perform(&o);
}
