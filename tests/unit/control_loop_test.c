/* The control laws in closed loop with a vehicle, a road and a detector that
 * are all of this file: two-axle dynamics with tyre slip, steering with delay,
 * lag and a rate limit; detections that come late, at the camera's rate, and
 * are fitted to what is visible ahead, as a real detector's are. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "app/config/convert.h"
#include "app/control/control.h"
#include "app/control/limits.h"

#define MS UINT64_C(1000000)

/* ---- the road: pieces of constant curvature, joined by clothoids ---- */

struct piece {
    double from_m, curvature_1pm;
};

struct road {
    const struct piece *pieces;
    size_t count;
    double transition_m; /* centred on the joints */
};

static double road_curvature(const struct road *road, double s)
{
    double k = road->pieces[0].curvature_1pm;
    for (size_t i = 1; i < road->count; i++) {
        double half = road->transition_m / 2;
        double before = road->pieces[i].from_m - half, after = road->pieces[i].from_m + half;
        double step = road->pieces[i].curvature_1pm - road->pieces[i - 1].curvature_1pm;
        if (s >= after)
            k += step;
        else if (s > before)
            k += step * (s - before) / (after - before);
    }
    return k;
}

/* ---- the vehicle, in the lane's own coordinates ---- */

struct plant {
    double wheelbase_m, steering_lag_s, steering_delay_s, steering_rate_radps;
    double understeer, rear_slip; /* of the tyres; both 0: kinematic */
    /* state */
    double along_m, offset_m, heading_rad;
    double speed_mps, steering_rad;
    double lateral_mps, yaw_rate_radps; /* of the centre of gravity */
    double delayed[512];                /* commands of the last 512 ms */
    unsigned now_ms;
};

static void plant_step_ms(struct plant *p, const struct road *road, double steering, double speed)
{
    const double h = 1e-3, g = 9.81;
    p->delayed[p->now_ms % 512] = steering;
    unsigned delay_ms = (unsigned)lround(p->steering_delay_s * 1000);
    double wanted = p->now_ms >= delay_ms ? p->delayed[(p->now_ms - delay_ms) % 512] : 0;
    p->now_ms++;
    double move = (wanted - p->steering_rad) * h / (p->steering_lag_s + h);
    p->steering_rad += fmax(fmin(move, p->steering_rate_radps * h), -p->steering_rate_radps * h);
    p->speed_mps += (speed - p->speed_mps) * h / 0.2;

    double u = p->speed_mps, L = p->wheelbase_m, a = 0.45 * L, b = L - a;
    /* Slip angles are undefined at standstill. */
    if (p->rear_slip > 0 && u > 1.5 * sqrt(L / 2.7)) {
        double rear = 1 / (g * p->rear_slip);
        double front = 1 / (g * (p->rear_slip + p->understeer));
        double front_slip = p->steering_rad - (p->lateral_mps + a * p->yaw_rate_radps) / u;
        double rear_slip = -(p->lateral_mps - b * p->yaw_rate_radps) / u;
        double front_accel = front * front_slip * g * b / L;
        double rear_accel = rear * rear_slip * g * a / L;
        p->lateral_mps += (front_accel + rear_accel - u * p->yaw_rate_radps) * h;
        p->yaw_rate_radps += (a * front_accel - b * rear_accel) / (0.25 * L * L) * h;
    } else {
        p->yaw_rate_radps = u * tan(p->steering_rad) / L;
        p->lateral_mps = p->yaw_rate_radps * b;
    }
    double sideways = p->lateral_mps - b * p->yaw_rate_radps; /* of the rear axle */
    double k = road_curvature(road, p->along_m);
    double along_rate =
        (u * cos(p->heading_rad) - sideways * sin(p->heading_rad)) / (1 - k * p->offset_m);
    p->offset_m += (u * sin(p->heading_rad) + sideways * cos(p->heading_rad)) * h;
    p->heading_rad += (p->yaw_rate_radps - k * along_rate) * h;
    p->along_m += along_rate * h;
}

/* ---- the detector: a cubic through the lane's centre as far as one sees ---- */

