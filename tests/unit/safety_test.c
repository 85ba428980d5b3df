/* The arming state machine and the staged reaction: every request in every
 * mode, every fault in every mode, every boundary of every stage, and a long
 * random walk that holds what must always hold. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "app/control/safety.h"

#define MS   UINT64_C(1000000)
#define TICK (10 * MS)

static const struct sl_safety_config CONFIG = {
    .recover_lane = true,
    .recover_source = true,
    .min_confidence = 0.3,
    .settle_ms = 300,
    .hold_ms = 400,
    .slow_ms = 1500,
    .slow_scale = 0.3,
    .stale_ms = 150,
    .camera_stall_ms = 200,
    .detector_stall_ms = 250,
    .miss_limit = 5,
    .miss_window_ms = 800,
    .standing_mps = 0.05,
};

/* A machine with its surroundings: time, frames, detections. */
struct rig {
    struct sl_safety s;
    struct sl_safety_input in;
    struct sl_safety_output out;
    bool camera, detector;    /* do they run? */
    uint64_t exposure_age_ns; /* of what is detected */
};

static void rig_init(struct rig *r, const struct sl_safety_config *config)
{
    struct sl_error err = {0};
    memset(r, 0, sizeof *r);
    r->in.now_ns = 1000 * MS;
    r->in.detector_counts_frames = true;
    r->in.lane_state = SL_LANE_TWO_LINES;
    r->in.confidence = 0.9;
    r->in.supply_scale = 1;
    r->camera = r->detector = true;
    r->exposure_age_ns = 20 * MS;
    assert_int_equal(sl_safety_init(&r->s, config, r->in.now_ns, &err), 0);
}

static void tick(struct rig *r)
{
    r->in.now_ns += TICK;
    if (r->camera)
        r->in.frame_ns = r->in.now_ns - 2 * MS;
    if (r->camera && r->detector) {
        r->in.detection_ns = r->in.now_ns - MS;
        r->in.detection_exposed_ns = r->in.now_ns - r->exposure_age_ns;
    }
    sl_safety_step(&r->s, &r->in, &r->out);
}

static void ticks(struct rig *r, unsigned ms)
{
    for (unsigned i = 0; i < ms; i += 10)
        tick(r);
}

static enum sl_reason ask(struct rig *r, enum sl_action_kind kind)
{
    return sl_safety_request(&r->s, kind, &r->in);
}

/* Brings a rig into a mode by the ways a user has. */
static void rig_in_mode(struct rig *r, const struct sl_safety_config *config, uint32_t mode)
{
    rig_init(r, config);
    ticks(r, 50);
    if (mode == SL_MODE_DISARMED)
        return;
    if (mode == SL_MODE_ARMED)
        r->in.lane_state = SL_LANE_LOST; /* so that it stays there */
    tick(r);
    assert_int_equal(ask(r, SL_ACTION_ARM), SL_REASON_NONE);
    tick(r);
    if (mode == SL_MODE_ARMED)
        return;
    ticks(r, 400);
    assert_int_equal(r->out.mode, SL_MODE_DRIVING);
    if (mode == SL_MODE_PAUSED)
        assert_int_equal(ask(r, SL_ACTION_PAUSE), SL_REASON_NONE);
    if (mode == SL_MODE_SAFE_STOP)
        assert_int_equal(ask(r, SL_ACTION_STOP), SL_REASON_NONE);
    tick(r);
    assert_int_equal(r->out.mode, mode);
}

