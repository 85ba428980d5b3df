#include "tools/sim/program/report.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "rt/outfile.h"

static void put(cJSON *report, const char *key, cJSON *value)
{
    cJSON_DeleteItemFromObject(report, key);
    cJSON_AddItemToObject(report, key, value);
}

static double rounded(double value, double unit)
{
    return round(value / unit) * unit;
}

static const struct sl_bridge_times *bridge_times(const struct sim_detection *detection)
{
    return detection->bridge == NULL ? NULL : sl_bridge_times(detection->bridge);
}

static void add_remote(cJSON *report, const struct sim_options *o, struct sl_bridge *bridge)
{
    struct sl_bridge_status remote;
    sl_bridge_status(bridge, &remote);
    cJSON *to = cJSON_AddObjectToObject(report, "remote_detection");
    cJSON_AddStringToObject(to, "url", o->detector_url);
    cJSON_AddNumberToObject(to, "jpeg_quality", (double)o->detector_jpeg);
    if (!o->lockstep) { /* how often it asked before somebody was there is the machine's */
        cJSON_AddNumberToObject(to, "asked", (double)remote.asked);
        cJSON_AddNumberToObject(to, "asked_bytes", (double)remote.bytes);
        cJSON_AddNumberToObject(to, "unasked", (double)remote.unasked);
        cJSON_AddNumberToObject(to, "given_up", (double)remote.given_up);
        cJSON_AddNumberToObject(to, "late", (double)remote.late);
    }
    cJSON_AddNumberToObject(to, "answered", (double)remote.answered);
    cJSON_AddNumberToObject(to, "refused", (double)remote.refused);
}

cJSON *sim_report_make(const struct sim_options *o, const char *vehicle_text,
                       const struct sl_host_status *status, const struct sim_detection *detection,
                       struct sl_error *err)
{
    static const char *const WALL_CLOCK[] = {"latency_us",
                                             "deadline_misses",
                                             "loop_lateness_us",
                                             "page_faults_after_start",
                                             "allocations_after_start",
                                             "realtime",
                                             "fps"};
    cJSON *report = vehicle_text == NULL ? cJSON_CreateObject() : cJSON_Parse(vehicle_text);
    if (report == NULL) {
        sl_error_set(err, -EPROTO, "the vehicle's report is not JSON");
        return NULL;
    }
    const struct sl_tracking_score *score = &status->score;
    put(report, "seconds", cJSON_CreateNumber(rounded(status->seconds, 1e-3)));
    if (vehicle_text == NULL)
        put(report, "frames", cJSON_CreateNumber((double)status->frames));
    const cJSON *frames = cJSON_GetObjectItem(report, "frames");
    double fps = status->seconds > 0 && cJSON_GetNumberValue(frames) > 0
                     ? (cJSON_GetNumberValue(frames) - 1) / status->seconds
                     : 0;
    put(report, "fps", cJSON_CreateNumber(rounded(fps, 0.01)));
    put(report, "laps", cJSON_CreateNumber(score->laps));
    cJSON *error = cJSON_CreateObject();
    cJSON_AddNumberToObject(error, "mean_abs", rounded(sl_tracking_score_mean_m(score), 1e-6));
    cJSON_AddNumberToObject(error, "p95_abs", rounded(sl_tracking_score_p95_m(score), 1e-6));
    cJSON_AddNumberToObject(error, "max_abs", rounded(score->max_abs_m, 1e-6));
    put(report, "lateral_error_m", error);
    put(report, "departures", cJSON_CreateNumber(score->departures));
    put(report, "late_frames", cJSON_CreateNumber((double)status->late_frames));
    put(report, "distance_m", cJSON_CreateNumber(rounded(status->truth.progress_m, 1e-3)));
    put(report, "track", cJSON_CreateString(o->track));
    put(report, "seed", cJSON_CreateNumber((double)o->seed));
    put(report, "light", cJSON_CreateString(sl_sim_light_name(o->light)));
    put(report, "wear", cJSON_CreateNumber(o->wear));
    put(report, "lockstep", cJSON_CreateBool(o->lockstep));
    if (o->lockstep) {
        for (size_t i = 0; i < sizeof WALL_CLOCK / sizeof WALL_CLOCK[0]; i++)
            cJSON_DeleteItemFromObject(report, WALL_CLOCK[i]);
        cJSON_DeleteItemFromObject(report, "late_frames");
    }
    if (detection->bridge != NULL)
        add_remote(report, o, detection->bridge);
    if (o->latency)
        put(report, "stages_ms", sl_stages_json(detection->stages, bridge_times(detection)));
    return report;
}

