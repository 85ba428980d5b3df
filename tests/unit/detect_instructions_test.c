/* Every instruction set that this machine has gives the same bits as plain C: the
 * loops one by one on any numbers, and the detector as a whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/detect/row_kernels.h"
#include "detect_paint.h"

#define WIDTH_MAX 1000
#define PAD       64 /* before column 0, and behind the last */
#define COLUMNS   (WIDTH_MAX + 4 * PAD)
#define ROUNDS    400
#define LOOPS     9

struct row {
    uint16_t columns[COLUMNS];
};

static struct row input, plain_out[2], set_out[2];
static uint8_t bytes[4 * COLUMNS], more_bytes[COLUMNS];

static uint32_t seed = 4711;

static uint32_t any(uint32_t below)
{
    return paint_random(&seed) % below;
}

static void fill(void)
{
    /* All values, or only the ends of the range. */
    bool ends = any(3) == 0;
    for (int i = 0; i < COLUMNS; i++)
        input.columns[i] =
            (uint16_t)(ends ? SL_BRIGHTNESS_MAX * any(2) : any(SL_BRIGHTNESS_MAX + 1));
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(ends ? 255 * any(2) : any(256));
    for (size_t i = 0; i < sizeof more_bytes; i++)
        more_bytes[i] = (uint8_t)(ends ? 255 * any(2) : any(256));
}

/* Runs every loop once; what lies beyond what is to be written must stay. */
static uint32_t run(const struct sl_row_kernels *k, int which, int width, int m, int reach,
                    struct row out[2])
{
    memset(out, 0xa5, 2 * sizeof *out);
    uint16_t *o = out[0].columns + PAD;
    switch (which) {
    case 0:
        k->gray(bytes, width, o);
        return 0;
    case 1:
        k->nv12(bytes, more_bytes, width, o);
        return 0;
    case 2:
        k->yuyv(bytes, width & ~1, o);
        return 0;
    case 3:
        k->bgr24(bytes, width, o);
        return 0;
    case 4:
        k->bgra(bytes, width, o);
        return 0;
    case 5:
        k->halve(input.columns, width / 2, o);
        return 0;
    case 6:
        k->boxes(input.columns, width, m, out[1].columns, o);
        out[1] = (struct row){{0}};
        return 0;
    case 7:
        return k->ridges(input.columns + PAD, width / SL_BLOCK, reach, o, out[1].columns);
    default:
        return k->grooves(input.columns + PAD, width / SL_BLOCK, reach, o, out[1].columns);
    }
}

static void loops(void **state)
{
    (void)state;
    const struct sl_row_kernels *plain = sl_row_kernels(SL_INSTRUCTIONS_PLAIN);
    assert_non_null(plain);
    int sets = 0;
    for (int set = SL_INSTRUCTIONS_PLAIN + 1; set < SL_INSTRUCTION_SETS; set++) {
        const struct sl_row_kernels *kernels = sl_row_kernels((enum sl_instruction_set)set);
        if (kernels == NULL)
            continue;
        sets++;
        for (int round = 0; round < ROUNDS; round++) {
            fill();
            int width = 1 + (int)any(WIDTH_MAX), m = 2 + (int)any(SL_BOX_MAX - 1);
            int reach = m + 1 + (int)any(8);
            for (int which = 0; which < LOOPS; which++) {
                uint32_t a = run(plain, which, width, m, reach, plain_out);
                uint32_t b = run(kernels, which, width, m, reach, set_out);
                if (a != b || memcmp(plain_out, set_out, sizeof plain_out) != 0)
                    fail_msg("set %d, loop %d, %d columns, box %d, reach %d differ", set, which,
                             width, m, reach);
            }
        }
    }
    print_message("%d instruction sets beside plain C\n", sets);
#if defined(__x86_64__) || defined(__aarch64__)
    assert_true(sets > 0);
#endif
}