static void refuses_bad_configs(void **state)
{
    (void)state;
    struct sl_safety s;
    struct sl_error err = {0};
    const struct {
        size_t offset;
        double value;
        const char *name;
    } cases[] = {
        {offsetof(struct sl_safety_config, min_confidence), 1.1, "min_confidence"},
        {offsetof(struct sl_safety_config, settle_ms), -1, "settle_ms"},
        {offsetof(struct sl_safety_config, hold_ms), NAN, "hold_ms"},
        {offsetof(struct sl_safety_config, slow_ms), 399, "slow_ms"},
        {offsetof(struct sl_safety_config, slow_scale), 2, "slow_scale"},
        {offsetof(struct sl_safety_config, stale_ms), INFINITY, "stale_ms"},
        {offsetof(struct sl_safety_config, camera_stall_ms), -5, "camera_stall_ms"},
        {offsetof(struct sl_safety_config, detector_stall_ms), NAN, "detector_stall_ms"},
        {offsetof(struct sl_safety_config, miss_window_ms), 0, "miss_window_ms"},
        {offsetof(struct sl_safety_config, standing_mps), -1, "standing_mps"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_safety_config config = CONFIG;
        memcpy((char *)&config + cases[i].offset, &cases[i].value, sizeof(double));
        assert_int_equal(sl_safety_init(&s, &config, 0, &err), -EINVAL);
        assert_non_null(strstr(err.text, cases[i].name));
    }
    struct sl_safety_config config = CONFIG;
    config.miss_limit = 0;
    assert_int_equal(sl_safety_init(&s, &config, 0, &err), -EINVAL);
    /* The bounds themselves are allowed. */
    config = CONFIG;
    config.min_confidence = config.slow_scale = 1;
    config.hold_ms = config.slow_ms = 0;
    config.miss_limit = 1;
    assert_int_equal(sl_safety_init(&s, &config, 0, &err), 0);
}

static void every_request_in_every_mode(void **state)
{
    (void)state;
    const uint32_t D = SL_MODE_DISARMED, A = SL_MODE_ARMED, R = SL_MODE_DRIVING, P = SL_MODE_PAUSED,
                   S = SL_MODE_SAFE_STOP;
    const enum sl_reason OK = SL_REASON_NONE, NO = SL_REASON_MODE;
    const struct {
        uint32_t mode;
        enum sl_action_kind kind;
        enum sl_reason answer;
        uint32_t after;
    } cases[] = {
        {D, SL_ACTION_ARM, OK, A},           {D, SL_ACTION_DISARM, OK, D},
        {D, SL_ACTION_PAUSE, NO, D},         {D, SL_ACTION_RESUME, NO, D},
        {D, SL_ACTION_STOP, OK, D},          {D, SL_ACTION_RESPAWN, NO, D},
        {A, SL_ACTION_ARM, NO, A},           {A, SL_ACTION_DISARM, OK, D},
        {A, SL_ACTION_PAUSE, OK, P},         {A, SL_ACTION_RESUME, NO, A},
        {A, SL_ACTION_STOP, OK, S},          {A, SL_ACTION_RESPAWN, NO, A},
        {R, SL_ACTION_ARM, NO, R},           {R, SL_ACTION_DISARM, OK, D},
        {R, SL_ACTION_PAUSE, OK, P},         {R, SL_ACTION_RESUME, NO, R},
        {R, SL_ACTION_STOP, OK, S},          {R, SL_ACTION_RESPAWN, NO, R},
        {P, SL_ACTION_ARM, NO, P},           {P, SL_ACTION_DISARM, OK, D},
        {P, SL_ACTION_PAUSE, NO, P},         {P, SL_ACTION_RESUME, OK, A},
        {P, SL_ACTION_STOP, OK, S},          {P, SL_ACTION_RESPAWN, NO, P},
        {S, SL_ACTION_ARM, OK, A},           {S, SL_ACTION_DISARM, OK, D},
        {S, SL_ACTION_PAUSE, NO, S},         {S, SL_ACTION_RESUME, NO, S},
        {S, SL_ACTION_STOP, OK, S},          {S, SL_ACTION_RESPAWN, NO, S},
        {R, (enum sl_action_kind)99, NO, R},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig r;
        rig_in_mode(&r, &CONFIG, cases[i].mode);
        uint64_t stops = r.s.stops;
        assert_int_equal(ask(&r, cases[i].kind), cases[i].answer);
        assert_int_equal(r.s.mode, cases[i].after);
        bool entered = cases[i].after == S && cases[i].mode != S;
        assert_int_equal(r.s.stops, stops + (entered ? 1 : 0));
        r.in.lane_state = SL_LANE_LOST; /* or armed would drive off */
        tick(&r);
        assert_int_equal(r.out.stopped_now, entered);
        if (entered)
            assert_int_equal(r.out.stop_reason, SL_REASON_REQUESTED);
        tick(&r);
        assert_false(r.out.stopped_now);
    }
}

static void every_fault_in_every_mode(void **state)
{
    (void)state;
    enum fault {
        ACTUATOR,
        NOT_FINITE,
        DEADLINE,
        CAMERA,
        DETECTOR,
        LANE,
        CONFIDENCE,
        STALE,
        FAULTS
    };
    static const enum sl_reason REASONS[FAULTS] = {
        SL_REASON_ACTUATOR,       SL_REASON_NOT_FINITE,     SL_REASON_DEADLINE,
        SL_REASON_CAMERA_STALL,   SL_REASON_DETECTOR_STALL, SL_REASON_LANE_LOST,
        SL_REASON_LOW_CONFIDENCE, SL_REASON_LANE_LOST,
    };
    for (uint32_t mode = 0; mode < SL_MODE_COUNT; mode++) {
        for (int fault = 0; fault < FAULTS; fault++) {
            struct rig r;
            rig_in_mode(&r, &CONFIG, mode);
            r.in.lane_state = SL_LANE_TWO_LINES;
            r.in.actuator_failed = fault == ACTUATOR;
            r.in.not_finite = fault == NOT_FINITE;
            r.in.deadlines_missed = fault == DEADLINE;
            r.camera = fault != CAMERA;
            r.detector = fault != DETECTOR;
            if (fault == LANE)
                r.in.lane_state = SL_LANE_LOST;
            if (fault == CONFIDENCE)
                r.in.confidence = 0.29;
            if (fault == STALE)
                r.exposure_age_ns = 151 * MS;
            uint64_t stops = r.s.stops;
            ticks(&r, 2000);

            bool own = fault == ACTUATOR || fault == NOT_FINITE;
            bool stops_here = mode == SL_MODE_DRIVING ||
                              (own && (mode == SL_MODE_ARMED || mode == SL_MODE_PAUSED));
            assert_int_equal(r.s.stops, stops + (stops_here ? 1 : 0));
            assert_int_equal(r.out.mode, stops_here ? (uint32_t)SL_MODE_SAFE_STOP : mode);
            if (stops_here)
                assert_int_equal(r.out.stop_reason, REASONS[fault]);
            assert_true(r.out.neutral);

            if (mode != SL_MODE_DRIVING)
                continue;
            /* Re-arming while it is there is refused, however it is tried. */
            assert_int_not_equal(ask(&r, SL_ACTION_ARM), SL_REASON_NONE);
            if (own || fault == DEADLINE || fault == CAMERA || fault == DETECTOR ||
                fault == STALE) {
                assert_int_equal(ask(&r, SL_ACTION_DISARM), SL_REASON_NONE);
                assert_int_not_equal(ask(&r, SL_ACTION_ARM), SL_REASON_NONE);
                continue;
            }
            assert_int_equal(ask(&r, SL_ACTION_ARM), SL_REASON_FAULT_PRESENT);
        }
    }
}

/* Which stops end by themselves, and under which conditions. */
static void recovery(void **state)
{
    (void)state;
    const struct {
        enum sl_reason reason;
        bool lane, source; /* the settings */
        bool recovers;
    } cases[] = {
        {SL_REASON_LANE_LOST, true, false, true},
        {SL_REASON_LANE_LOST, false, true, false},
        {SL_REASON_LOW_CONFIDENCE, true, false, true},
        {SL_REASON_LOW_CONFIDENCE, false, true, false},
        {SL_REASON_CAMERA_STALL, false, true, true},
        {SL_REASON_CAMERA_STALL, true, false, false},
        {SL_REASON_DETECTOR_STALL, false, true, true},
        {SL_REASON_DETECTOR_STALL, true, false, false},
        {SL_REASON_REQUESTED, true, true, false},
        {SL_REASON_DEADLINE, true, true, false},
        {SL_REASON_NOT_FINITE, true, true, false},
        {SL_REASON_ACTUATOR, true, true, false},
        {SL_REASON_SHUTDOWN, true, true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_safety_config config = CONFIG;
        config.recover_lane = cases[i].lane;
        config.recover_source = cases[i].source;
        struct rig r;
        rig_in_mode(&r, &config, SL_MODE_DRIVING);
        r.in.speed_mps = 5;
        sl_safety_stop(&r.s, cases[i].reason);
        r.camera = false; /* as if the cause were still there */
        ticks(&r, 500);
        assert_int_equal(r.out.mode, SL_MODE_SAFE_STOP);
        r.camera = true;
        ticks(&r, 1000); /* all well, but it moves */
        assert_int_equal(r.out.mode, SL_MODE_SAFE_STOP);
        assert_int_equal(ask(&r, SL_ACTION_ARM), SL_REASON_NOT_STANDING);
        r.in.speed_mps = NAN;
        tick(&r);
        assert_int_equal(r.out.mode, SL_MODE_SAFE_STOP);
        r.in.speed_mps = 0.051;
        tick(&r);
        assert_int_equal(r.out.mode, SL_MODE_SAFE_STOP);
        r.in.speed_mps = 0.05;
        r.in.actuator_failed = true;
        tick(&r);
        assert_int_equal(r.out.mode, SL_MODE_SAFE_STOP);
        r.in.actuator_failed = false;
        r.in.lane_state = SL_LANE_LOST; /* the lane must settle again */
        tick(&r);
        r.in.lane_state = SL_LANE_ONE_LINE;
        ticks(&r, 300);
        assert_int_equal(r.out.mode, SL_MODE_SAFE_STOP);
        tick(&r);
        assert_int_equal(r.out.mode,
                         cases[i].recovers ? (uint32_t)SL_MODE_ARMED : (uint32_t)SL_MODE_SAFE_STOP);
        assert_true(r.out.neutral);
        tick(&r);
        assert_int_equal(r.out.mode, cases[i].recovers ? (uint32_t)SL_MODE_DRIVING
                                                       : (uint32_t)SL_MODE_SAFE_STOP);
        /* The reason of the last stop stays readable. */
        assert_int_equal(r.out.stop_reason, cases[i].reason);
        if (!cases[i].recovers) {
            assert_int_equal(ask(&r, SL_ACTION_ARM), SL_REASON_NONE);
            tick(&r);
            assert_int_equal(r.out.mode, SL_MODE_DRIVING);
        }
    }
}

static void stop_request_ends_recovery(void **state)
{
    (void)state;
    const enum sl_reason reasons[] = {SL_REASON_LANE_LOST, SL_REASON_LOW_CONFIDENCE,
                                      SL_REASON_CAMERA_STALL, SL_REASON_DETECTOR_STALL,
                                      SL_REASON_ACTUATOR};
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        struct rig r;
        rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
        sl_safety_stop(&r.s, reasons[i]);
        assert_int_equal(ask(&r, SL_ACTION_STOP), SL_REASON_NONE);
        ticks(&r, 2000);
        assert_int_equal(r.out.mode, SL_MODE_SAFE_STOP);
        /* One stop, not two; and a worse reason is not covered up. */
        assert_int_equal(r.s.stops, 1);
        assert_int_equal(r.out.stop_reason, reasons[i] == SL_REASON_ACTUATOR ? SL_REASON_ACTUATOR
                                                                             : SL_REASON_REQUESTED);
    }
    struct rig r;
    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    sl_safety_stop(&r.s, SL_REASON_NONE); /* a stop always has a reason */
    assert_int_equal(r.s.stop_reason, SL_REASON_REQUESTED);
    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    sl_safety_stop(&r.s, SL_REASON_COUNT);
    assert_int_equal(r.s.stop_reason, SL_REASON_REQUESTED);
}

static void stages_of_lane_loss(void **state)
{
    (void)state;
    struct rig r;
    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    assert_int_equal(r.out.reaction, SL_REACT_NONE);
    assert_false(r.out.lane_bad);
    assert_true(r.out.speed_scale == 1 && !r.out.neutral);
    r.in.lane_state = SL_LANE_LOST;
    for (int bad_ms = 0; bad_ms < 1500; bad_ms += 10) {
        tick(&r);
        assert_int_equal(r.out.mode, SL_MODE_DRIVING);
        assert_int_equal(r.out.reaction, bad_ms < 400 ? SL_REACT_HOLD : SL_REACT_SLOW);
        double want = bad_ms < 400 ? 1 : 1 - 0.7 * (bad_ms - 400) / 1100.0;
        assert_true(fabs(r.out.speed_scale - want) < 1e-9);
        assert_true(r.out.lane_bad);
        assert_false(r.out.neutral);
    }
    tick(&r);
    assert_int_equal(r.out.mode, SL_MODE_SAFE_STOP);
    assert_int_equal(r.out.reaction, SL_REACT_STOP);
    assert_int_equal(r.out.stop_reason, SL_REASON_LANE_LOST);
    assert_true(r.out.stopped_now && r.out.neutral && r.out.speed_scale == 0);
    assert_true(r.out.lane_bad);

    /* Back in time, at whatever stage: all as before. */
    for (int bad_ms = 10; bad_ms < 1500; bad_ms += 10) {
        rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
        r.in.confidence = 0.1;
        ticks(&r, (unsigned)bad_ms);
        r.in.confidence = 0.3; /* exactly enough */
        tick(&r);
        assert_int_equal(r.out.mode, SL_MODE_DRIVING);
        assert_int_equal(r.out.reaction, SL_REACT_NONE);
        assert_true(r.out.speed_scale == 1 && !r.out.lane_bad);
    }

    /* No stages: at once. */
    struct sl_safety_config config = CONFIG;
    config.hold_ms = config.slow_ms = 0;
    rig_in_mode(&r, &config, SL_MODE_DRIVING);
    r.in.lane_state = SL_LANE_LOST;
    tick(&r);
    assert_int_equal(r.out.mode, SL_MODE_SAFE_STOP);
    /* Holding, then stopping, without slowing between. */
    config.hold_ms = config.slow_ms = 100;
    rig_in_mode(&r, &config, SL_MODE_DRIVING);
    r.in.lane_state = SL_LANE_LOST;
    ticks(&r, 100);
    assert_int_equal(r.out.reaction, SL_REACT_HOLD);
    tick(&r);
    assert_int_equal(r.out.mode, SL_MODE_SAFE_STOP);
}

/* The reason is what is wrong when it stops. */
static void reason_is_the_present_one(void **state)
{
    (void)state;
    struct rig r;
    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    r.in.lane_state = SL_LANE_LOST;
    ticks(&r, 1000);
    r.in.lane_state = SL_LANE_ONE_LINE;
    r.in.confidence = NAN;
    ticks(&r, 510);
    assert_int_equal(r.out.stop_reason, SL_REASON_LOW_CONFIDENCE);
    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    r.in.lane_state = 77; /* no state of ours */
    ticks(&r, 1510);
    assert_int_equal(r.out.stop_reason, SL_REASON_LANE_LOST);
    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    r.in.confidence = INFINITY;
    ticks(&r, 1510);
    assert_int_equal(r.out.stop_reason, SL_REASON_LOW_CONFIDENCE);
}

static void stalls_and_staleness(void **state)
{
    (void)state;
    struct rig r;
    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    /* The last frame was seen 2 ms before the last tick, exposed 20 ms before. */
    uint64_t last_ns = r.in.now_ns;
    r.camera = false;
    while (r.out.mode == SL_MODE_DRIVING) {
        tick(&r);
        uint64_t past_ms = (r.in.now_ns - last_ns) / MS;
        bool stale = past_ms + 20 > 150;
        assert_int_equal(r.out.lane_bad, stale);
        assert_int_equal(r.out.mode, past_ms + 2 >= 200 ? (uint32_t)SL_MODE_SAFE_STOP
                                                        : (uint32_t)SL_MODE_DRIVING);
    }
    assert_int_equal(r.out.stop_reason, SL_REASON_CAMERA_STALL);

    /* Frames, but no detections: counted from the first unanswered frame. */
    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    last_ns = r.in.now_ns + TICK - 2 * MS;
    r.detector = false;
    while (r.out.mode == SL_MODE_DRIVING) {
        tick(&r);
        assert_int_equal(r.out.mode, r.in.now_ns - last_ns >= 250 * MS ? (uint32_t)SL_MODE_SAFE_STOP
                                                                       : (uint32_t)SL_MODE_DRIVING);
    }
    assert_int_equal(r.out.stop_reason, SL_REASON_DETECTOR_STALL);

    /* The detector elsewhere: frames are unknown, detections are all there is. */
    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    r.in.detector_counts_frames = false;
    r.camera = false;
    last_ns = r.in.now_ns - MS;
    while (r.out.mode == SL_MODE_DRIVING) {
        tick(&r);
        assert_int_equal(r.out.mode, r.in.now_ns - last_ns >= 250 * MS ? (uint32_t)SL_MODE_SAFE_STOP
                                                                       : (uint32_t)SL_MODE_DRIVING);
    }
    assert_int_equal(r.out.stop_reason, SL_REASON_DETECTOR_STALL);

    /* A slow camera is no stalled detector. */
    struct sl_safety_config config = CONFIG;
    config.camera_stall_ms = 500;
    config.stale_ms = 600;
    rig_in_mode(&r, &config, SL_MODE_DRIVING);
    for (int i = 0; i < 10; i++) {
        r.camera = false;
        ticks(&r, 400);
        r.camera = true;
        r.detector = false; /* the frame now, its detection a tick later */
        tick(&r);
        r.detector = true;
        tick(&r);
        assert_int_equal(r.out.mode, SL_MODE_DRIVING);
    }

    /* Old exposures that arrive now are old: bad at once, stopped in stages. */
    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    r.exposure_age_ns = 150 * MS;
    tick(&r);
    assert_int_equal(r.out.reaction, SL_REACT_NONE);
    r.exposure_age_ns = 150 * MS + 1;
    tick(&r);
    assert_int_equal(r.out.reaction, SL_REACT_HOLD);
    ticks(&r, 1500);
    assert_int_equal(r.out.stop_reason, SL_REASON_LANE_LOST);

    /* A little from the future is the clock's grain, more is another clock. */
    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    r.exposure_age_ns = (uint64_t)0 - 10 * MS;
    tick(&r);
    assert_int_equal(r.out.reaction, SL_REACT_NONE);
    r.exposure_age_ns = (uint64_t)0 - 10 * MS - 1;
    tick(&r);
    assert_int_equal(r.out.reaction, SL_REACT_HOLD);

    /* Stamps from the far future do not hide that nothing comes any more. */
    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    r.camera = false;
    r.in.frame_ns = r.in.detection_ns = r.in.now_ns + 1000000 * MS;
    ticks(&r, 300);
    assert_int_equal(r.out.mode, SL_MODE_SAFE_STOP);
    assert_int_equal(r.out.stop_reason, SL_REASON_CAMERA_STALL);
}

/* One step, at this long after `rig.in.now_ns`, with nothing new arriving. */
static uint32_t mode_after(const struct rig *rig, uint64_t later_ns)
{
    struct rig r = *rig;
    r.in.now_ns += later_ns;
    sl_safety_step(&r.s, &r.in, &r.out);
    return r.out.mode;
}

/* Limits are reached to the nanosecond: at the time, not after it. */
static void stalls_to_the_nanosecond(void **state)
{
    (void)state;
    const uint64_t frame_age_ns = 2 * MS, detection_age_ns = MS;
    struct rig r;
    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    assert_int_equal(mode_after(&r, 200 * MS - frame_age_ns - 1), SL_MODE_DRIVING);
    assert_int_equal(mode_after(&r, 200 * MS - frame_age_ns), SL_MODE_SAFE_STOP);

    struct sl_safety_config config = CONFIG;
    config.camera_stall_ms = 1000;
    rig_in_mode(&r, &config, SL_MODE_DRIVING);
    r.detector = false;
    tick(&r);
    assert_int_equal(mode_after(&r, 250 * MS - frame_age_ns - 1), SL_MODE_DRIVING);
    assert_int_equal(mode_after(&r, 250 * MS - frame_age_ns), SL_MODE_SAFE_STOP);

    /* A frame and its detection that are seen at the same moment. */
    rig_in_mode(&r, &config, SL_MODE_DRIVING);
    r.in.now_ns += TICK;
    r.in.frame_ns = r.in.detection_ns = r.in.detection_exposed_ns = r.in.now_ns;
    sl_safety_step(&r.s, &r.in, &r.out);
    assert_int_equal(mode_after(&r, 900 * MS), SL_MODE_DRIVING);

    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    r.in.detector_counts_frames = false;
    assert_int_equal(mode_after(&r, 250 * MS - detection_age_ns - 1), SL_MODE_DRIVING);
    assert_int_equal(mode_after(&r, 250 * MS - detection_age_ns), SL_MODE_SAFE_STOP);

    /* A missed deadline is forgotten when its part of the window comes round. */
    config = CONFIG;
    config.miss_limit = 2;
    config.camera_stall_ms = config.detector_stall_ms = 60000;
    for (int whole = 0; whole < 2; whole++) {
        rig_in_mode(&r, &config, SL_MODE_DRIVING);
        r.in.now_ns = r.s.started_ns + 800 * MS;
        r.in.deadlines_missed = true;
        sl_safety_step(&r.s, &r.in, &r.out);
        assert_int_equal(r.out.mode, SL_MODE_DRIVING);
        assert_int_equal(mode_after(&r, whole ? 800 * MS : 799 * MS),
                         whole ? SL_MODE_DRIVING : SL_MODE_SAFE_STOP);
    }
}

static void arming(void **state)
{
    (void)state;
    struct rig r;
    /* Nothing detected yet. */
    rig_init(&r, &CONFIG);
    r.camera = false;
    ticks(&r, 1000);
    assert_int_equal(ask(&r, SL_ACTION_ARM), SL_REASON_NO_DETECTION_YET);
    /* Detections that are too old do not count. */
    rig_init(&r, &CONFIG);
    r.exposure_age_ns = 200 * MS;
    tick(&r);
    assert_int_equal(ask(&r, SL_ACTION_ARM), SL_REASON_NO_DETECTION_YET);
    /* A lost lane is seen, at least: armed, and waits. */
    r.exposure_age_ns = 20 * MS;
    r.in.lane_state = SL_LANE_LOST;
    tick(&r);
    assert_int_equal(ask(&r, SL_ACTION_ARM), SL_REASON_NONE);
    ticks(&r, 5000);
    assert_int_equal(r.out.mode, SL_MODE_ARMED);
    assert_true(r.out.neutral && r.out.lane_bad);
    /* Also without any frames it only waits. */
    r.camera = false;
    ticks(&r, 5000);
    assert_int_equal(r.out.mode, SL_MODE_ARMED);
    /* Then it takes settle_ms of a good lane, without a gap. */
    r.camera = true;
    r.in.lane_state = SL_LANE_TWO_LINES;
    ticks(&r, 290);
    r.in.lane_state = SL_LANE_LOST;
    tick(&r);
    r.in.lane_state = SL_LANE_TWO_LINES;
    ticks(&r, 300);
    assert_int_equal(r.out.mode, SL_MODE_ARMED);
    tick(&r);
    assert_int_equal(r.out.mode, SL_MODE_DRIVING);

    /* Not while it rolls, from disarmed either; nor with a broken actuator. */
    rig_init(&r, &CONFIG);
    tick(&r);
    r.in.speed_mps = -0.06;
    assert_int_equal(ask(&r, SL_ACTION_ARM), SL_REASON_NOT_STANDING);
    r.in.speed_mps = 0;
    r.in.actuator_failed = true;
    assert_int_equal(ask(&r, SL_ACTION_ARM), SL_REASON_FAULT_PRESENT);

    /* At start: armed with the first step, unless somebody objects before. */
    struct sl_safety_config config = CONFIG;
    config.arm_at_start = true;
    rig_init(&r, &config);
    r.camera = false;
    tick(&r);
    assert_int_equal(r.out.mode, SL_MODE_ARMED);
    ticks(&r, 10000);
    assert_int_equal(r.out.mode, SL_MODE_ARMED);
    r.camera = true;
    ticks(&r, 310);
    assert_int_equal(r.out.mode, SL_MODE_DRIVING);
    assert_int_equal(r.s.stops, 0);
    rig_init(&r, &config);
    assert_int_equal(ask(&r, SL_ACTION_STOP), SL_REASON_NONE);
    tick(&r);
    assert_int_equal(r.out.mode, SL_MODE_DISARMED);
    rig_init(&r, &config);
    assert_int_equal(ask(&r, SL_ACTION_DISARM), SL_REASON_NONE);
    tick(&r);
    assert_int_equal(r.out.mode, SL_MODE_DISARMED);
    /* Disarmed by hand later: it does not arm itself again. */
    rig_init(&r, &config);
    ticks(&r, 500);
    ask(&r, SL_ACTION_DISARM);
    ticks(&r, 500);
    assert_int_equal(r.out.mode, SL_MODE_DISARMED);
}

/* A frame counter that says there never was a frame keeps it from driving. */
static void no_frames_no_drive(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &CONFIG);
    for (int i = 0; i < 200; i++) {
        tick(&r);
        if (i == 0)
            assert_int_equal(ask(&r, SL_ACTION_ARM), SL_REASON_NONE);
        r.in.frame_ns = 0;
        r.camera = false;
        r.in.detection_ns = r.in.now_ns;
        r.in.detection_exposed_ns = r.in.now_ns;
    }
    assert_int_equal(r.out.mode, SL_MODE_ARMED);
}

