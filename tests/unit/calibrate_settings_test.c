/* Editing a settings file's text: what is changed, and that all else stays to
 * the byte. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "app/calibrate/settings_edit.h"

static const struct sl_settings_edit edits[] = {{"pitch_rad", "0.0912"}, {"height_m", "1.25"}};

static char out[4096];

static void check(const char *before, const char *after)
{
    long n = sl_settings_edit(before, strlen(before), "camera", "; pose: ", "; pose: new", edits, 2,
                              out, sizeof out);
    assert_string_equal(out, after);
    assert_int_equal(n, strlen(after));
}

static void in_place(void **state)
{
    (void)state;
    check("; mine\n[vehicle]\nheight_m = 9 ; not this one\n\n[camera]\n; the lens\nfx_px = 560\n"
          "pitch_rad=0.1\t; glued\nheight_m : 1.3   # on the roof\n\n[detect]\nfar_m = 40\n",
          "; mine\n[vehicle]\nheight_m = 9 ; not this one\n\n[camera]\n; the lens\nfx_px = 560\n"
          "; pose: new\npitch_rad=0.0912\t; glued\nheight_m : 1.25   # on the roof\n\n[detect]\n"
          "far_m = 40\n");
}

static void added(void **state)
{
    (void)state;
    /* Behind the section's last key, before the blank line that ends it. */
    check("[camera]\nfx_px = 560\n\n[detect]\nfar_m = 40",
          "[camera]\nfx_px = 560\n; pose: new\npitch_rad = 0.0912\nheight_m = 1.25\n\n[detect]\n"
          "far_m = 40");
    check("[camera]", "[camera]\n; pose: new\npitch_rad = 0.0912\nheight_m = 1.25\n");
    check("[camera]\nheight_m = 2\n",
          "[camera]\n; pose: new\nheight_m = 1.25\npitch_rad = 0.0912\n");
    check("", "[camera]\n; pose: new\npitch_rad = 0.0912\nheight_m = 1.25\n");
    check("[detect]\nfar_m = 40",
          "[detect]\nfar_m = 40\n\n[camera]\n; pose: new\npitch_rad = 0.0912\nheight_m = 1.25\n");
}

static void again(void **state)
{
    (void)state;
    /* The note of last time goes; other comments and another section's note stay. */
    check("[detect]\n; pose: a comment of mine\n[camera]\n; pose: old\nheight_m = 1\n; pose\n"
          "pitch_rad = 0\n; lens: old\n",
          "[detect]\n; pose: a comment of mine\n[camera]\n; pose: new\nheight_m = 1.25\n; pose\n"
          "pitch_rad = 0.0912\n; lens: old\n");
    char first[4096];
    memcpy(first, out, sizeof first);
    check(first, first); /* nothing grows from time to time */
}

static void split_section(void **state)
{
    (void)state;
    /* A section may come twice; a key is changed where it is. */
    check("[camera]\nfx_px = 5\n[detect]\n[camera]\nheight_m = 1\n",
          "[camera]\nfx_px = 5\n; pose: new\npitch_rad = 0.0912\n[detect]\n[camera]\n"
          "height_m = 1.25\n");
}

static void other_bytes(void **state)
{
    (void)state;
    check("[camera]\r\nheight_m = 1 \r\n\r\n",
          "[camera]\r\n; pose: new\r\nheight_m = 1.25 \r\npitch_rad = 0.0912\r\n\r\n");
    check("\xEF\xBB\xBF[camera]\nheight_m =\n; h\303\266he\n",
          "\xEF\xBB\xBF[camera]\n; pose: new\nheight_m =1.25\n; h\303\266he\npitch_rad = 0.0912\n");
    /* Names that only begin alike, and keys in comments. */
    check("[camera_two]\nheight_m = 7\n[camera]\nheight_mm = 4\n; height_m = 5\n",
          "[camera_two]\nheight_m = 7\n[camera]\nheight_mm = 4\n; height_m = 5\n; pose: new\n"
          "pitch_rad = 0.0912\nheight_m = 1.25\n");
}

static void no_room(void **state)
{
    (void)state;
    const char *text = "[camera]\nheight_m = 1\n";
    long need = sl_settings_edit(text, strlen(text), "camera", "; pose: ", "; pose: new", edits, 2,
                                 out, sizeof out);
    assert_true(need > 0);
    for (size_t room = 0; room <= (size_t)need; room++)
        assert_int_equal(sl_settings_edit(text, strlen(text), "camera", "; pose: ", "; pose: new",
                                          edits, 2, out, room),
                         -ENOSPC);
    assert_int_equal(sl_settings_edit(text, strlen(text), "camera", "; pose: ", "; pose: new",
                                      edits, 2, out, (size_t)need + 1),
                     need);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_place),      cmocka_unit_test(added),       cmocka_unit_test(again),
        cmocka_unit_test(split_section), cmocka_unit_test(other_bytes), cmocka_unit_test(no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
