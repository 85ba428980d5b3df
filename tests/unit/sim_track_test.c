/* Tracks: every error of a track file, closure, poses, projections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/sim/exact.h"
#include "tools/sim/random.h"
#include "tools/sim/track.h"

#define TRACKS SL_SOURCE_DIR "/tools/sim/tracks/"

static const char *const shipped[] = {TRACKS "oval.ini", TRACKS "city.ini", TRACKS "nasty.ini",
                                      TRACKS "lab.ini"};
#define SHIPPED (sizeof shipped / sizeof shipped[0])

static int load_text(const char *text, size_t size, struct sl_track **track, struct sl_error *err,
                     char *path, size_t path_size)
{
    snprintf(path, path_size, "/tmp/sim_track_test_XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), (ssize_t)size);
    close(fd);
    int rc = sl_track_load(track, path, err);
    unlink(path);
    return rc;
}

#define TRACK "[track]\ntitle = T\nlane_width_m = 3.5\nmarking_width_m = 0.15\nspeed_mps = 10\n"
#define STRAIGHT(n, length)                                                                        \
    "[section " #n "]\ntype = straight\nlength_m = " #length "\nleft = solid white\n"
#define BEND(n, radius, angle)                                                                     \
    "[section " #n "]\ntype = bend\nradius_m = " #radius "\nangle_deg = " #angle "\n"
#define LOOP STRAIGHT(1, 50) BEND(2, 30, 180) STRAIGHT(3, 50) BEND(4, 30, 180)

static void refuses_malformed_files(void **state)
{
    (void)state;
    /* What the file holds; the line that is wrong (0: any); a piece of the reason. */
    const struct {
        const char *text;
        int line;
        const char *reason;
    } cases[] = {
        {"", 0, "no [section 1]"},
        {"# nothing\n\n", 0, "no [section 1]"},
        {TRACK, 0, "no [section 1]"},
        {"title = T\n", 1, "before the first heading"},
        {STRAIGHT(1, 50), 1, "must begin with [track]"},
        {TRACK "colour = red\n" LOOP, 6, "unknown key colour"},
        {TRACK "title = U\n" LOOP, 6, "title is given twice"},
        {TRACK "speed_mps\n" LOOP, 6, "neither a heading nor"},
        {TRACK "  trees = 1\n" LOOP, 6, "indented"},
        {TRACK "trees = many\n" LOOP, 6, "not a number"},
        {TRACK "trees = 0.5x\n" LOOP, 6, "not a number"},
        {TRACK "trees =\n" LOOP, 6, "not a number"},
        {TRACK "trees = nan\n" LOOP, 6, "not a number"},
        {TRACK "trees = 1e999\n" LOOP, 6, "not a number"},
        {TRACK "trees = 2\n" LOOP, 6, "outside of 0 to 1"},
        {TRACK "surface = ice\n" LOOP, 6, "road or indoor"},
        {TRACK "lanes_left = 1.5\n" LOOP, 6, "whole number"},
        {TRACK "lanes_right = 3\n" LOOP, 6, "outside of 0 to 2"},
        {TRACK "[section 1\n", 6, "a heading is one name"},
        {TRACK "[section 1] x\n", 6, "a heading is one name"},
        {TRACK "[section 2]\n", 6, "where [section 1] should stand"},
        {TRACK STRAIGHT(1, 50) STRAIGHT(1, 50), 10, "where [section 2] should stand"},
        {TRACK "[a section with a name beyond all need]\n", 6, "name is too long"},
        {TRACK "[section 1]\ntype = straight\n" BEND(2, 30, 180), 6, "needs length_m"},
        {TRACK "[section 1]\ntype = bend\nradius_m = 9\n", 6, "needs radius_m and angle_deg"},
        {TRACK "[section 1]\ntype = bend\nlength_m = 3\nradius_m = 9\nangle_deg = 9\n", 6,
         "remove length_m"},
        {TRACK "[section 1]\ntype = straight\nlength_m = 3\nradius_m = 9\n", 6,
         "a straight has no radius_m"},
        {TRACK BEND(1, 30, 180) "crossing = yes\n", 6, "crossing must be straight"},
        {TRACK "[section 1]\ntype = loop\n", 7, "straight or bend"},
        {TRACK "[section 1]\ntype = straight\nlength_m = 0\n", 8, "outside of"},
        {TRACK "[section 1]\ntype = bend\nangle_deg = 0\n", 8, "half a degree"},
        {TRACK "[section 1]\nleft = dotted\n", 7, "is not a marking"},
        {TRACK "[section 1]\nleft = solid green\n", 7, "is not a marking"},
        {TRACK "[section 1]\nleft = dashed white 3\n", 7, "is not a marking"},
        {TRACK "[section 1]\nleft = dashed white 3 -1\n", 7, "outside of"},
        {TRACK "[section 1]\nleft = dashed white 3 m\n", 7, "not a number"},
        {TRACK "[section 1]\nleft = solid white 3 3\n", 7, "no lengths"},
        {TRACK "[section 1]\nleft = double\n", 7, "is not a marking"},
        {TRACK "[section 1]\nleft = none none\n", 7, "is not a marking"},
        {TRACK "[section 1]\ncrossing = maybe\n", 7, "neither yes nor no"},
        {TRACK "[section 1]\nworn = 2\n", 7, "outside of"},
        {"[track]\ntitle = T\nlane_width_m = 3.5\nspeed_mps = 10\n" LOOP, 1,
         "lacks marking_width_m"},
        {"[track]\nlane_width_m = 3.5\nmarking_width_m = .1\nspeed_mps = 10\n" LOOP, 1,
         "lacks title"},
        {"[track]\ntitle = T\nlane_width_m = 0.4\nmarking_width_m = .2\nspeed_mps = 1\n" LOOP, 1,
         "quarter of lane_width_m"},
        {TRACK STRAIGHT(1, 50) BEND(2, 30, 180) STRAIGHT(3, 50), 6, "180.000 degrees in all"},
        {TRACK STRAIGHT(1, 50) BEND(2, 30, 180) STRAIGHT(3, 40) BEND(4, 30, 180), 18,
         "10.000 m beyond its start along x"},
        {TRACK STRAIGHT(1, auto) BEND(2, 30, 180) STRAIGHT(3, 40) BEND(4, 30, 180), 6,
         "is the only one"},
        {TRACK STRAIGHT(1, auto) BEND(2, 30, 180) STRAIGHT(3, auto) BEND(4, 30, 180), 6,
         "parallel"},
        {TRACK STRAIGHT(1, auto) BEND(2, 9, 90) STRAIGHT(3, auto) BEND(4, 9, 90) STRAIGHT(5, auto)
             BEND(6, 9, 180),
         22, "a third length_m = auto"},
        {TRACK STRAIGHT(1, auto) BEND(2, 20, 90) STRAIGHT(3, auto) BEND(4, 40, 90) STRAIGHT(5, 10)
             BEND(6, 10, 90) STRAIGHT(7, 10) BEND(8, 90, 90),
         6, "would have to be -"},
        {TRACK STRAIGHT(1, 50) BEND(2, 2, 180) STRAIGHT(3, 50) BEND(4, 2, 180), 10, "too tight"},
        {TRACK "transition_m = 95\n" LOOP, 11, "too short for transition_m"},
        {TRACK STRAIGHT(1, 40) BEND(2, 6, 90) STRAIGHT(3, 20) BEND(4, 6, 90) STRAIGHT(5, 60)
             BEND(6, 6, 90) STRAIGHT(7, 12) BEND(8, 6, 90) STRAIGHT(9, 20)
         /* turns back into the first straight's way */
         BEND(10, 6, -90) STRAIGHT(11, 8) BEND(12, 6, 90),
         0, ""},
        {TRACK "spawn_m = 1000\n" LOOP, 1, "spawn_m = 1000 lies beyond"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_track *track = (struct sl_track *)1;
        struct sl_error err = {""};
        char path[64], where[96];
        int rc = load_text(cases[i].text, strlen(cases[i].text), &track, &err, path, sizeof path);
        snprintf(where, sizeof where, "%s:%d: ", path, cases[i].line);
        if (cases[i].line == 0)
            snprintf(where, sizeof where, "%s:", path);
        if (rc != -EINVAL || track != NULL || strstr(err.text, cases[i].reason) == NULL ||
            strncmp(err.text, where, strlen(where)) != 0)
            fail_msg("case %zu: code %d, \"%s\"; expected line %d, \"%s\"", i, rc, err.text,
                     cases[i].line, cases[i].reason);
    }
}