struct detector {
    double near_m, far_m;
    double noise_m;
    uint32_t seed;
};

static double noise(struct detector *d)
{
    d->seed = d->seed * 1664525u + 1013904223u;
    return ((double)(d->seed >> 8) / (1 << 24) * 2 - 1) * d->noise_m;
}

static void solve4(double m[4][5])
{
    for (int i = 0; i < 4; i++) {
        int best = i;
        for (int r = i + 1; r < 4; r++)
            if (fabs(m[r][i]) > fabs(m[best][i]))
                best = r;
        for (int c = 0; c < 5; c++) {
            double t = m[i][c];
            m[i][c] = m[best][c];
            m[best][c] = t;
        }
        for (int r = 0; r < 4; r++) {
            if (r == i)
                continue;
            double f = m[r][i] / m[i][i];
            for (int c = i; c < 5; c++)
                m[r][c] -= f * m[i][c];
        }
    }
    for (int i = 0; i < 4; i++)
        m[i][4] /= m[i][i];
}

static void detect(struct detector *d, const struct plant *p, const struct road *road,
                   struct sl_detection *out)
{
    /* The centre in the lane's frame at the vehicle, then seen from it. The
     * polynomial is in shares of the range, which keeps the sums well scaled. */
    double m[4][5] = {{0}};
    double x = 0, y = 0, course = 0, step = d->far_m / 200;
    for (int i = 0; i < 200; i++) {
        double k = road_curvature(road, p->along_m + (i + 0.5) * step);
        x += cos(course + k * step / 2) * step;
        y += sin(course + k * step / 2) * step;
        course += k * step;
        if (fabs(course) > 0.8) /* round the bend: out of the picture */
            break;
        if (x < d->near_m)
            continue;
        double dy = y - p->offset_m;
        double vx = x * cos(p->heading_rad) + dy * sin(p->heading_rad);
        double vy = dy * cos(p->heading_rad) - x * sin(p->heading_rad) + noise(d);
        double powers[4] = {1, vx / d->far_m, pow(vx / d->far_m, 2), pow(vx / d->far_m, 3)};
        double weight = 1 / (vx * vx); /* a pixel is worth less with distance */
        for (int r = 0; r < 4; r++) {
            for (int c = 0; c < 4; c++)
                m[r][c] += weight * powers[r] * powers[c];
            m[r][4] += weight * powers[r] * vy;
        }
    }
    /* The lane bends smoothly: a little of a prior on the cubic term. */
    m[3][3] *= 1.05;
    solve4(m);
    double f = d->far_m, slope = m[1][4] / f;
    double bend = pow(1 + slope * slope, -1.5);
    out->lateral_offset_m = (float)(-m[0][4] / sqrt(1 + slope * slope));
    out->heading_error_rad = (float)-atan(slope);
    out->curvature_1pm = (float)(2 * m[2][4] / (f * f) * bend);
    out->curvature_rate_1pm2 = (float)(6 * m[3][4] / (f * f * f) * bend);
    out->state = SL_LANE_TWO_LINES;
    out->confidence = 0.9f;
    out->left.x_max_m = out->right.x_max_m = (float)d->far_m;
}

/* ---- the loop ---- */

struct figures {
    double mean_abs_m, max_abs_m, end_abs_m; /* end: the worst of the last second */
    double steering_move_radps;              /* mean of |change|, to see ringing */
    double seconds, top_mps, slowest_mps;
};

struct drive {
    const struct road *road;
    double length_m;
    double start_offset_m, start_heading_rad, start_speed_mps;
    double steering_lag_s, steering_delay_s; /* 0: the setting's delay, split */
    double noise_m;
    double age_ms;
    bool measured_steering;
};

static struct sl_settings car(const char *law, double speed_mps)
{
    struct sl_settings s;
    sl_settings_defaults(&s);
    s.control.speed_mps = speed_mps;
    snprintf(s.control.law, sizeof s.control.law, "%s", law);
    return s;
}