/* Somebody permits driving at this moment, for so long. */
static void permit(struct rig *r, uint64_t ms)
{
    r->in.permitted_ns = r->in.now_ns;
    r->in.permitted_until_ns = r->in.now_ns + ms * MS;
}

/* Frames and detections may go on coming all the while: of one picture, or of none. */
static void what_the_cameras_watch_says_counts(void **state)
{
    (void)state;
    static const struct {
        uint32_t trouble;
        enum sl_reason reason;
    } cases[] = {{SL_CAMERA_STALLED, SL_REASON_CAMERA_STALL},
                 {SL_CAMERA_FROZEN, SL_REASON_CAMERA_BLIND},
                 {SL_CAMERA_BLACK, SL_REASON_CAMERA_BLIND},
                 {77, SL_REASON_CAMERA_BLIND}}; /* of a later version */
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        struct sl_safety_config config = CONFIG;
        config.recover_source = i % 2 == 1;
        struct rig r;
        /* Armed, it waits. */
        rig_in_mode(&r, &config, SL_MODE_ARMED);
        r.in.camera_trouble = cases[i / 2].trouble;
        ticks(&r, 1000);
        assert_int_equal(r.out.mode, SL_MODE_ARMED);
        assert_true(r.out.neutral);
        r.in.camera_trouble = SL_CAMERA_GOOD;
        r.in.lane_state = SL_LANE_TWO_LINES;
        ticks(&r, 400);
        assert_int_equal(r.out.mode, SL_MODE_DRIVING);
        /* Driving, it stops at once. */
        r.in.camera_trouble = cases[i / 2].trouble;
        tick(&r);
        assert_int_equal(r.out.mode, SL_MODE_SAFE_STOP);
        assert_int_equal(r.out.stop_reason, cases[i / 2].reason);
        assert_true(r.out.neutral);
        assert_int_equal(ask(&r, SL_ACTION_ARM), SL_REASON_FAULT_PRESENT);
        r.in.camera_trouble = SL_CAMERA_GOOD;
        ticks(&r, 1000);
        assert_int_equal(r.out.mode, config.recover_source ? (uint32_t)SL_MODE_DRIVING
                                                           : (uint32_t)SL_MODE_SAFE_STOP);
    }
}