int sim_report_write(cJSON *report, const char *path, struct sl_error *err)
{
    struct sl_outfile *file;
    char *text = cJSON_Print(report);
    int rc = text != NULL ? sl_outfile_open(&file, path, err)
                          : sl_error_set(err, -ENOMEM, "no memory for the report");
    if (rc == 0) {
        fprintf(sl_outfile_stream(file), "%s\n", text);
        rc = sl_outfile_finish(file, err);
    }
    free(text);
    return rc;
}

static double percentile(const cJSON *report, const char *group, const char *stage,
                         const char *figure)
{
    const cJSON *item = cJSON_GetObjectItem(report, group);
    if (stage != NULL)
        item = cJSON_GetObjectItem(item, stage);
    return cJSON_GetNumberValue(cJSON_GetObjectItem(item, figure));
}

static double number(const cJSON *report, const char *key)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItem(report, key));
}

static void print_detection(const struct sim_options *o, const struct sim_detection *detection)
{
    if (detection->bridge != NULL) {
        struct sl_bridge_status remote;
        sl_bridge_status(detection->bridge, &remote);
        printf("  remote detection  %" PRIu64 " frames answered, %" PRIu64
               " given up after %.0f ms, %" PRIu64 " while no server was connected, %" PRIu64
               " refused\n",
               remote.answered, remote.given_up, o->detector_timeout_ms, remote.unasked,
               remote.refused);
        if (remote.asked > 0) {
            printf("  frames went       ");
            if (o->detector_jpeg > 0)
                printf("as JPEG of quality %d", (int)o->detector_jpeg);
            else
                printf("as they are");
            printf(", %.0f kB each\n", (double)remote.bytes / (double)remote.asked / 1e3);
        }
    }
    if (o->latency)
        sl_stages_print(detection->stages, bridge_times(detection), stdout);
}

static void print_drive(const struct sim_options *o, const cJSON *report,
                        const struct sl_host_status *status)
{
    const struct sl_tracking_score *score = &status->score;
    printf("\n%.1f s on %s, %.0f m, %u laps, %.1f frames a second\n", status->seconds,
           cJSON_GetStringValue(cJSON_GetObjectItem(report, "track")),
           (double)status->truth.progress_m, score->laps,
           status->seconds > 0 ? (double)(status->frames - 1) / status->seconds : 0.0);
    printf("  lateral error     mean %.3f m   p95 %.3f m   max %.3f m   departures %u\n",
           sl_tracking_score_mean_m(score), sl_tracking_score_p95_m(score), score->max_abs_m,
           score->departures);
    if (cJSON_HasObjectItem(report, "latency_us") && number(report, "frames") > 0)
        printf("  camera->actuator  p50 %.0f us   p99 %.0f us   max %.0f us\n"
               "  control ticks     p50 %.0f us   p99 %.0f us   max %.0f us late, "
               "%.0f deadlines missed\n"
               "  after start       %.0f page faults, %.0f allocations, %.0f frames dropped\n",
               percentile(report, "latency_us", "camera_to_actuator", "p50"),
               percentile(report, "latency_us", "camera_to_actuator", "p99"),
               percentile(report, "latency_us", "camera_to_actuator", "max"),
               percentile(report, "loop_lateness_us", NULL, "p50"),
               percentile(report, "loop_lateness_us", NULL, "p99"),
               percentile(report, "loop_lateness_us", NULL, "max"),
               number(report, "deadline_misses"), number(report, "page_faults_after_start"),
               number(report, "allocations_after_start"), number(report, "frames_dropped"));
    if (cJSON_HasObjectItem(report, "mode") && number(report, "frames") == 0)
        puts(sim_detects_elsewhere(o) ? "  the vehicle got no lane: nobody detected"
                                      : "  the vehicle saw no frame: its warnings stand above");
    else if (cJSON_HasObjectItem(report, "mode") && !score->moved)
        printf("  the vehicle did not move: it is %s\n",
               cJSON_GetStringValue(cJSON_GetObjectItem(report, "mode")));
    const cJSON *stop;
    cJSON_ArrayForEach(stop, cJSON_GetObjectItem(report, "stops"))
        printf("  safe stop         %s\n", cJSON_GetStringValue(stop));
}

void sim_report_print(const struct sim_options *o, const cJSON *report,
                      const struct sl_host_status *status, const struct sim_detection *detection)
{
    print_drive(o, report, status);
    print_detection(o, detection);
}
