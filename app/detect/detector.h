/* The detector's inside: what its files share. Private to app/detect.
 *
 * The stages, each in a file of its own:
 *
 *   rows.c   which rows to look at, and each pixel's ray; ridges of brightness
 *            (dark-bright-dark) in them, or grooves, as candidates for paint;
 *            row_kernels.h has the loops over pixels
 *   chains.c candidates that continue from row to row, as hints for lines
 *   road.c   the road model, where it crosses rows, and its score
 *   fit.c    the model's fit to candidates
 *   search.c hypotheses, and the choice among them
 *   pose.c   where the vehicle is in the lane
 *   passed.c where the lane was seen on the way behind the picture's lower end
 *   follow.c how the paint departs from the road that was found
 *   confidence.c how likely all this is right
 *   track.c  lanes that are kept from frame to frame, and what is learned
 *   result.c what follows from both: pose, lines, confidence
 *   detect.c the calls that users make, and memory over frames
 *
 * Rays are written as two slopes in the vehicle's axes: s, downwards per ahead,
 * and t, left per ahead. A flat ground at lens height h is met h/s ahead of the
 * lens and t h/s to the left. Both are close to linear in pixels, so that noise
 * in t is the same for near and far paint: fits are made in t, not in metres. */
#ifndef SL_APP_DETECT_DETECTOR_H
#define SL_APP_DETECT_DETECTOR_H

#include <stdbool.h>

#include "app/detect/detect.h"
#include "app/detect/four.h"
#include "app/detect/row_kernels.h"

#define SL_ROWS_MAX       80
#define SL_ROW_PAD        64 /* columns beyond a row that boxes reach */
#define SL_ROW_NODES      33 /* columns at which a row's rays are tabulated */
#define SL_ROW_PEAKS      12 /* candidates kept in a row: the strongest */
#define SL_CANDIDATES_MAX (SL_ROWS_MAX * SL_ROW_PEAKS)
#define SL_VOTES_MAX      (SL_CANDIDATES_MAX + SL_ROWS_MAX * (SL_FOUR - 1))
#define SL_CHAINS_MAX     48
#define SL_CHAIN_POINTS   SL_ROWS_MAX
#define SL_GATE_LAST      2.5 /* sigmas within which candidates have a say, at last */
#define SL_TRACKS_MAX     3
#define SL_PITCH_SIGMA    0.012 /* rad by which vehicles pitch and mounts shift */
#define SL_SIDES          2     /* 0: left, 1: right */
#define SL_PASSED_MAX     32

struct sl_row {
    int v;         /* image row */
    int halvings;  /* how often the row is halved, until paint fits a box */
    int box;       /* expected width of paint in columns then */
    float s;       /* at the picture's middle */
    float node_px; /* pixels between nodes */
    float node_s[SL_ROW_NODES];
    float node_t[SL_ROW_NODES];
    float sigma;    /* of a candidate's t: pixel noise and unevenness of the paint */
    uint16_t first; /* its candidates, from left to right */
    uint16_t count;
};

/* Rows that one stage works on, as arrays: computed side by side. Behind the
 * last they repeat it. */
enum sl_row_choice { SL_ROWS_ALL, SL_ROWS_HALF, SL_ROWS_FOURTH, SL_ROW_CHOICES };
struct sl_row_view {
    int count;
    float stride; /* rows that one of these stands for */
    uint8_t row[SL_ROWS_MAX];
    _Alignas(16) float s[SL_ROWS_MAX]; /* at the picture's middle */
    float t_left[SL_ROWS_MAX], t_right[SL_ROWS_MAX], per_span[SL_ROWS_MAX]; /* 1 / (left - right) */
    float sigma[SL_ROWS_MAX];
    float s_per_t[SL_ROWS_MAX], s_per_t2[SL_ROWS_MAX]; /* elsewhere s + t (s_per_t + t s_per_t2) */
};

struct sl_candidate {
    float s, t;
    float contrast; /* step from the brighter flank, grey levels */
    float noise;    /* of the row, grey levels */
    float quality;  /* 0..1, from contrast and sharpness beside noise */
    float u;        /* image column of its middle */
    int16_t row;
};

/* What candidates weigh in with, as arrays: computed side by side. Each row's
 * begin at a four and are filled up to whole fours by some of no quality. */
