/* skylane-detect: lanes in pictures. */
#include <stdio.h>
#include <stdlib.h>

#include "detect_offline.h"
#include "rt/cli.h"

#define VERB "detect"

static void help(FILE *to)
{
    fputs("skylane detect - find the lane in pictures\n"
          "\n"
          "usage: skylane detect --images DIR|GLOB --calibration FILE [options]\n"
          "\n"
          "  --images WHERE       a folder of pictures, a folder of such folders (each is a\n"
          "                       clip), a picture, or a quoted glob; .jpg, .pgm, .ppm\n"
          "  --calibration FILE   one of our settings files, or a JSON with one entry a clip\n"
          "  --predictions FILE   writes one JSON line a picture; - is standard output\n"
          "  --overlay DIR        writes pictures with the lane drawn, in a folder a clip\n"
          "  --track              uses the pictures before, within a clip\n"
          "  --json               prints the summary as JSON\n"
          "  --help, --version\n"
          "\n"
          "A prediction names its picture as clip/name and gives, for each row of h_samples,\n"
          "the columns of the left and the right boundary, -2 where there is none.\n"
          "\n"
          "examples:\n"
          "  skylane detect --images roads --calibration roads/calibration.json \\\n"
          "      --predictions found.jsonl\n"
          "  skylane detect --images 'drive/1*.jpg' --calibration board/sim/skylane.ini \\\n"
          "      --overlay drawn --track\n"
          "\n"
          "exit status: 0, 1 if a picture or output failed, 2 if the options are wrong\n",
          to);
}

enum { OPT_IMAGES = 1, OPT_CALIBRATION, OPT_PREDICTIONS, OPT_OVERLAY, OPT_TRACK, OPT_JSON };

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"images", required_argument, NULL, OPT_IMAGES},
        {"calibration", required_argument, NULL, OPT_CALIBRATION},
        {"predictions", required_argument, NULL, OPT_PREDICTIONS},
        {"overlay", required_argument, NULL, OPT_OVERLAY},
        {"track", no_argument, NULL, OPT_TRACK},
        {"json", no_argument, NULL, OPT_JSON},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    struct sl_detect_offline offline = {0};
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":hV", options, NULL)) != -1;) {
        switch (option) {
        case OPT_IMAGES:
            offline.images = optarg;
            break;
        case OPT_CALIBRATION:
            offline.calibration = optarg;
            break;
        case OPT_PREDICTIONS:
            offline.predictions = optarg;
            break;
        case OPT_OVERLAY:
            offline.overlay = optarg;
            break;
        case OPT_TRACK:
            offline.track = true;
            break;
        case OPT_JSON:
            offline.json = true;
            break;
        case 'h':
            help(stdout);
            return 0;
        case 'V':
            puts("skylane-" VERB " " SL_VERSION);
            return 0;
        default:
            return sl_cli_bad_option(VERB, option, argv, options);
        }
    }
    if (optind < argc)
        return sl_cli_misuse(VERB, "unexpected \"%s\"; a glob must be quoted", argv[optind]);
    if (!offline.images || !offline.calibration)
        return sl_cli_misuse(VERB, "%s is missing", offline.images ? "--calibration" : "--images");
    return sl_detect_offline(&offline);
}