static struct figures run(const struct sl_settings *settings, const struct drive *drive)
{
    struct sl_control_config control_config;
    struct sl_limits_config limits_config;
    struct sl_control control;
    struct sl_limits limits;
    struct sl_error err = {0};
    sl_settings_control(settings, &control_config);
    sl_settings_limits(settings, &limits_config);
    assert_int_equal(sl_control_init(&control, &control_config, &err), 0);
    assert_int_equal(sl_limits_init(&limits, &limits_config, &err), 0);
    limits.speed_mps = drive->start_speed_mps;

    struct plant plant = {
        .wheelbase_m = settings->vehicle.wheelbase_m,
        .steering_lag_s = drive->steering_lag_s,
        .steering_delay_s = drive->steering_delay_s,
        .steering_rate_radps = settings->vehicle.steering_rate_max_radps,
        .understeer = settings->vehicle.understeer_rads2pm,
        .rear_slip = settings->vehicle.rear_slip_rads2pm,
        .offset_m = drive->start_offset_m,
        .heading_rad = drive->start_heading_rad,
        .speed_mps = drive->start_speed_mps,
    };
    struct detector detector = {
        .near_m = settings->camera.forward_m + settings->detect.near_m,
        .far_m = settings->camera.forward_m + fmin(settings->detect.far_m, 25),
        .noise_m = drive->noise_m,
        .seed = 1,
    };

    struct sl_detection on_the_way[8] = {{0}}, lane = {0};
    struct figures f = {.slowest_mps = 1e9};
    const uint64_t start_ns = 1000 * MS, age_ns = (uint64_t)(drive->age_ms * 1e6);
    uint64_t next_frame_ns = start_ns, frames = 0, arrived = 0;
    double steering = 0, speed = drive->start_speed_mps, total_m = 0, end_m[1000] = {0};
    unsigned ms = 0;
    for (; ms < 600000 && plant.along_m < drive->length_m; ms++) {
        uint64_t now_ns = start_ns + ms * MS;
        if (now_ns >= next_frame_ns) { /* 60 Hz */
            struct sl_detection *next = &on_the_way[frames++ % 8];
            detect(&detector, &plant, drive->road, next);
            next->exposed_ns = now_ns;
            next_frame_ns = start_ns + frames * UINT64_C(1000000000) / 60;
        }
        bool fresh = arrived < frames && now_ns >= on_the_way[arrived % 8].exposed_ns + age_ns;
        if (fresh)
            lane = on_the_way[arrived++ % 8];
        if (lane.exposed_ns != 0 && (fresh || ms % 10 == 0)) {
            struct sl_control_input in = {
                .now_ns = now_ns,
                .lane = &lane,
                .speed_mps = plant.speed_mps,
                .steering_rad = drive->measured_steering ? plant.steering_rad : steering,
                .speed_scale = 1,
                .steering_measured = drive->measured_steering,
            };
            struct sl_control_output out;
            struct sl_limited limited;
            sl_control_step(&control, &in, &out);
            struct sl_wish wish = {
                .decided_ns = now_ns, .steering_rad = out.steering_rad, .speed_mps = out.speed_mps};
            sl_limits_apply(&limits, now_ns, &wish, &limited);
            f.steering_move_radps += fabs(limited.steering_rad - steering);
            steering = limited.steering_rad;
            speed = limited.speed_mps;
        }
        plant_step_ms(&plant, drive->road, steering, speed);
        double off_m = fabs(plant.offset_m);
        total_m += off_m;
        end_m[ms % 1000] = off_m;
        f.max_abs_m = fmax(f.max_abs_m, off_m);
        f.top_mps = fmax(f.top_mps, plant.speed_mps);
        if (ms > 1000)
            f.slowest_mps = fmin(f.slowest_mps, plant.speed_mps);
        if (!(off_m < 50))
            fail_msg("the vehicle left the world after %u ms", ms);
    }
    for (unsigned i = 0; i < 1000 && i < ms; i++)
        f.end_abs_m = fmax(f.end_abs_m, end_m[i]);
    f.seconds = ms * 1e-3;
    f.mean_abs_m = total_m / ms;
    f.steering_move_radps /= f.seconds;
    return f;
}

