#include "app/control/safety.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

/* Exposure stamps are the middle of an exposure, and `now` is taken when a
 * tick begins: a detection may be this much ahead. More is another clock. */
#define FUTURE_SLACK_NS UINT64_C(10000000)

static int check(double value, double low, double high, const char *name, struct sl_error *err)
{
    if (value >= low && value <= high) /* a NaN fails too */
        return 0;
    return sl_error_set(err, -EINVAL, "safety: %s is %g; allowed: %g to %g", name, value, low,
                        high);
}

int sl_safety_init(struct sl_safety *safety, const struct sl_safety_config *config, uint64_t now_ns,
                   struct sl_error *err)
{
    const double longest_ms = 1e9;
    const struct {
        double value, low, high;
        const char *name;
    } numbers[] = {
        {config->min_confidence, 0, 1, "min_confidence"},
        {config->settle_ms, 0, longest_ms, "settle_ms"},
        {config->hold_ms, 0, longest_ms, "hold_ms"},
        {config->slow_ms, config->hold_ms, longest_ms, "slow_ms (hold_ms or more)"},
        {config->slow_scale, 0, 1, "slow_scale"},
        {config->stale_ms, 0, longest_ms, "stale_ms"},
        {config->camera_stall_ms, 0, longest_ms, "camera_stall_ms"},
        {config->detector_stall_ms, 0, longest_ms, "detector_stall_ms"},
        {config->miss_limit, 1, UINT32_MAX, "miss_limit"},
        {config->miss_window_ms, 0.001, longest_ms, "miss_window_ms"},
        {config->standing_mps, 0, 1e3, "standing_mps"},
        {config->lease_ms, 0, longest_ms, "lease_ms"},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        int rc = check(numbers[i].value, numbers[i].low, numbers[i].high, numbers[i].name, err);
        if (rc != 0)
            return rc;
    }
    *safety = (struct sl_safety){
        .config = *config,
        .mode = SL_MODE_DISARMED,
        .arm_pending = config->arm_at_start,
        .started_ns = now_ns,
    };
    return 0;
}

