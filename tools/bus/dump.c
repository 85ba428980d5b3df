/* skylane bus dump: what travels on a bus, as pictures, JSON or bytes. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "net/json.h"
#include "net/record_json.h"
#include "rt/bus.h"
#include "rt/cli.h"
#include "rt/clock.h"
#include "rt/records.h"
#include "tools/bus/look.h"
#include "tools/bus/picture.h"
#include "tools/bus/record.h"
#include "tools/bus/verbs.h"
#include "tools/bus/words.h"

#define VERB              "bus dump"
#define DEFAULT_TIMEOUT_S 2.0

static const char HELP[] =
    "skylane bus dump - what travels on a bus: a frame as a picture, a record as JSON\n"
    "\n"
    "usage: skylane bus dump [options] NAME\n"
    "\n"
    "  --out FILE       where to (- : standard output); without: frames to NAME.jpg,\n"
    "                   everything else to standard output\n"
    "  --format F       jpg, png (lossless, large), pgm (luma), raw (the bytes) or json;\n"
    "                   without: as FILE ends, else jpg for frames and json for records\n"
    "  --count N        the newest and what follows, N in all (1)\n"
    "  --follow         the newest and what follows, until Ctrl-C\n"
    "  --timeout S      how long to wait for each (2; with --follow: for ever)\n"
    "  --help\n"
    "\n"
    "More than one picture: one file each, FILE with the record's number before its\n"
    "suffix. More than one record as JSON: one a line. JSON names the fields and units\n"
    "as rt/records.h does; a number that is not finite is null.\n"
    "\n"
    "examples:\n"
    "  skylane bus dump camera_feed --out now.png\n"
    "  skylane bus dump vehicle_state | jq .record.mode\n"
    "  skylane bus dump camera_feed --follow --format jpg --out - | ffplay -f mjpeg -\n"
    "\n"
    "exit status: 0, 1 (failed, or nothing came in time), 2 (misuse)\n";

enum format { FORMAT_DEFAULT = 0, FORMAT_JPG, FORMAT_PNG, FORMAT_PGM, FORMAT_RAW, FORMAT_JSON };

struct options {
    const char *bus;
    const char *out;    /* NULL: by what the bus carries; "-": standard output */
    enum format format; /* FORMAT_DEFAULT: by what the bus carries */
    int64_t count;
    bool follow;
    double timeout_s; /* 0: for ever */
};

static enum format parse_format(const char *word)
{
    static const struct {
        const char *word;
        enum format format;
    } WORDS[] = {{"jpg", FORMAT_JPG}, {"jpeg", FORMAT_JPG}, {"png", FORMAT_PNG},
                 {"pgm", FORMAT_PGM}, {"raw", FORMAT_RAW},  {"json", FORMAT_JSON}};
    for (size_t i = 0; i < sizeof WORDS / sizeof WORDS[0]; i++) {
        if (strcasecmp(word, WORDS[i].word) == 0)
            return WORDS[i].format;
    }
    return FORMAT_DEFAULT;
}

static bool is_picture(enum format format)
{
    return format == FORMAT_JPG || format == FORMAT_PNG || format == FORMAT_PGM;
}

/* The suffix with its dot, or the end of the text. */
static const char *suffix_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    return dot != NULL && (slash == NULL || dot > slash) ? dot : path + strlen(path);
}

/* ---- one record to a file ---- */

static int write_failed(struct sl_error *err)
{
    const int code = errno != 0 ? errno : EIO;
    return sl_error_set(err, -code, "cannot write: %s", strerror(code));
}

static int write_picture(FILE *to, enum format format, const struct bus_record *record,
                         struct sl_error *err)
{
    struct sl_frame_info info;
    memcpy(&info, record->meta, sizeof info);
    const int rc = sl_frame_check(&info, record->size, err);
    if (rc != 0)
        return rc;
    switch (format) {
    case FORMAT_PNG:
        return bus_picture_write_png(to, &info, record->data, err);
    case FORMAT_PGM:
        return bus_picture_write_pgm(to, &info, record->data, err);
    default:
        return bus_picture_write_jpeg(to, &info, record->data, err);
    }
}

static int write_json(FILE *to, const struct options *o, const struct bus_record *record,
                      struct sl_error *err)
{
    const bool frame = record->type == SL_RECORD_FRAME;
    const void *data = frame ? record->meta : record->data;
    const size_t size = frame ? sizeof(struct sl_frame_info) : record->size;
    char type[16];
    cJSON *fields = sl_record_json(record->type, data, size, err);
    if (fields == NULL)
        return -ENOTSUP;
    cJSON *json = cJSON_CreateObject();
    bus_type_word(type, sizeof type, record->type);
    cJSON_AddStringToObject(json, "bus", o->bus);
    cJSON_AddStringToObject(json, "type", type);
    sl_json_add_u64(json, "seq", record->seq);
    sl_json_add_u64(json, "missed", record->missed);
    sl_json_add_u64(json, "measured_ns", record->measured_ns);
    sl_json_add_u64(json, "published_ns", record->published_ns);
    cJSON_AddItemToObject(json, "record", fields);
    const int rc = sl_json_write(to, json, o->follow || o->count > 1, err);
    cJSON_Delete(json);
    return rc;
}