struct sl_votes {
    _Alignas(16) float s[SL_VOTES_MAX];
    float t[SL_VOTES_MAX], quality[SL_VOTES_MAX];
    uint16_t first[SL_ROWS_MAX], end[SL_ROWS_MAX];
    float sum[SL_ROWS_MAX], squares[SL_ROWS_MAX]; /* of a row's qualities */
};

struct sl_chain {
    uint16_t points[SL_CHAIN_POINTS]; /* candidates, from near to far */
    int count;
    float strength; /* sum of qualities */
    int last_row;
    float slope; /* dt/ds of late */
};

/* The lane ahead: the centre line (y is c0 at the lens; x ahead of it, the sine of
 * the heading is c1 + c2 x + c3 x^2/2, so that the curvature is c2 + c3 x), its
 * width, and how much more the camera looks down than the calibration says. */
enum { SL_C0, SL_C1, SL_C2, SL_C3, SL_WIDTH, SL_PITCH, SL_PARAMETERS };

struct sl_road {
    double p[SL_PARAMETERS];
};

/* What is believed before the picture: mean, and 1/sigma^2. */
struct sl_prior {
    double mean[SL_PARAMETERS];
    double weight[SL_PARAMETERS];
    double price; /* taken off the score of whoever needs this prior */
};

/* Roads are either near straight, or bend as tightly as vehicles can turn, which
 * has to be paid for. */
enum { SL_PRIOR_ROAD, SL_PRIOR_TIGHT, SL_PRIORS };

/* A lane that was found and may go on. */
struct sl_track_kept {
    struct sl_road road;
    double evidence; /* scores, those of before counting less and less */
    int unseen;      /* frames since it was seen */
};

/* A number that hardly changes, and how well it is known. */
struct sl_learned {
    double mean, variance;
};

/* Where the vehicle was in the lane when that was last believed. */
struct sl_last_pose {
    bool known;
    double y_m, sine; /* of sl_pose, alone */
    int frames;       /* since then */
    int strange;      /* in a row that contradict it */
};

struct sl_support {
    float side[SL_SIDES];    /* sum over rows of quality times closeness */
    float inliers[SL_SIDES]; /* rows with a candidate on the line */
    float visible[SL_SIDES]; /* rows in which the line lies within the picture */
    /* What `side` would be if the candidates lay anywhere in their rows: mean, variance. */
    float chance[SL_SIDES], chance_variance[SL_SIDES];
    float span[SL_SIDES];    /* share of the rows between the first and the last inlier */
    float squares[SL_SIDES]; /* sum of (error/sigma)^2 of the inliers */
    double cost;             /* of the departure from the prior */
    double score;
};

/* One row on its way to candidates. Buffers of columns begin SL_ROW_PAD before
 * column 0. */
#define SL_ROW_COLUMNS (SL_FRAME_WIDTH_MAX_PX + 2 * SL_ROW_PAD + SL_BLOCK)
struct sl_row_work {
    _Alignas(64) uint16_t line[2][SL_ROW_COLUMNS];
    uint16_t boxes[SL_ROW_COLUMNS];
    uint16_t answers[SL_ROW_COLUMNS];
    uint16_t tops[SL_ROW_COLUMNS / SL_BLOCK];
};

/* What speaks for a lane, as numbers about 0..1: what confidence comes from. */
enum {
    SL_EVIDENCE_FILLED,   /* share of visible rows with paint, of the boundary with less */
    SL_EVIDENCE_SPREAD,   /* mean square of sigmas by which the paint misses the lines */
    SL_EVIDENCE_STRANGE,  /* the road's departure from what roads are like */
    SL_EVIDENCE_STRENGTH, /* score for each row */
    SL_EVIDENCE_WIDTH,    /* tolerances by which the lane's width is not as expected */
    SL_EVIDENCE_COUNT
};

/* Where the lane's middle was seen, in the axes of roads (x ahead of the lens), as
 * the vehicle stands now. */
struct sl_passed_place {
    double x, y, sine; /* of its heading there */
    double sd;         /* of y */
};

/* The lane at the rear axle. */
struct sl_pose {
    double y_m; /* of the lane's middle */
    double sine, curvature_1pm, width_m;
    double covariance[4][4];      /* in this order */
    struct sl_passed_place seen;  /* at the nearest row */
    int agree;                    /* places passed that do, less those that do not */
    double alone_y_m, alone_sine; /* as it would be without these */
};