static double elapsed_ms(uint64_t now_ns, uint64_t since_ns)
{
    return now_ns > since_ns ? (double)(now_ns - since_ns) * 1e-6 : 0;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* A detection of a frame that is not too old, and not from another clock. */
static bool fresh(const struct sl_safety *s, const struct sl_safety_input *in)
{
    const uint64_t exposed_ns = in->detection_exposed_ns;
    if (in->detection_ns == 0 ||
        (exposed_ns > in->now_ns && exposed_ns - in->now_ns > FUTURE_SLACK_NS))
        return false;
    return elapsed_ms(in->now_ns, exposed_ns) <= s->config.stale_ms;
}

/* What is wrong with the lane at this moment. */
static enum sl_reason lane_fault(const struct sl_safety *s, const struct sl_safety_input *in)
{
    if (!fresh(s, in) ||
        (in->lane_state != SL_LANE_ONE_LINE && in->lane_state != SL_LANE_TWO_LINES))
        return SL_REASON_LANE_LOST;
    return in->confidence >= s->config.min_confidence && in->confidence <= 1.001
               ? SL_REASON_NONE
               : SL_REASON_LOW_CONFIDENCE; /* a NaN too */
}

/* Takes in what arrived. Twice with the same input is the same as once. */
static void observe(struct sl_safety *s, const struct sl_safety_input *in)
{
    /* 0 means "not" below, and time counts from boot. */
    const uint64_t now_ns = in->now_ns > 0 ? in->now_ns : 1;

    if (in->detection_ns != s->detection_ns) {
        s->detection_ns = in->detection_ns;
        s->detection_seen_ns = earlier(in->detection_ns, now_ns);
        s->unanswered_since_ns = 0;
    }
    if (in->frame_ns != s->frame_ns) {
        s->frame_ns = in->frame_ns;
        s->frame_seen_ns = earlier(in->frame_ns, now_ns);
        if (s->unanswered_since_ns == 0 && in->frame_ns > in->detection_ns)
            s->unanswered_since_ns = s->frame_seen_ns;
    }

    if (lane_fault(s, in) == SL_REASON_NONE) {
        /* Marks ahead of now mean that time went back: what they measure
         * begins anew, instead of standing still until time has caught up. */
        s->good_since_ns = s->good_since_ns != 0 ? earlier(s->good_since_ns, now_ns) : now_ns;
        s->bad_since_ns = 0;
    } else {
        s->bad_since_ns = s->bad_since_ns != 0 ? earlier(s->bad_since_ns, now_ns) : now_ns;
        s->good_since_ns = 0;
    }
}

static uint64_t miss_part(const struct sl_safety *s, uint64_t now_ns)
{
    return (uint64_t)(elapsed_ms(now_ns, s->started_ns) /
                      (s->config.miss_window_ms / SL_SAFETY_MISS_PARTS));
}

static void count_miss(struct sl_safety *s, const struct sl_safety_input *in)
{
    uint64_t part = miss_part(s, in->now_ns);
    if (part < s->miss_part)
        part = s->miss_part;
    /* Parts that passed without a miss, and those of the round before. */
    if (part - s->miss_part >= SL_SAFETY_MISS_PARTS)
        memset(s->misses, 0, sizeof s->misses);
    else
        for (uint64_t p = s->miss_part + 1; p <= part; p++)
            s->misses[p % SL_SAFETY_MISS_PARTS] = 0;
    s->miss_part = part;
    uint32_t *misses = &s->misses[part % SL_SAFETY_MISS_PARTS];
    *misses =
        in->deadlines_missed < UINT32_MAX - *misses ? *misses + in->deadlines_missed : UINT32_MAX;
}

static bool too_many_misses(const struct sl_safety *s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < SL_SAFETY_MISS_PARTS; i++)
        sum += s->misses[i];
    return sum >= s->config.miss_limit;
}

/* Whether frames and detections come. */
static enum sl_reason source_fault(const struct sl_safety *s, const struct sl_safety_input *in)
{
    const struct sl_safety_config *c = &s->config;
    if (in->camera_trouble != SL_CAMERA_GOOD)
        return in->camera_trouble == SL_CAMERA_STALLED ? SL_REASON_CAMERA_STALL
                                                       : SL_REASON_CAMERA_BLIND;
    if (in->detector_counts_frames) {
        uint64_t since_ns = s->frame_ns != 0 ? s->frame_seen_ns : s->started_ns;
        if (elapsed_ms(in->now_ns, since_ns) >= c->camera_stall_ms)
            return SL_REASON_CAMERA_STALL;
        if (s->unanswered_since_ns != 0 &&
            elapsed_ms(in->now_ns, s->unanswered_since_ns) >= c->detector_stall_ms)
            return SL_REASON_DETECTOR_STALL;
        return SL_REASON_NONE;
    }
    uint64_t since_ns = s->detection_ns != 0 ? s->detection_seen_ns : s->started_ns;
    return elapsed_ms(in->now_ns, since_ns) >= c->detector_stall_ms ? SL_REASON_DETECTOR_STALL
                                                                    : SL_REASON_NONE;
}

/* What a person or an empty battery demands. */
static enum sl_reason demanded_stop(const struct sl_safety_input *in)
{
    if (in->estop_pressed)
        return SL_REASON_ESTOP;
    return in->battery_empty ? SL_REASON_BATTERY : SL_REASON_NONE;
}

/* Faults of the vehicle itself: never to be driven with, nor stood with. */
static enum sl_reason own_fault(const struct sl_safety_input *in)
{
    if (demanded_stop(in) != SL_REASON_NONE)
        return demanded_stop(in);
    if (in->actuator_failed)
        return SL_REASON_ACTUATOR;
    return in->not_finite ? SL_REASON_NOT_FINITE : SL_REASON_NONE;
}