/* ---- roads ---- */

static const struct piece STRAIGHT[] = {{0, 0}};
/* Bends of 60, 45 and 30 m, an S of 30 m and one of 45 m without a straight. */
static const struct piece BENDS[] = {
    {0, 0},         {60, 1 / 60.},   {130, 0},        {180, -1 / 45.}, {250, 0},
    {300, 1 / 30.}, {350, 0},        {390, -1 / 30.}, {430, 1 / 30.},  {480, 0},
    {540, 1 / 45.}, {600, -1 / 45.}, {660, 0}};
/* The same in small. */
static const struct piece LAB_BENDS[] = {{0, 0},   {3, 1 / 1.2},   {5, 0},        {7, 1 / 1.1},
                                         {8.8, 0}, {11, -1 / 1.3}, {13, 1 / 1.5}, {15, -1 / 1.5},
                                         {17, 0},  {20, 0}};

#define ROAD(pieces, transition_m)                                                                 \
    {                                                                                              \
        pieces, sizeof pieces / sizeof pieces[0], transition_m                                     \
    }

static const char *const LAWS[] = {"pure_pursuit", "stanley", "pid"};

static void report(const char *what, const char *law, double speed_mps, struct figures f)
{
    printf("%-28s %-12s %4.1f m/s: mean %.3f max %.3f end %.3f m, slowest %.1f m/s, "
           "steering %.3f rad/s\n",
           what, law, speed_mps, f.mean_abs_m, f.max_abs_m, f.end_abs_m, f.slowest_mps,
           f.steering_move_radps);
}

/* Bends, joined softly (15 m) and abruptly, with 20 mm of noise at each point
 * of the road that the detector sees. */
static void car_keeps_bends(void **state)
{
    (void)state;
    const double speeds[] = {2, 5, 10};
    const double transitions[] = {15, 4};
    for (int t = 0; t < 2; t++) {
        for (int l = 0; l < 3; l++) {
            for (int v = 0; v < 3; v++) {
                struct road road = ROAD(BENDS, transitions[t]);
                struct sl_settings s = car(LAWS[l], speeds[v]);
                struct drive d = {.road = &road,
                                  .length_m = 700,
                                  .start_speed_mps = speeds[v],
                                  .steering_lag_s = 0.04,
                                  .steering_delay_s = 0.02,
                                  .noise_m = 0.02,
                                  .age_ms = 25};
                struct figures f = run(&s, &d);
                report(t == 0 ? "bends, soft" : "bends, abrupt", LAWS[l], speeds[v], f);
                assert_true(f.mean_abs_m <= 0.05);
                assert_true(f.max_abs_m <= 0.25);
                assert_true(f.steering_move_radps <= 0.3);
                /* 3 m/s^2 at 30 m and 10 m/s; else no bend is slowed for */
                if (speeds[v] == 10)
                    assert_true(f.slowest_mps > 7 && f.slowest_mps < 9.6);
                else
                    assert_true(f.slowest_mps > 0.99 * speeds[v]);
            }
        }
    }
}

/* What is set as the delay is seldom what it is; measured steering or not,
 * old detections or new ones, the bounds hold. */
static void car_forgives_wrong_delays(void **state)
{
    (void)state;
    const struct {
        double lag_s, delay_s, age_ms;
        bool measured;
    } cases[] = {{0.03, 0.01, 15, false}, {0.06, 0.04, 25, false}, {0.03, 0.01, 15, true},
                 {0.06, 0.04, 30, true},  {0.04, 0.02, 60, false}, {0.08, 0.02, 5, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int l = 0; l < 3; l++) {
            struct road road = ROAD(BENDS, 10);
            struct sl_settings s = car(LAWS[l], 10);
            struct drive d = {.road = &road,
                              .length_m = 700,
                              .start_speed_mps = 10,
                              .steering_lag_s = cases[i].lag_s,
                              .steering_delay_s = cases[i].delay_s,
                              .noise_m = 0.02,
                              .age_ms = cases[i].age_ms,
                              .measured_steering = cases[i].measured};
            struct figures f = run(&s, &d);
            char what[64];
            snprintf(what, sizeof what, "lag %.0f+%.0f ms, age %.0f%s", cases[i].delay_s * 1e3,
                     cases[i].lag_s * 1e3, cases[i].age_ms, cases[i].measured ? ", meas." : "");
            report(what, LAWS[l], 10, f);
            assert_true(f.mean_abs_m <= 0.05);
            assert_true(f.max_abs_m <= 0.25);
        }
    }
}