static void refuses_what_is_no_text(void **state)
{
    (void)state;
    struct sl_track *track;
    struct sl_error err;
    char path[64];
    assert_int_equal(sl_track_load(&track, "/nonexistent/track.ini", &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/track.ini"));
    assert_null(track);
    assert_true(sl_track_load(&track, "/tmp", &err) < 0); /* opens, but cannot be read */
    char zeros[600] = {0};
    assert_int_equal(load_text(zeros, sizeof zeros, &track, &err, path, sizeof path), -EINVAL);
    char longest[1000];
    memset(longest, 'x', sizeof longest);
    assert_int_equal(load_text(longest, sizeof longest, &track, &err, path, sizeof path), -EINVAL);
    assert_non_null(strstr(err.text, "more than 160 bytes"));
}

/* A road that comes back onto itself, told by the two sections. */
static void refuses_a_road_through_itself(void **state)
{
    (void)state;
    static const char text[] = TRACK STRAIGHT(1, 100) BEND(2, 20, 90) STRAIGHT(3, 60)
        BEND(4, 20, 90) STRAIGHT(5, 60) BEND(6, 20, 90) STRAIGHT(7, 130) BEND(8, 20, -90)
            STRAIGHT(9, auto) BEND(10, 20, 90) STRAIGHT(11, 20) BEND(12, 20, 90) STRAIGHT(13, 100)
                BEND(14, 20, 90) STRAIGHT(15, auto) BEND(16, 20, -90);
    struct sl_track *track;
    struct sl_error err = {""};
    char path[64];
    int rc = load_text(text, sizeof text - 1, &track, &err, path, sizeof path);
    if (rc != -EINVAL || strstr(err.text, "runs into itself") == NULL)
        fail_msg("code %d, \"%s\"", rc, err.text);
}

static void shipped_tracks_close(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHIPPED; i++) {
        struct sl_track *t;
        struct sl_error err = {""};
        if (sl_track_load(&t, shipped[i], &err) != 0)
            fail_msg("%s", err.text);
        double length = sl_track_length_m(t), lane = sl_track_lane_width_m(t);
        struct sl_track_pose a, b;
        sl_track_pose_at(t, 0, &a);
        sl_track_pose_at(t, length * (1 - 1e-12), &b);
        assert_true(fabs(a.x_m - b.x_m) < 1e-3 * lane && fabs(a.y_m - b.y_m) < 1e-3 * lane);
        assert_true(fabs(sl_exact_wrap(a.heading_rad - b.heading_rad)) < 1e-6);
        double sum = 0;
        for (size_t k = 0; k < sl_track_section_count(t); k++)
            sum += sl_track_section(t, k)->length_m;
        assert_true(fabs(sum - length) < 1e-6);
        assert_true(sl_track_spawn_m(t) < length);
        assert_true(strlen(sl_track_title(t)) > 0);
        sl_track_free(t);
    }
}

/* Neighbouring poses fit their headings and curvatures: one smooth line. */
static void the_course_is_smooth(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHIPPED; i++) {
        struct sl_track *t;
        assert_int_equal(sl_track_load(&t, shipped[i], NULL), 0);
        double length = sl_track_length_m(t), lane = sl_track_lane_width_m(t);
        double h = lane / 100, sharpest = 0;
        struct sl_track_pose last;
        sl_track_pose_at(t, -h, &last);
        for (double s = 0; s < length; s += h) {
            struct sl_track_pose p;
            double sine, cosine;
            sl_track_pose_at(t, s, &p);
            double moved = fmod(p.s_m - last.s_m + length, length);
            double turn = sl_exact_wrap(p.heading_rad - last.heading_rad);
            sl_exact_sincos(last.heading_rad + turn / 2, &sine, &cosine);
            assert_true(fabs(p.x_m - last.x_m - moved * cosine) < 2e-5 * lane);
            assert_true(fabs(p.y_m - last.y_m - moved * sine) < 2e-5 * lane);
            assert_true(fabs(turn / moved - 0.5 * (p.curvature_1pm + last.curvature_1pm)) * lane <
                        2e-3);
            double change = fabs(p.curvature_1pm - last.curvature_1pm) / moved * lane * lane;
            sharpest = change > sharpest ? change : sharpest;
            last = p;
        }
        assert_true(sharpest < 0.5); /* clothoids, not steps */
        sl_track_free(t);
    }
}