/* A permission from another clock is none, and none outlives the lease. */
static bool permitted(const struct sl_safety *s, const struct sl_safety_input *in)
{
    if (s->config.lease_ms == 0)
        return true;
    return in->permitted_ns != 0 && in->permitted_ns <= in->now_ns + FUTURE_SLACK_NS &&
           in->now_ns < in->permitted_until_ns &&
           elapsed_ms(in->now_ns, in->permitted_ns) < s->config.lease_ms;
}

/* Everything that stops at once while driving. */
static enum sl_reason sudden_fault(const struct sl_safety *s, const struct sl_safety_input *in)
{
    enum sl_reason fault = own_fault(in);
    if (fault == SL_REASON_NONE)
        fault = source_fault(s, in);
    if (fault == SL_REASON_NONE && too_many_misses(s))
        fault = SL_REASON_DEADLINE;
    if (fault == SL_REASON_NONE && !permitted(s, in))
        fault = SL_REASON_LINK_LOST;
    return fault;
}

static bool standing(const struct sl_safety *s, const struct sl_safety_input *in)
{
    return fabs(in->speed_mps) <= s->config.standing_mps; /* false for a NaN */
}

static bool settled(const struct sl_safety *s, const struct sl_safety_input *in)
{
    return s->good_since_ns != 0 && elapsed_ms(in->now_ns, s->good_since_ns) >= s->config.settle_ms;
}

static bool lane_caused(uint32_t reason)
{
    return reason == SL_REASON_LANE_LOST || reason == SL_REASON_LOW_CONFIDENCE;
}

static bool source_caused(uint32_t reason)
{
    return reason == SL_REASON_CAMERA_STALL || reason == SL_REASON_CAMERA_BLIND ||
           reason == SL_REASON_DETECTOR_STALL;
}

static void enter_stop(struct sl_safety *s, enum sl_reason reason)
{
    s->mode = SL_MODE_SAFE_STOP;
    s->stop_reason = reason;
    s->stop_unreported = true;
    s->stops++;
}

/* Driving: decides on the reaction to the lane's state; may stop. */
static void drive(struct sl_safety *s, const struct sl_safety_input *in,
                  struct sl_safety_output *out)
{
    const struct sl_safety_config *c = &s->config;
    const double supply = in->supply_scale > 0 ? fmin(in->supply_scale, 1) : 0; /* a NaN too */
    out->speed_scale = supply;
    out->neutral = false;
    if (s->bad_since_ns == 0)
        return;
    double bad_ms = elapsed_ms(in->now_ns, s->bad_since_ns);
    if (bad_ms >= c->slow_ms) {
        enter_stop(s, lane_fault(s, in));
        return;
    }
    if (bad_ms < c->hold_ms) {
        out->reaction = SL_REACT_HOLD;
        return;
    }
    out->reaction = SL_REACT_SLOW;
    out->speed_scale =
        supply * (1 - (1 - c->slow_scale) * (bad_ms - c->hold_ms) / (c->slow_ms - c->hold_ms));
}

void sl_safety_step(struct sl_safety *s, const struct sl_safety_input *in,
                    struct sl_safety_output *out)
{
    observe(s, in);
    count_miss(s, in);
    if (s->arm_pending) {
        s->arm_pending = false;
        s->mode = SL_MODE_ARMED;
    }

    const enum sl_reason fault = sudden_fault(s, in);
    *out = (struct sl_safety_output){.neutral = true};