static void permission_to_drive(void **state)
{
    (void)state;
    struct sl_safety_config config = CONFIG;
    struct rig r;
    config.lease_ms = 500;
    /* Without it nothing is armed, and with it all goes on for as long as it is renewed. */
    rig_init(&r, &config);
    ticks(&r, 400);
    assert_int_equal(ask(&r, SL_ACTION_ARM), SL_REASON_LINK_LOST);
    permit(&r, 1000);
    assert_int_equal(ask(&r, SL_ACTION_ARM), SL_REASON_NONE);
    for (int i = 0; i < 20; i++) {
        ticks(&r, 400);
        permit(&r, 1000);
    }
    assert_int_equal(r.out.mode, SL_MODE_DRIVING);
    /* Never for longer than the lease, whatever it says. */
    ticks(&r, 490);
    assert_int_equal(r.out.mode, SL_MODE_DRIVING);
    tick(&r);
    assert_int_equal(r.out.mode, SL_MODE_SAFE_STOP);
    assert_int_equal(r.out.stop_reason, SL_REASON_LINK_LOST);
    assert_true(r.out.neutral);
    /* Back again, it does not drive on by itself: somebody has to arm. */
    permit(&r, 1000);
    ticks(&r, 450);
    assert_int_equal(r.out.mode, SL_MODE_SAFE_STOP);
    permit(&r, 1000);
    assert_int_equal(ask(&r, SL_ACTION_ARM), SL_REASON_NONE);
    ticks(&r, 400);
    assert_int_equal(r.out.mode, SL_MODE_DRIVING);
    /* For as long as it says, where that is shorter. */
    permit(&r, 50);
    ticks(&r, 40);
    assert_int_equal(r.out.mode, SL_MODE_DRIVING);
    tick(&r);
    assert_int_equal(r.out.mode, SL_MODE_SAFE_STOP);
    /* Armed without it: waits. */
    rig_init(&r, &config);
    permit(&r, 1000);
    r.in.lane_state = SL_LANE_LOST;
    ticks(&r, 50);
    assert_int_equal(ask(&r, SL_ACTION_ARM), SL_REASON_NONE);
    r.in.lane_state = SL_LANE_TWO_LINES;
    r.in.permitted_ns = r.in.permitted_until_ns = 0;
    ticks(&r, 1000);
    assert_int_equal(r.out.mode, SL_MODE_ARMED);
    assert_true(r.out.neutral);
    permit(&r, 1000);
    ticks(&r, 20);
    assert_int_equal(r.out.mode, SL_MODE_DRIVING);
    /* One from another clock is none. */
    r.in.permitted_ns = r.in.now_ns + 100 * MS;
    r.in.permitted_until_ns = r.in.now_ns + 200 * MS;
    tick(&r);
    assert_int_equal(r.out.stop_reason, SL_REASON_LINK_LOST);
    /* A lease of 0 asks nobody. */
    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    ticks(&r, 1000);
    assert_int_equal(r.out.mode, SL_MODE_DRIVING);
}