static int write_record(FILE *to, enum format format, const struct options *o,
                        const struct bus_record *record, struct sl_error *err)
{
    int rc = 0;
    errno = 0;
    if (format == FORMAT_JSON)
        rc = write_json(to, o, record, err);
    else if (format != FORMAT_RAW)
        rc = write_picture(to, format, record, err);
    else if (fwrite(record->data, 1, record->size, to) != record->size)
        rc = write_failed(err);
    if (rc == 0 && fflush(to) != 0)
        rc = write_failed(err);
    if (rc != 0)
        sl_error_prefix(err, "bus %s", o->bus);
    return rc;
}

/* ---- the file ---- */

struct sink {
    enum format format;
    FILE *to; /* NULL: not open */
    char path[4096];
};

static bool one_file_each(const struct options *o, enum format format)
{
    return is_picture(format) && (o->follow || o->count > 1);
}

/* Opens the file for this record, which tells what was left to it. */
static int open_sink(struct sink *sink, const struct options *o, const struct bus_record *record,
                     struct sl_error *err)
{
    static const char *const SUFFIXES[] = {
        [FORMAT_JPG] = ".jpg", [FORMAT_PNG] = ".png", [FORMAT_PGM] = ".pgm"};
    char number[32] = "";
    sink->format = o->format != FORMAT_DEFAULT       ? o->format
                   : record->type == SL_RECORD_FRAME ? FORMAT_JPG
                                                     : FORMAT_JSON;
    if (is_picture(sink->format) && record->type != SL_RECORD_FRAME)
        return sl_error_set(err, -ENOTSUP,
                            "bus %s carries no frames, so there is no picture; take --format json",
                            o->bus);
    const char *out = o->out != NULL ? o->out : is_picture(sink->format) ? o->bus : "-";
    const char *suffix = o->out != NULL ? suffix_of(out) : "";
    const int stem = (int)(strlen(out) - strlen(suffix));
    if (strcmp(out, "-") == 0) {
        if (sink->format != FORMAT_JSON && isatty(STDOUT_FILENO))
            return sl_error_set(err, -EINVAL,
                                "what comes is no text, and would upset the terminal; send it to a "
                                "file with --out FILE");
        strcpy(sink->path, "-");
        sink->to = stdout;
        return 0;
    }
    if (o->out == NULL)
        suffix = SUFFIXES[sink->format];
    if (one_file_each(o, sink->format))
        snprintf(number, sizeof number, "-%06" PRIu64, record->seq);
    const int n = snprintf(sink->path, sizeof sink->path, "%.*s%s%s", stem, out, number, suffix);
    if (n < 0 || (size_t)n >= sizeof sink->path)
        return sl_error_set(err, -ENAMETOOLONG, "the name of the file is too long");
    sink->to = fopen(sink->path, "wb");
    if (sink->to == NULL)
        return sl_error_set(err, -errno, "cannot write %s: %s", sink->path, strerror(errno));
    return 0;
}

static int close_sink(struct sink *sink, struct sl_error *err)
{
    FILE *to = sink->to;
    sink->to = NULL;
    return to != NULL && to != stdout && fclose(to) != 0 ? write_failed(err) : 0;
}

static void say_picture(const struct sink *sink, const struct bus_record *record)
{
    struct sl_frame_info info;
    char format[5], age[24];
    memcpy(&info, record->meta, sizeof info);
    const uint64_t now = sl_clock_now_ns();
    bus_duration_text(age, sizeof age, now > record->published_ns ? now - record->published_ns : 0);
    printf("%s: frame %" PRIu64 ", %" PRIu32 "x%" PRIu32 " %s, %s old\n", sink->path, info.frame_id,
           info.width_px, info.height_px, sl_frame_format_name(info.fourcc, format), age);
    fflush(stdout);
}

/* ---- all of them ---- */