    switch (s->mode) {
    case SL_MODE_ARMED:
        if (own_fault(in) != SL_REASON_NONE)
            enter_stop(s, fault);
        else if (fault == SL_REASON_NONE && settled(s, in))
            s->mode = SL_MODE_DRIVING;
        break;
    case SL_MODE_DRIVING:
        if (fault != SL_REASON_NONE)
            enter_stop(s, fault);
        break;
    case SL_MODE_PAUSED:
        if (own_fault(in) != SL_REASON_NONE)
            enter_stop(s, fault);
        break;
    case SL_MODE_SAFE_STOP: {
        if (demanded_stop(in) != SL_REASON_NONE)
            sl_safety_stop(s, demanded_stop(in));
        bool allowed = (lane_caused(s->stop_reason) && s->config.recover_lane) ||
                       (source_caused(s->stop_reason) && s->config.recover_source);
        if (allowed && fault == SL_REASON_NONE && standing(s, in) && settled(s, in))
            s->mode = SL_MODE_ARMED;
        break;
    }
    default: /* disarmed */
        break;
    }

    if (s->mode == SL_MODE_DRIVING)
        drive(s, in, out);
    if (s->mode == SL_MODE_SAFE_STOP) {
        out->reaction = SL_REACT_STOP;
        out->speed_scale = 0;
        out->neutral = true;
    }
    out->mode = s->mode;
    out->stop_reason = s->stop_reason;
    out->lane_bad = s->bad_since_ns != 0;
    out->stopped_now = s->stop_unreported;
    s->stop_unreported = false;
}

static enum sl_reason request_arm(struct sl_safety *s, const struct sl_safety_input *in)
{
    if (s->mode != SL_MODE_DISARMED && s->mode != SL_MODE_SAFE_STOP)
        return SL_REASON_MODE;
    /* Also from disarmed: else disarming would be a way round both. */
    if (!standing(s, in))
        return SL_REASON_NOT_STANDING;
    if (demanded_stop(in) != SL_REASON_NONE)
        return demanded_stop(in);
    if (own_fault(in) != SL_REASON_NONE || too_many_misses(s))
        return SL_REASON_FAULT_PRESENT;
    if (s->mode == SL_MODE_SAFE_STOP) {
        if (source_fault(s, in) != SL_REASON_NONE)
            return SL_REASON_FAULT_PRESENT;
        if (lane_caused(s->stop_reason) && s->good_since_ns == 0)
            return SL_REASON_FAULT_PRESENT;
    }
    if (!permitted(s, in))
        return SL_REASON_LINK_LOST;
    if (!fresh(s, in))
        return SL_REASON_NO_DETECTION_YET;
    s->mode = SL_MODE_ARMED;
    return SL_REASON_NONE;
}

void sl_safety_stop(struct sl_safety *s, enum sl_reason reason)
{
    if (reason == SL_REASON_NONE || reason >= SL_REASON_COUNT)
        reason = SL_REASON_REQUESTED;
    s->arm_pending = false;
    if (s->mode == SL_MODE_DISARMED)
        return;
    if (s->mode != SL_MODE_SAFE_STOP)
        enter_stop(s, reason);
    else if (lane_caused(s->stop_reason) || source_caused(s->stop_reason))
        s->stop_reason = reason; /* who asks for a stop does not want it to end by itself */
}

enum sl_reason sl_safety_request(struct sl_safety *s, enum sl_action_kind kind,
                                 const struct sl_safety_input *in)
{
    observe(s, in);
    switch (kind) {
    case SL_ACTION_ARM:
        return request_arm(s, in);
    case SL_ACTION_DISARM:
        s->arm_pending = false;
        s->mode = SL_MODE_DISARMED;
        return SL_REASON_NONE;
    case SL_ACTION_PAUSE:
        if (s->mode != SL_MODE_ARMED && s->mode != SL_MODE_DRIVING)
            return SL_REASON_MODE;
        s->mode = SL_MODE_PAUSED;
        return SL_REASON_NONE;
    case SL_ACTION_RESUME:
        if (s->mode != SL_MODE_PAUSED)
            return SL_REASON_MODE;
        s->mode = SL_MODE_ARMED;
        return SL_REASON_NONE;
    case SL_ACTION_STOP:
        sl_safety_stop(s, SL_REASON_REQUESTED);
        return SL_REASON_NONE;
    default: /* not about driving, or unknown */
        return SL_REASON_MODE;
    }
}