static void projection_returns(void **state)
{
    (void)state;
    struct sl_random r = sl_random_make(3, 3);
    for (size_t i = 0; i < SHIPPED; i++) {
        struct sl_track *t;
        assert_int_equal(sl_track_load(&t, shipped[i], NULL), 0);
        double length = sl_track_length_m(t), lane = sl_track_lane_width_m(t);
        for (int n = 0; n < 5000; n++) {
            double s = sl_random_between(&r, 0, length);
            double offset = sl_random_between(&r, -1, 1) * lane, sine, cosine;
            struct sl_track_pose p;
            sl_track_pose_at(t, s, &p);
            sl_exact_sincos(p.heading_rad, &sine, &cosine);
            double x = p.x_m - sine * offset, y = p.y_m + cosine * offset;
            struct sl_track_projection out[3];
            sl_track_project(t, x, y, s + sl_random_between(&r, -1, 1) * lane, &out[0]);
            sl_track_project(t, x, y, s + length / 2, &out[1]); /* a useless hint */
            sl_track_project_anywhere(t, x, y, &out[2]);
            for (int k = 0; k < 3; k++) {
                double ds = fabs(out[k].foot.s_m - s);
                ds = ds > length / 2 ? length - ds : ds;
                if (!(ds < 1e-4 * lane && fabs(out[k].offset_m - offset) < 1e-5 * lane))
                    fail_msg("%s: s %.6f, offset %.6f projects (%d) to s %.6f, offset %.6f",
                             shipped[i], s, offset, k, out[k].foot.s_m, out[k].offset_m);
                assert_true(fabs(out[k].foot.curvature_1pm - p.curvature_1pm) * lane < 1e-3);
            }
        }
        sl_track_free(t);
    }
}