/* From a metre beside the centre, turned away: back without ringing. */
static void car_recovers(void **state)
{
    (void)state;
    const double speeds[] = {2, 5, 10};
    for (int l = 0; l < 3; l++) {
        for (int v = 0; v < 3; v++) {
            for (int side = -1; side <= 1; side += 2) {
                struct road road = ROAD(STRAIGHT, 1);
                struct sl_settings s = car(LAWS[l], speeds[v]);
                struct drive d = {.road = &road,
                                  .length_m = 100,
                                  .start_offset_m = side * 1.0,
                                  .start_heading_rad = side * 0.05,
                                  .start_speed_mps = speeds[v],
                                  .steering_lag_s = 0.06,
                                  .steering_delay_s = 0.03,
                                  .age_ms = 25};
                struct figures f = run(&s, &d);
                report("metre beside", LAWS[l], speeds[v], f);
                assert_true(f.max_abs_m <= 1.4);
                assert_true(f.end_abs_m <= 0.03);
                /* The whole manoeuvre takes some left, right, left, and no more. */
                assert_true(f.steering_move_radps * f.seconds <= 3);
            }
        }
    }
}

static void car_is_calm_on_straights(void **state)
{
    (void)state;
    for (int l = 0; l < 3; l++) {
        struct road road = ROAD(STRAIGHT, 1);
        struct sl_settings s = car(LAWS[l], 10);
        struct drive d = {.road = &road,
                          .length_m = 1000,
                          .steering_lag_s = 0.04,
                          .steering_delay_s = 0.02,
                          .age_ms = 25};
        struct figures f = run(&s, &d);
        report("straight from rest", LAWS[l], 10, f);
        assert_true(f.max_abs_m <= 0.001);
        assert_true(f.top_mps >= 9.95 && f.top_mps <= 10.01);

        d.noise_m = 0.02;
        d.start_speed_mps = 10;
        f = run(&s, &d);
        report("straight, noise", LAWS[l], 10, f);
        assert_true(f.max_abs_m <= 0.02);
    }
}

/* A lane of 0.40 m, whose half is 0.20 m, with bends of 1.1 to 1.5 m; with a servo as slow as that
 * of a big car and one as fast as the simulator's. */
static void small_car_keeps_bends(void **state)
{
    (void)state;
    const double lags[] = {0.015, 0.045};
    for (int l = 0; l < 3; l++) {
        for (int i = 0; i < 2; i++) {
            struct sl_settings s;
            struct sl_error err = {0};
            sl_settings_defaults(&s);
            if (sl_settings_read(&s, SL_SOURCE_DIR "/board/sim/lab.ini", &err) != 0)
                fail_msg("%s", err.text);
            snprintf(s.control.law, sizeof s.control.law, "%s", LAWS[l]);
            struct road road = ROAD(LAB_BENDS, 0.5);
            struct drive d = {.road = &road,
                              .length_m = 20,
                              .start_speed_mps = 1.5,
                              .steering_lag_s = lags[i],
                              .steering_delay_s = 0.01,
                              .noise_m = 0.002,
                              .age_ms = 25};
            struct figures f = run(&s, &d);
            report(i == 0 ? "1:10 car" : "1:10 car, slow servo", LAWS[l], 1.5, f);
            assert_true(f.mean_abs_m <= 0.02);
            assert_true(f.max_abs_m <= 0.07);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(car_keeps_bends),       cmocka_unit_test(car_forgives_wrong_delays),
        cmocka_unit_test(car_recovers),          cmocka_unit_test(car_is_calm_on_straights),
        cmocka_unit_test(small_car_keeps_bends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