struct sl_detector {
    struct sl_detect_config config;
    struct sl_camera_model camera; /* at the present picture size */
    uint32_t width_px, height_px;  /* of the tables below */
    int row_count;
    struct sl_row rows[SL_ROWS_MAX]; /* from near to far */
    struct sl_row_view views[SL_ROW_CHOICES];
    bool flat; /* s is the same all along each row */
    int candidate_count;
    struct sl_candidate candidates[SL_CANDIDATES_MAX];
    struct sl_votes votes;
    int chain_count;
    struct sl_chain chains[SL_CHAINS_MAX];

    struct sl_prior priors[SL_PRIORS];
    int track_count;
    struct sl_track_kept tracks[SL_TRACKS_MAX]; /* the best first */
    int unasked;                                /* frames since other places were searched */
    struct sl_learned width, pitch;
    struct sl_last_pose last;
    int passed_count;
    struct sl_passed_place passed[SL_PASSED_MAX]; /* the newest first */
    bool moved;                                   /* since the last frame, and it was told how */
    float trust; /* 0..1, for this frame's lane beside those before it */

    bool found; /* `road` holds this frame's lane */
    struct sl_road road;
    struct sl_road near; /* the same, fitted to the nearer half alone: the pose comes from it */
    struct sl_pose pose;
    double near_end_m; /* up to where `near` is good, ahead of the lens */
    /* Of `near`. Aligned: GCC 12.2 at -O2 reads it as if it were, see fill_covariance(). */
    _Alignas(16) double covariance[SL_PARAMETERS][SL_PARAMETERS];
    bool seen[SL_SIDES]; /* boundaries that lie on paint */
    float evidence[SL_EVIDENCE_COUNT], side_evidence[SL_SIDES][SL_EVIDENCE_COUNT];

    float left_over[SL_SIDES][SL_ROWS_MAX]; /* t by which drawn boundaries depart from the roads */

    const struct sl_row_kernels *kernels;
    struct sl_row_work work;
};

/* rows.c: tabulates rows and rays for this picture size; row_count may be 0. */
void sl_rows_prepare(struct sl_detector *d);

/* rows.c: fills in candidates of all rows. -ENOTSUP for a format without luma. */
int sl_rows_scan(struct sl_detector *d, const struct sl_frame_info *info, const uint8_t *pixels);

/* chains.c: links candidates of neighbouring rows. */
void sl_chains_link(struct sl_detector *d);

/* road.c: the centre line's y at x, and the sine of its heading if `sine` is given. */
double sl_road_centre(const struct sl_road *road, double x, double *sine);

/* road.c: where a boundary lies at x: side 0 left, 1 right. */
double sl_road_side(const struct sl_road *road, int side, double x);

/* road.c: a prior from means and sigmas. */
void sl_prior_set(struct sl_prior *prior, const double mean[SL_PARAMETERS],
                  const double sigma[SL_PARAMETERS], double price);

/* What points say of a road, as normal equations without a prior: sums over the
 * points of w J^T J (its lower triangle) and of w J^T error. They add up. */
#define SL_TRIANGLE (SL_PARAMETERS * (SL_PARAMETERS + 1) / 2)
struct sl_pull {
    float a[SL_TRIANGLE], b[SL_PARAMETERS];
};

/* fit.c: what `count` candidates say of `road` that lie on one boundary. */
void sl_road_pull(const struct sl_detector *d, const struct sl_road *road, int side,
                  const uint16_t *candidates, int count, struct sl_pull *pull);

/* fit.c: what a row's candidates say of one boundary that is at t, for the slope s:
 * Tukey's biweight, those farther off than a limit (`per_limit2`: 1 over its
 * square) have no say. Their weight, 0 for none, and the sum of their weighted errors. */
void sl_row_pull(const struct sl_votes *votes, int row, float t, float s, float per_s,
                 float per_limit2, float *weight, float *pull);

/* fit.c: improves `road` by one Gauss-Newton step from what was said of it, under
 * the prior. `more`: to be added, or NULL. False if that leads nowhere. */
bool sl_road_step(const struct sl_prior *prior, const struct sl_pull *pull,
                  const struct sl_pull *more, struct sl_road *road);

/* fit.c: improves `road` from all candidates of the first `rows` of the chosen
 * rows, reweighted in each step by how well they agree (`gate` and `gate_end`: in
 * sigmas, first and last). */