static void sections_tell_their_paint(void **state)
{
    (void)state;
    struct sl_track *t;
    assert_int_equal(sl_track_load(&t, TRACKS "city.ini", NULL), 0);
    size_t crossings = 0;
    for (size_t i = 0; i < sl_track_section_count(t); i++) {
        const struct sl_track_section *s = sl_track_section(t, i);
        crossings += s->crossing;
        assert_ptr_equal(sl_track_section_at(t, s->start_m + s->length_m / 2), s);
        assert_ptr_equal(
            sl_track_section_at(t, s->start_m + s->length_m / 2 - 3 * sl_track_length_m(t)), s);
        assert_int_equal(sl_track_markings_at(t, s->start_m + s->length_m / 2), !s->crossing);
    }
    assert_int_equal(crossings, 1);
    assert_true(sl_track_line_offset_m(t, SL_TRACK_LEFT) == 1.75);
    assert_true(sl_track_line_offset_m(t, SL_TRACK_OUTER_LEFT) == 5.25);
    assert_true(sl_track_line_offset_m(t, SL_TRACK_OUTER_RIGHT) == -1.75);
    sl_track_free(t);
}

static void tracks_are_found_by_name(void **state)
{
    (void)state;
    const char *const directories[] = {"/nonexistent", SL_SOURCE_DIR "/tools/sim/tracks"};
    char path[512], names[128];
    struct sl_error err = {""};
    assert_int_equal(sl_track_find("oval", directories, 2, path, sizeof path, &err), 0);
    assert_string_equal(path, TRACKS "oval.ini");
    assert_int_equal(sl_track_find("./x/y", directories, 2, path, sizeof path, &err), 0);
    assert_string_equal(path, "./x/y");
    assert_int_equal(sl_track_find("my.ini", NULL, 0, path, sizeof path, &err), 0);
    assert_int_equal(sl_track_find("moon", directories, 2, path, sizeof path, &err), -ENOENT);
    assert_non_null(strstr(err.text, "city|lab|nasty|oval"));
    assert_int_equal(sl_track_find("moon", directories, 1, path, sizeof path, &err), -ENOENT);
    assert_non_null(strstr(err.text, "none at all"));
    assert_int_equal(sl_track_find("oval", directories, 2, path, 8, &err), -ENAMETOOLONG);
    assert_true(sl_track_names(directories, 2, names, sizeof names) >= 4);
    assert_true(sl_track_names(directories, 2, names, 9) >= 4);
    assert_string_equal(names, "city|lab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_malformed_files),       cmocka_unit_test(refuses_what_is_no_text),
        cmocka_unit_test(refuses_a_road_through_itself), cmocka_unit_test(shipped_tracks_close),
        cmocka_unit_test(the_course_is_smooth),          cmocka_unit_test(projection_returns),
        cmocka_unit_test(sections_tell_their_paint),     cmocka_unit_test(tracks_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
