/* Memory over frames.
 *
 * Up to SL_TRACKS_MAX lanes are kept, each with what has spoken for it of late:
 * at crossings, lane changes and worn paint, one picture can say the wrong thing
 * as loudly as the right one, but not for long (D. B. Reid, "An algorithm for
 * tracking multiple targets", IEEE TAC 24(6), 1979, of which this keeps deferred
 * decision). Each is looked for where it was; now and then, and whenever that is
 * not beyond doubt, the whole picture is asked for others.
 *
 * What does not change from frame to frame, how wide lanes are here and how the
 * camera is tilted, is learned from frames that are sure of it: it decides the
 * pose where one boundary is all that can be seen. */
#include <math.h>
#include <string.h>

#include "app/detect/detector.h"

#define KEPT           .25 /* of what spoke for a lane, from frame to frame */
#define JUMP_PRICE     2.0 /* taken off the score of a lane that was not there before */
#define WEAK           0.2 /* share of the best's evidence below which a lane is dropped */
#define UNASKED_FRAMES 4   /* in a row in which a clear track is followed unasked */
#define FORGET_FRAMES  60  /* without being seen, after which a lane is dropped */

/* One sigma of what a lane does in a frame, lengths in lane widths. */
#define OFFSET_STEP    0.06
#define HEADING_STEP   0.08
#define BEND_STEP      0.08
#define BEND_RATE_STEP 0.06
#define WIDTH_STEP     0.03
#define PITCH_STEP     0.006 /* rad */
#define FORGETTING     0.1   /* of the last frame's pitch; half of it of its width */

/* Learning. */
#define SURE         0.9f
#define WIDTH_LEAST  0.01  /* sigma that is never undercut, in lane widths */
#define WIDTH_WANDER 0.001 /* sigma by which lanes' width changes in a frame */
#define PITCH_LEAST  0.001
#define PITCH_WANDER 0.0001
#define ALIKE_FRAMES 10.0 /* that err alike: their number overstates what is known */

/* What no vehicle does from one frame to the next: the lane was mistaken, now or
 * before. Beside it, in the next lane, is a place like any other. */
#define LEAP_WIDTHS 0.15
#define LEAP_SINE   0.2
#define LEAP_GROWTH 0.1 /* of that, for each frame without a lane that was believed */
#define LEAP_TRUST  0.25f
#define LEAP_FRAMES 10 /* of the same story, after which it is believed */
#define AGAINST     3  /* places seen before that say otherwise, beyond those that agree */

static void learn(struct sl_learned *what, double seen, double variance, double wander,
                  double least)
{
    what->variance += wander * wander;
    double gain = what->variance / (what->variance + ALIKE_FRAMES * variance);
    what->mean += gain * (seen - what->mean);
    what->variance = fmax((1 - gain) * what->variance, least * least);
}

void sl_tracks_reset(struct sl_detector *d)
{
    const double w = d->config.lane_width_m;
    double width_sd = sl_width_sd(&d->config);
    d->track_count = 0;
    d->unasked = 0;
    d->last.known = false;
    d->trust = 1;
    d->width = (struct sl_learned){w, width_sd * width_sd};
    d->pitch = (struct sl_learned){0, SL_PITCH_SIGMA * SL_PITCH_SIGMA};
}

void sl_tracks_compare(struct sl_detector *d)
{
    struct sl_last_pose *last = &d->last;
    const double w = d->near.p[SL_WIDTH];
    d->trust = 1;
    if (!d->config.track)
        return;
    const double more = 1 + LEAP_GROWTH * last->frames;
    const double aside = remainder(d->pose.alone_y_m - last->y_m, w);
    const bool leaps = last->known && (fabs(aside) > LEAP_WIDTHS * w * more ||
                                       fabs(d->pose.alone_sine - last->sine) > LEAP_SINE * more);
    const bool contradicted = d->pose.agree <= -AGAINST;
    if ((leaps || contradicted) && last->strange < LEAP_FRAMES) {
        last->strange++;
        last->frames++;
        d->trust = LEAP_TRUST;
        return;
    }
    if (contradicted)
        sl_passed_forget(d);
    *last = (struct sl_last_pose){true, d->pose.alone_y_m, d->pose.alone_sine, 0, 0};
}

void sl_tracks_learn(struct sl_detector *d, float confidence)
{
    if (!d->config.track || confidence < SURE || !d->seen[0] || !d->seen[1])
        return;
    const double w = d->config.lane_width_m;
    learn(&d->width, d->near.p[SL_WIDTH], d->covariance[SL_WIDTH][SL_WIDTH], WIDTH_WANDER * w,
          WIDTH_LEAST * w);
    learn(&d->pitch, d->road.p[SL_PITCH], PITCH_STEP * PITCH_STEP, PITCH_WANDER, PITCH_LEAST);
}