bool sl_road_refine(const struct sl_detector *d, const struct sl_prior *prior,
                    enum sl_row_choice choice, int rows, int steps, double gate, double gate_end,
                    struct sl_road *road);

/* fit.c: how uncertain a road is that was fitted to the first `rows` rows, by
 * the inverse of the normal equations, and somewhat more: rows err alike. */
bool sl_road_covariance(const struct sl_detector *d, const struct sl_prior *prior, int rows,
                        const struct sl_road *road,
                        double covariance[SL_PARAMETERS][SL_PARAMETERS]);

/* road.c: how far a road departs from what the prior expects, in halves of
 * squared sigmas; its price is not in it. */
double sl_road_cost(const struct sl_prior *prior, const struct sl_road *road);

/* road.c: how much of the picture speaks for this road, by the chosen rows;
 * sides are scaled to all rows, counts are not. */
void sl_road_score(const struct sl_detector *d, const struct sl_prior *prior,
                   const struct sl_road *road, enum sl_row_choice choice,
                   struct sl_support *support);

/* road.c: where the near and the whole road, one going over into the other,
 * put a boundary: for all rows. */
struct sl_drawn_row {
    float s, t, per_s; /* a candidate at c->s would be at t + per_s (c->s - s) */
    float per_sigma;   /* 1 over the sigma of such a candidate's t */
};
void sl_road_drawn(const struct sl_detector *d, int side, struct sl_drawn_row rows[SL_ROWS_MAX]);

/* road.c: the share that the whole road has in what is drawn at x, 0..1. */
double sl_road_far_share(const struct sl_detector *d, double x);

/* follow.c: fills in left_over. */
void sl_follow(struct sl_detector *d);

/* follow.c: left_over of a boundary at the slope s. */
float sl_followed(const struct sl_detector *d, int side, float s);

/* What a search has found so far. */
struct sl_found {
    struct sl_road road;
    struct sl_support support;
    double score;  /* -INFINITY: nothing yet */
    bool expected; /* it goes on from the frame before */
};

/* search.c: looks for the lane near a road, under a prior, or anywhere; keeps in
 * `found` what scores better than what is there. */
void sl_search_track(const struct sl_detector *d, const struct sl_prior *prior,
                     const struct sl_road *road, struct sl_found *found);
void sl_search_afresh(const struct sl_detector *d, struct sl_found *found);

/* search.c: both boundaries are beyond doubt; other priors need not be asked. */
bool sl_search_is_clear(const struct sl_detector *d, const struct sl_found *found);

/* search.c: two roads are one lane. */
bool sl_road_alike(const struct sl_detector *d, const struct sl_road *a, const struct sl_road *b);

/* detect.c: how much lanes' widths differ, m: one sigma. */
double sl_width_sd(const struct sl_detect_config *config);

/* track.c: forgets all lanes and all that was learned. */
void sl_tracks_reset(struct sl_detector *d);

/* track.c: finds the lane of this frame, with those before it in mind. */
void sl_tracks_look(struct sl_detector *d, struct sl_found *found);

/* track.c: sets `trust`, from this frame's pose. */
void sl_tracks_compare(struct sl_detector *d);

/* track.c: learns from a lane that was found with such a confidence. */
void sl_tracks_learn(struct sl_detector *d, float confidence);

/* result.c: which boundaries lie on paint. `expected`: they were there before. */
void sl_result_seen(const struct sl_support *support, bool expected, bool seen[SL_SIDES]);

/* passed.c: forgets all places. */
void sl_passed_forget(struct sl_detector *d);

/* passed.c: notes down pose.seen of a lane that was found with such a confidence. */
void sl_passed_add(struct sl_detector *d, float confidence);

/* pose.c: the lane at the rear axle, from `near` and the rows it was fitted to.
 * `tight`: the road may change its bends soon. */
void sl_pose_find(struct sl_detector *d, bool tight, struct sl_pose *pose);

/* result.c: fits the near part of `road` again, into `near`. */
void sl_result_fit_near(struct sl_detector *d);

/* result.c: fills in everything but identity and times. */
void sl_result_fill(const struct sl_detector *d, struct sl_detection *out);

/* confidence.c: fills in d->evidence. */
void sl_evidence(struct sl_detector *d, const struct sl_found *found);

/* confidence.c: the chance, 0..1, that both boundaries are right, or that one is. */
float sl_confidence(const struct sl_detector *d);
float sl_side_confidence(const struct sl_detector *d, int side);

#endif