/* The emergency stop and an empty battery, which count in the same way. */
static void demanded_stops(void **state)
{
    (void)state;
    const struct {
        size_t offset;
        enum sl_reason reason;
    } cases[] = {{offsetof(struct sl_safety_input, estop_pressed), SL_REASON_ESTOP},
                 {offsetof(struct sl_safety_input, battery_empty), SL_REASON_BATTERY}};
    static const uint32_t STOPPED[] = {SL_MODE_ARMED, SL_MODE_DRIVING, SL_MODE_PAUSED};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct rig r;
        bool *demand = (bool *)((char *)&r.in + cases[c].offset);
        for (size_t m = 0; m < sizeof STOPPED / sizeof STOPPED[0]; m++) {
            rig_in_mode(&r, &CONFIG, STOPPED[m]);
            *demand = true; /* for one step only */
            tick(&r);
            assert_int_equal(r.out.mode, SL_MODE_SAFE_STOP);
            assert_int_equal(r.out.stop_reason, cases[c].reason);
            assert_true(r.out.neutral && r.out.stopped_now && r.out.speed_scale == 0);
            /* Not armed while it lasts; gone, it does not drive on by itself. */
            assert_int_equal(ask(&r, SL_ACTION_ARM), cases[c].reason);
            ticks(&r, 500);
            *demand = false;
            r.in.lane_state = SL_LANE_TWO_LINES;
            ticks(&r, 20000);
            assert_int_equal(r.out.mode, SL_MODE_SAFE_STOP);
            assert_int_equal(r.s.stops, 1);
            assert_int_equal(ask(&r, SL_ACTION_ARM), SL_REASON_NONE);
            ticks(&r, 400);
            assert_int_equal(r.out.mode, SL_MODE_DRIVING);
        }
        /* Disarmed it stays disarmed, and is not armed. */
        rig_in_mode(&r, &CONFIG, SL_MODE_DISARMED);
        *demand = true;
        ticks(&r, 100);
        assert_int_equal(r.out.mode, SL_MODE_DISARMED);
        assert_int_equal(ask(&r, SL_ACTION_ARM), cases[c].reason);
        assert_int_equal(ask(&r, SL_ACTION_DISARM), SL_REASON_NONE);
        /* A stop that would have ended by itself does not any more. */
        rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
        r.in.lane_state = SL_LANE_LOST;
        ticks(&r, 2000);
        assert_int_equal(r.out.stop_reason, SL_REASON_LANE_LOST);
        *demand = true;
        tick(&r);
        *demand = false;
        assert_int_equal(r.out.stop_reason, cases[c].reason);
        assert_false(r.out.stopped_now);
        r.in.lane_state = SL_LANE_TWO_LINES;
        ticks(&r, 20000);
        assert_int_equal(r.out.mode, SL_MODE_SAFE_STOP);
        /* Pressed at the start: armed by nobody. */
        struct sl_safety_config config = CONFIG;
        config.arm_at_start = true;
        rig_init(&r, &config);
        *demand = true;
        tick(&r);
        assert_int_equal(r.out.mode, SL_MODE_SAFE_STOP);
        assert_int_equal(r.out.stop_reason, cases[c].reason);
    }
    /* Both: a person goes before a battery. */
    struct rig r;
    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    r.in.estop_pressed = r.in.battery_empty = true;
    r.in.actuator_failed = true;
    tick(&r);
    assert_int_equal(r.out.stop_reason, SL_REASON_ESTOP);
}