static int dump_all(struct sl_bus_reader *reader, const struct options *o, struct sink *sink,
                    struct bus_record *record, struct sl_error *err)
{
    const uint64_t timeout_ns = (uint64_t)llround(o->timeout_s * 1e9);
    uint64_t written = 0, missed = 0;
    int rc = 0;
    while (rc == 0 && (o->follow || written < (uint64_t)o->count)) {
        const uint64_t deadline = timeout_ns == 0 ? UINT64_MAX : sl_clock_now_ns() + timeout_ns;
        rc = bus_record_read(reader, o->bus, written == 0, deadline, record, err);
        if (rc == 0 && sink->to == NULL)
            rc = open_sink(sink, o, record, err);
        if (rc == 0)
            rc = write_record(sink->to, sink->format, o, record, err);
        if (rc != 0)
            break;
        written++;
        missed += record->missed;
        if (!is_picture(sink->format) || sink->to == stdout)
            continue;
        rc = close_sink(sink, err);
        if (rc == 0)
            say_picture(sink, record);
    }
    if (sink->to != NULL && sink->to != stdout && written > 0)
        printf("%s: %" PRIu64 " %s\n", sink->path, written, written == 1 ? "record" : "records");
    if (missed > 0)
        fprintf(stderr, "skylane " VERB ": missed in between: %" PRIu64 "\n", missed);
    if (rc == -EINTR || rc == -EPIPE) /* it was told to end, or who read it has had enough */
        rc = 0;
    return rc;
}

static int dump(const struct options *o, struct sl_error *err)
{
    struct sl_bus_reader *reader = NULL;
    struct bus_record record = {0};
    struct sink sink = {0};
    struct sl_error closing;
    const struct sl_bus_reader_config config = {
        .name = o->bus, .min_bytes = 1, .writers = SL_BUS_WRITERS_ANY};
    int rc = sl_bus_reader_open(&reader, &config, err);
    if (rc == -EINVAL)
        bus_suggest_name(o->bus, err);
    if (rc == 0)
        rc = dump_all(reader, o, &sink, &record, err);
    if (close_sink(&sink, &closing) != 0 && rc == 0)
        rc = sl_error_set(err, -EIO, "%s", closing.text);
    sl_bus_reader_close(reader);
    free(record.data);
    return rc;
}

/* A suffix that says nothing is an error now, before anything is waited for. */
static int complete_options(struct options *o, bool has_timeout, struct sl_error *err)
{
    const char *suffix = o->out != NULL ? suffix_of(o->out) : "";
    if (o->format == FORMAT_DEFAULT && suffix[0] != '\0') {
        o->format = parse_format(suffix + 1);
        if (o->format == FORMAT_DEFAULT)
            return sl_error_set(err, -EINVAL,
                                "\"%s\" does not tell what to write; say it with --format", o->out);
    }
    if (o->follow && o->count > 0)
        return sl_error_set(err, -EINVAL,
                            "--count ends after some records and --follow never does; take one");
    if (o->count == 0)
        o->count = 1;
    if (!has_timeout)
        o->timeout_s = o->follow ? 0.0 : DEFAULT_TIMEOUT_S;
    return 0;
}

int bus_dump_main(int argc, char **argv)
{
    enum { OPT_OUT = 256, OPT_FORMAT, OPT_COUNT, OPT_FOLLOW, OPT_TIMEOUT };
    static const struct option OPTIONS[] = {
        {"out", required_argument, NULL, OPT_OUT},
        {"format", required_argument, NULL, OPT_FORMAT},
        {"count", required_argument, NULL, OPT_COUNT},
        {"follow", no_argument, NULL, OPT_FOLLOW},
        {"timeout", required_argument, NULL, OPT_TIMEOUT},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct options o = {0};
    struct sl_error err = {0};
    bool has_timeout = false;
    int answer, rc = 0;
    opterr = 0;
    while ((answer = getopt_long(argc, argv, ":h", OPTIONS, NULL)) != -1) {
        switch (answer) {
        case OPT_OUT:
            o.out = optarg;
            break;
        case OPT_FORMAT:
            o.format = parse_format(optarg);
            if (o.format == FORMAT_DEFAULT)
                return sl_cli_misuse(VERB, "--format is jpg, png, pgm, raw or json, not %s",
                                     optarg);
            break;
        case OPT_COUNT:
            rc = sl_cli_integer(optarg, "--count", 1, INT64_C(1) << 53, &o.count, &err);
            break;
        case OPT_FOLLOW:
            o.follow = true;
            break;
        case OPT_TIMEOUT:
            rc = sl_cli_number(optarg, "--timeout", 0.001, 1e6, &o.timeout_s, &err);
            has_timeout = true;
            break;
        case 'h':
            fputs(HELP, stdout);
            return SL_EXIT_OK;
        default:
            return sl_cli_bad_option(VERB, answer, argv, OPTIONS);
        }
        if (rc != 0)
            return sl_cli_misuse(VERB, "%s", err.text);
    }
    if (optind != argc - 1)
        return sl_cli_misuse(VERB, "name one bus; \"skylane bus ls\" shows which there are");
    o.bus = argv[optind];
    if (complete_options(&o, has_timeout, &err) != 0)
        return sl_cli_misuse(VERB, "%s", err.text);
    sl_cli_catch_stop();
    rc = dump(&o, &err);
    if (rc == 0)
        return SL_EXIT_OK;
    if (rc == -EINVAL)
        return sl_cli_misuse(VERB, "%s", err.text);
    fprintf(stderr, "skylane " VERB ": %s\n", err.text);
    return SL_EXIT_FAILED;
}