/* The next frame is much like the last that showed this lane. */
static void set_prior(const struct sl_detector *d, const struct sl_track_kept *track,
                      struct sl_prior *prior)
{
    const double w = d->config.lane_width_m;
    const double more = sqrt(1.0 + track->unseen);
    const double sigma[SL_PARAMETERS] = {
        [SL_C0] = OFFSET_STEP * w * more, [SL_C1] = HEADING_STEP * more,
        [SL_C2] = BEND_STEP / w * more,   [SL_C3] = BEND_RATE_STEP / (w * w) * more,
        [SL_WIDTH] = WIDTH_STEP * w,      [SL_PITCH] = PITCH_STEP,
    };
    double mean[SL_PARAMETERS];
    memcpy(mean, track->road.p, sizeof mean);
    mean[SL_WIDTH] += 0.5 * FORGETTING * (d->width.mean - mean[SL_WIDTH]);
    mean[SL_PITCH] += FORGETTING * (d->pitch.mean - mean[SL_PITCH]);
    sl_prior_set(prior, mean, sigma, 0);
}

/* A lane of this frame: one that was kept, or a new one. */
struct sighting {
    struct sl_found found;
    struct sl_track_kept track;
    bool seen[SL_SIDES];
};

static bool is_seen(const struct sighting *s)
{
    return s->seen[0] || s->seen[1];
}

static void judge(struct sighting *s)
{
    s->seen[0] = s->seen[1] = false;
    if (isfinite(s->found.score))
        sl_result_seen(&s->found.support, s->found.expected, s->seen);
    if (is_seen(s)) {
        s->track.road = s->found.road;
        s->track.unseen = 0;
        s->track.evidence = KEPT * s->track.evidence + fmax(s->found.score, 0);
    } else {
        s->track.unseen++;
        s->track.evidence *= KEPT;
    }
}

/* The same lane twice: what is new goes to the one that has been kept. */
static bool absorb(const struct sl_detector *d, struct sighting *kept, const struct sighting *new)
{
    if (!is_seen(kept) || !sl_road_alike(d, &kept->found.road, &new->found.road))
        return false;
    if (new->found.score > kept->found.score) {
        kept->track.evidence += new->found.score - kept->found.score;
        kept->track.road = new->found.road;
        kept->found = new->found;
        kept->found.expected = true;
        for (int side = 0; side < SL_SIDES; side++)
            kept->seen[side] = kept->seen[side] || new->seen[side];
    }
    return true;
}

static bool is_better(const struct sighting *a, const struct sighting *b)
{
    if (is_seen(a) != is_seen(b))
        return is_seen(a);
    return a->track.evidence > b->track.evidence;
}

/* Keeps the best, and those that may yet turn out to be it. */
static void keep(struct sl_detector *d, struct sighting *sightings, int count)
{
    for (int i = 1; i < count; i++)
        for (int k = i; k > 0 && is_better(&sightings[k], &sightings[k - 1]); k--) {
            struct sighting swap = sightings[k];
            sightings[k] = sightings[k - 1];
            sightings[k - 1] = swap;
        }
    d->track_count = 0;
    for (int i = 0; i < count && d->track_count < SL_TRACKS_MAX; i++) {
        const struct sighting *s = &sightings[i];
        bool twice = false;
        for (int k = 0; k < i && !twice; k++)
            twice = sl_road_alike(d, &s->track.road, &sightings[k].track.road);
        if (!twice && s->track.unseen <= FORGET_FRAMES &&
            s->track.evidence >= WEAK * sightings[0].track.evidence)
            d->tracks[d->track_count++] = s->track;
    }
}

void sl_tracks_look(struct sl_detector *d, struct sl_found *found)
{
    struct sighting sightings[SL_TRACKS_MAX + 1];
    int count = 0;
    bool clear = false;
    for (int i = 0; i < d->track_count; i++) {
        struct sighting *s = &sightings[count++];
        struct sl_prior prior;
        *s = (struct sighting){.found = {.score = -INFINITY, .expected = true},
                               .track = d->tracks[i]};
        set_prior(d, &s->track, &prior);
        sl_search_track(d, &prior, &s->track.road, &s->found);
        judge(s);
        clear = clear || (i == 0 && is_seen(s) && sl_search_is_clear(d, &s->found));
    }
    if (clear && d->unasked < UNASKED_FRAMES) {
        d->unasked++;
    } else {
        struct sighting *fresh = &sightings[count];
        *fresh = (struct sighting){.found = {.score = -INFINITY},
                                   .track = {.evidence = -JUMP_PRICE / KEPT}};
        d->unasked = 0;
        sl_search_afresh(d, &fresh->found);
        judge(fresh);
        bool known = !is_seen(fresh);
        for (int i = 0; i < count && !known; i++)
            known = absorb(d, &sightings[i], fresh);
        count += !known;
    }
    keep(d, sightings, count);
    found->score = -INFINITY;
    if (count > 0 && is_seen(&sightings[0]))
        *found = sightings[0].found;
}
