/* skylane config: the settings that a program would start with, the check of
 * a file, and the reference. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config/settings.h"
#include "rt/cli.h"

#define VERB "config"

static void help(FILE *to)
{
    fputs("skylane config - print, check and explain the settings\n"
          "\n"
          "usage: skylane config [--config FILE] [-o section.key=value]... [--json]\n"
          "       skylane config --check FILE [-o section.key=value]...\n"
          "       skylane config --reference [--markdown]\n"
          "\n"
          "Prints the settings that a program started so would use, checks a settings\n"
          "file, or lists every key. Without --config, all keys have their defaults.\n"
          "\n"
          "  -c, --config FILE           read this settings file\n"
          "  -o, --set section.key=value set one key, after the file; may be repeated\n"
          "  -j, --json                  print as JSON\n"
          "      --check FILE            say whether the file is good: exit status 0 or 1\n"
          "      --reference             every key with its range, default and meaning\n"
          "      --markdown              the reference as Markdown, as in docs/settings.md\n"
          "  -h, --help                  this text\n"
          "  -V, --version               the version\n"
          "\n"
          "examples:\n"
          "  skylane config --config board/sim/skylane.ini\n"
          "  skylane config --config my.ini -o control.law=stanley --json\n"
          "  skylane config --check my.ini && skylane run --config my.ini\n"
          "  skylane config > my.ini            begin a file of one's own\n"
          "  skylane config --reference | less\n"
          "\n"
          "exit status: 0 done, 1 the settings are not good, 2 wrong usage.\n",
          to);
}

/* Output that did not arrive (a full disk, say) is a failure. */
static int finish(int status)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "skylane config: cannot write the output: %s\n", strerror(errno));
        return EXIT_FAILURE;
    }
    return status;
}

int main(int argc, char **argv)
{
    enum { CHECK = 256, REFERENCE, MARKDOWN };
    static const struct option OPTIONS[] = {
        {"config", required_argument, NULL, 'c'},
        {"set", required_argument, NULL, 'o'},
        {"json", no_argument, NULL, 'j'},
        {"check", required_argument, NULL, CHECK},
        {"reference", no_argument, NULL, REFERENCE},
        {"markdown", no_argument, NULL, MARKDOWN},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    const char *path = NULL, *check_path = NULL;
    const char **assignments = calloc((size_t)argc + 1, sizeof *assignments);
    size_t assignment_count = 0;
    bool json = false, reference = false, markdown = false;
    int status = EXIT_SUCCESS;

    if (assignments == NULL) {
        fputs("skylane config: no memory\n", stderr);
        return EXIT_FAILURE;
    }
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":c:o:jhV", OPTIONS, NULL)) != -1;) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 'o':
            assignments[assignment_count++] = optarg;
            break;
        case 'j':
            json = true;
            break;
        case CHECK:
            check_path = optarg;
            break;
        case REFERENCE:
            reference = true;
            break;
        case MARKDOWN:
            markdown = true;
            break;
        case 'h':
            help(stdout);
            status = finish(EXIT_SUCCESS);
            goto done;
        case 'V':
            puts("skylane-" VERB " " SL_VERSION);
            status = finish(EXIT_SUCCESS);
            goto done;
        default:
            status = sl_cli_bad_option(VERB, option, argv, OPTIONS);
            goto done;
        }
    }
    if (optind < argc) {
        status = sl_cli_bad_operand(VERB, argv[optind]);
        goto done;
    }
    if (reference && (path != NULL || check_path != NULL || json || assignment_count > 0)) {
        status = sl_cli_misuse(VERB, "--reference goes with --markdown only");
        goto done;
    }
    if (markdown && !reference) {
        status = sl_cli_misuse(VERB, "--markdown goes with --reference");
        goto done;
    }
    if (check_path != NULL && (path != NULL || json)) {
        status = sl_cli_misuse(VERB, "--check goes with -o only, and takes the file itself");
        goto done;
    }
    if (reference) {
        sl_settings_reference(stdout, markdown);
        status = finish(EXIT_SUCCESS);
        goto done;
    }

    struct sl_settings settings;
    struct sl_error err = {0};
    sl_settings_defaults(&settings);
    if (check_path != NULL)
        path = check_path;
    int rc = path != NULL ? sl_settings_read(&settings, path, &err) : 0;
    for (size_t i = 0; rc == 0 && i < assignment_count; i++) {
        rc = sl_settings_set(&settings, assignments[i], &err);
        if (rc != 0)
            sl_error_prefix(&err, "-o");
    }
    if (rc == 0) {
        rc = sl_settings_check(&settings, &err);
        if (rc != 0 && path != NULL)
            sl_error_prefix(&err, "%s", path);
    }
    if (rc != 0) {
        fprintf(stderr, "skylane config: %s\n", err.text);
        status = EXIT_FAILURE;
    } else if (check_path != NULL) {
        printf("%s: good\n", check_path);
    } else if (json) {
        char *text = sl_settings_json(&settings);
        if (text == NULL) {
            fputs("skylane config: no memory\n", stderr);
            status = EXIT_FAILURE;
        } else {
            puts(text);
        }
        free(text);
    } else {
        sl_settings_print(&settings, stdout);
    }
    status = finish(status);
done:
    free(assignments);
    return status;
}