static void supply_slows(void **state)
{
    (void)state;
    struct rig r;
    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    const struct {
        double given, expected;
    } cases[] = {{1, 1}, {0.5, 0.5}, {0, 0}, {-1, 0}, {NAN, 0}, {7, 1}, {INFINITY, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        r.in.supply_scale = cases[i].given;
        tick(&r);
        assert_int_equal(r.out.mode, SL_MODE_DRIVING);
        assert_true(r.out.speed_scale == cases[i].expected && !r.out.neutral);
    }
    /* Beside what a bad lane takes away. */
    r.in.supply_scale = 0.5;
    r.in.lane_state = SL_LANE_LOST;
    ticks(&r, 390);
    assert_int_equal(r.out.reaction, SL_REACT_HOLD);
    assert_true(r.out.speed_scale == 0.5);
    ticks(&r, 1110);
    assert_int_equal(r.out.reaction, SL_REACT_SLOW);
    assert_true(fabs(r.out.speed_scale - 0.5 * (1 - 0.7 * 1090 / 1100)) < 1e-9);
}

static void missed_deadlines(void **state)
{
    (void)state;
    struct rig r;
    /* The fifth within the window stops, the fourth does not. */
    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    for (int i = 1; i <= 5; i++) {
        ticks(&r, 100);
        r.in.deadlines_missed = true;
        tick(&r);
        r.in.deadlines_missed = false;
        assert_int_equal(r.out.mode,
                         i < 5 ? (uint32_t)SL_MODE_DRIVING : (uint32_t)SL_MODE_SAFE_STOP);
    }
    assert_int_equal(r.out.stop_reason, SL_REASON_DEADLINE);
    assert_int_equal(ask(&r, SL_ACTION_ARM), SL_REASON_FAULT_PRESENT);
    ticks(&r, 810);
    assert_int_equal(r.out.mode, SL_MODE_SAFE_STOP);
    assert_int_equal(ask(&r, SL_ACTION_ARM), SL_REASON_NONE);

    /* Spread wider than the window: never. */
    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    for (int i = 0; i < 100; i++) {
        ticks(&r, 220);
        r.in.deadlines_missed = true;
        tick(&r);
        r.in.deadlines_missed = false;
        assert_int_equal(r.out.mode, SL_MODE_DRIVING);
    }
    /* Two bursts, long apart. */
    ticks(&r, 1000);
    for (int burst = 0; burst < 2; burst++) {
        r.in.deadlines_missed = true;
        ticks(&r, 30);
        r.in.deadlines_missed = false;
        ticks(&r, 3000);
    }
    assert_int_equal(r.out.mode, SL_MODE_DRIVING);
    /* In armed they only delay: the machine may be busy starting. */
    rig_in_mode(&r, &CONFIG, SL_MODE_ARMED);
    r.in.lane_state = SL_LANE_TWO_LINES;
    r.in.deadlines_missed = true;
    ticks(&r, 2000);
    assert_int_equal(r.out.mode, SL_MODE_ARMED);
    r.in.deadlines_missed = false;
    ticks(&r, 900);
    assert_int_equal(r.out.mode, SL_MODE_DRIVING);
}

/* Time that goes back restarts what is being timed; nothing wraps. */
static void time_goes_back(void **state)
{
    (void)state;
    struct rig r;
    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    r.in.now_ns = 500 * MS;
    r.in.lane_state = SL_LANE_LOST;
    ticks(&r, 100);
    assert_int_equal(r.out.mode, SL_MODE_DRIVING);
    assert_int_equal(r.out.reaction, SL_REACT_HOLD);
    r.in.now_ns = 100 * MS;
    ticks(&r, 1510);
    assert_int_equal(r.out.mode, SL_MODE_SAFE_STOP);
    /* And at 0. */
    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    r.in.now_ns = 0;
    sl_safety_step(&r.s, &r.in, &r.out);
    assert_int_equal(r.out.reaction, SL_REACT_HOLD); /* its detection is from the future */
    /* Missed deadlines before and after count together. */
    rig_in_mode(&r, &CONFIG, SL_MODE_DRIVING);
    r.in.deadlines_missed = true;
    ticks(&r, 40);
    r.in.now_ns -= 300 * MS;
    tick(&r);
    assert_int_equal(r.out.stop_reason, SL_REASON_DEADLINE);
}

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t random_u64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static bool one_in(unsigned n)
{
    return random_u64() % n == 0;
}

static void random_walk(void **state)
{
    (void)state;
    unsigned visited[SL_MODE_COUNT] = {0}, reasons[SL_REASON_COUNT] = {0};
    for (int walk = 0; walk < 64; walk++) {
        struct sl_safety_config config = CONFIG;
        config.recover_lane = walk & 1;
        config.recover_source = walk & 2;
        config.arm_at_start = walk & 4;
        struct rig r;
        rig_init(&r, &config);
        r.in.detector_counts_frames = walk & 8;
        uint32_t mode = SL_MODE_DISARMED, reason = SL_REASON_NONE;
        uint64_t stops = 0;
        for (int i = 0; i < 20000; i++) {
            if (one_in(100))
                r.camera = !one_in(3);
            if (one_in(100))
                r.detector = !one_in(3);
            if (one_in(500))
                r.in.camera_trouble = (uint32_t)(random_u64() % 4);
            else if (one_in(20))
                r.in.camera_trouble = SL_CAMERA_GOOD;
            if (one_in(60))
                r.in.lane_state = (uint32_t)(random_u64() % 3);
            if (one_in(60))
                r.in.confidence = one_in(10) ? NAN : (double)(random_u64() % 1000) / 700;
            if (one_in(60))
                r.exposure_age_ns = one_in(4) ? random_u64() % (400 * MS) : 20 * MS;
            r.in.deadlines_missed = one_in(one_in(300) ? 1 : 150);
            r.in.not_finite = one_in(2500);
            r.in.actuator_failed = one_in(2500);
            r.in.estop_pressed = one_in(2500);
            r.in.battery_empty = one_in(2500);
            r.in.speed_mps = one_in(3) ? 0 : one_in(50) ? NAN : 3;
            if (one_in(400))
                r.in.now_ns += random_u64() % (1000 * MS);

            bool armed_by_request = false, requested = false;
            if (one_in(40)) {
                enum sl_action_kind kind = (enum sl_action_kind)(random_u64() % 8);
                uint32_t before = r.s.mode;
                enum sl_reason answer = ask(&r, kind);
                if (kind == SL_ACTION_STOP || kind == SL_ACTION_DISARM)
                    assert_int_equal(answer, SL_REASON_NONE);
                if (answer != SL_REASON_NONE)
                    assert_int_equal(r.s.mode, before);
                requested = answer == SL_REASON_NONE;
                armed_by_request = requested && r.s.mode == SL_MODE_ARMED;
                if (armed_by_request && kind == SL_ACTION_ARM)
                    assert_true(r.in.speed_mps == 0);
            }
            tick(&r);
            const struct sl_safety_output *out = &r.out;

            assert_true(out->mode < SL_MODE_COUNT);
            assert_int_equal(out->mode, r.s.mode);
            assert_true(out->speed_scale >= 0 && out->speed_scale <= 1);
            assert_int_equal(out->neutral, out->mode != SL_MODE_DRIVING);
            if (out->mode != SL_MODE_DRIVING)
                assert_true(out->speed_scale == 0);
            if (out->mode == SL_MODE_SAFE_STOP)
                assert_true(out->stop_reason != SL_REASON_NONE);
            assert_int_equal(out->stopped_now, r.s.stops > stops);
            if (out->reaction == SL_REACT_HOLD || out->reaction == SL_REACT_SLOW)
                assert_true(out->lane_bad && out->mode == SL_MODE_DRIVING);
            if (out->mode == SL_MODE_DRIVING) {
                assert_false(r.in.not_finite || r.in.actuator_failed);
                assert_false(r.in.estop_pressed || r.in.battery_empty);
                assert_true(out->speed_scale >= CONFIG.slow_scale - 1e-9);
            }
            if (mode != SL_MODE_DRIVING && out->mode == SL_MODE_DRIVING) {
                assert_true(mode == SL_MODE_ARMED || armed_by_request ||
                            (mode == SL_MODE_DISARMED && i == 0));
                assert_false(out->lane_bad);
            }
            if (mode == SL_MODE_SAFE_STOP && out->mode != mode && !requested) {
                bool lane = reason == SL_REASON_LANE_LOST || reason == SL_REASON_LOW_CONFIDENCE;
                bool source = reason == SL_REASON_CAMERA_STALL ||
                              reason == SL_REASON_CAMERA_BLIND ||
                              reason == SL_REASON_DETECTOR_STALL;
                assert_true((lane && config.recover_lane) || (source && config.recover_source));
                assert_int_equal(out->mode, SL_MODE_ARMED);
                assert_true(r.in.speed_mps == 0);
            }
            mode = out->mode;
            reason = out->stop_reason;
            stops = r.s.stops;
            visited[mode]++;
            reasons[reason]++;
        }
    }
    /* The walk has been everywhere. */
    for (int i = 0; i < SL_MODE_COUNT; i++)
        assert_true(visited[i] > 100);
    for (int i = SL_REASON_REQUESTED; i <= SL_REASON_ACTUATOR; i++)
        assert_true(reasons[i] > 0);
    assert_true(reasons[SL_REASON_CAMERA_BLIND] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_configs),
        cmocka_unit_test(every_request_in_every_mode),
        cmocka_unit_test(every_fault_in_every_mode),
        cmocka_unit_test(recovery),
        cmocka_unit_test(stop_request_ends_recovery),
        cmocka_unit_test(stages_of_lane_loss),
        cmocka_unit_test(reason_is_the_present_one),
        cmocka_unit_test(stalls_and_staleness),
        cmocka_unit_test(stalls_to_the_nanosecond),
        cmocka_unit_test(arming),
        cmocka_unit_test(no_frames_no_drive),
        cmocka_unit_test(what_the_cameras_watch_says_counts),
        cmocka_unit_test(permission_to_drive),
        cmocka_unit_test(demanded_stops),
        cmocka_unit_test(supply_slows),
        cmocka_unit_test(missed_deadlines),
        cmocka_unit_test(time_goes_back),
        cmocka_unit_test(random_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