/* Plain C itself against the definition. */
static void boxes_and_contrast(void **state)
{
    (void)state;
    const struct sl_row_kernels *plain = sl_row_kernels(SL_INSTRUCTIONS_PLAIN);
    for (int m = 2; m <= SL_BOX_MAX; m++) {
        fill();
        run(plain, 6, 100, m, 0, plain_out);
        for (int i = 0; i < 100; i++) {
            uint32_t sum = 0;
            for (int k = 0; k < m; k++)
                sum += input.columns[i + k];
            assert_int_equal(plain_out[0].columns[PAD + i], sum);
        }
        int reach = m + 2;
        for (int dark = 0; dark <= 1; dark++) {
            uint32_t rough = run(plain, 7 + dark, 3 * SL_BLOCK, m, reach, plain_out), expected = 0;
            for (int i = 0; i < 3 * SL_BLOCK; i++) {
                const uint16_t *at = input.columns + PAD + i;
                int left = at[-reach], right = at[reach], middle = at[0];
                int answer = dark ? (left < right ? left : right) - middle
                                  : middle - (left > right ? left : right);
                answer = answer > 0 ? answer : 0;
                assert_int_equal(plain_out[0].columns[PAD + i], answer);
                assert_true(plain_out[1].columns[i / SL_BLOCK] >= answer);
                expected += (uint32_t)abs(left - right);
            }
            assert_int_equal(rough, expected);
        }
    }
}

static void whole_detector(void **state)
{
    (void)state;
    const uint32_t sizes[][2] = {{800, 600}, {160, 120}, {1920, 1080}, {642, 362}};
    struct sl_detector *detector = aligned_alloc(64, sl_detector_size());
    uint8_t *nv12 = malloc((size_t)1920 * 1080 * 3 / 2);
    assert_true(detector != NULL && nv12 != NULL);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct sl_detect_config config = paint_config();
        sl_camera_calibration_scale(&config.camera, sizes[i][0], sizes[i][1]);
        config.track = 1;
        struct sl_detection expected[3];
        for (int set = SL_INSTRUCTIONS_PLAIN; set < SL_INSTRUCTION_SETS; set++) {
            config.instructions = (enum sl_instruction_set)set;
            if (sl_row_kernels(config.instructions) == NULL)
                continue;
            struct sl_error err = {0};
            assert_int_equal(sl_detector_init(detector, &config, &err), 0);
            for (int n = 0; n < 3; n++) {
                struct paint_scene scene = paint_usual;
                struct sl_frame_info info;
                struct sl_detection found;
                scene.offset_m = 0.1 * n;
                scene.noise = 25;
                paint_road(&config, &scene, nv12, &info);
                assert_int_equal(sl_detector_run(detector, &info, nv12, &found), 0);
                if (set == SL_INSTRUCTIONS_PLAIN)
                    expected[n] = found;
                assert_memory_equal(&found, &expected[n], sizeof found);
                assert_int_equal(found.state, SL_LANE_TWO_LINES);
            }
        }
    }
    free(nv12);
    free(detector);
}

static void sets_that_are_missing(void **state)
{
    (void)state;
    struct sl_detector *detector = aligned_alloc(64, sl_detector_size());
    assert_non_null(detector);
    for (int set = SL_INSTRUCTIONS_AUTO; set <= SL_INSTRUCTION_SETS; set++) {
        struct sl_detect_config config = paint_config();
        struct sl_error err = {0};
        config.instructions = (enum sl_instruction_set)set;
        int rc = sl_detector_init(detector, &config, &err);
        bool has = sl_row_kernels(config.instructions) != NULL;
        assert_int_equal(rc, has ? 0 : -22);
        assert_true(has || strstr(err.text, "instruction set") != NULL);
    }
    assert_non_null(sl_row_kernels(SL_INSTRUCTIONS_AUTO));
    free(detector);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops),
        cmocka_unit_test(boxes_and_contrast),
        cmocka_unit_test(whole_detector),
        cmocka_unit_test(sets_that_are_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
