/* Alerts and figures: when an alert comes and goes, what it says, and the
 * figures as text and as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/alerts.h"
#include "net/local.h"
#include "rt/clock.h"
#include "tests/integration/metrics_text.h"

static struct sl_alerts alerts;
static struct sl_figures figures;
static struct sl_alert_event events[SL_ALERTS];

static int begin(void **unused)
{
    (void)unused;
    memset(&alerts, 0, sizeof alerts);
    alerts.each[SL_ALERT_ACCESS].warning = 10;
    alerts.each[SL_ALERT_ACCESS].critical = 20;
    alerts.each[SL_ALERT_MEMORY].warning = 100;
    alerts.each[SL_ALERT_MEMORY].critical = 200;
    alerts.each[SL_ALERT_DROPS].warning = 0.1;
    alerts.each[SL_ALERT_DROPS].critical = 1;
    sl_figures_clear(&figures);
    return 0;
}

static void set_access_ms(double ms)
{
    figures.value[SL_FIGURE_FRAME_ACCESS][SL_READER_DETECTOR][SL_QUANTILE_99] = ms / 1e3;
}

static int look(double at_s)
{
    return sl_alerts_look(&alerts, &figures, (uint64_t)(at_s * 1e9), events);
}

static void nothing_known_is_no_alert(void **unused)
{
    (void)unused;
    for (int s = 1; s < 20; s++)
        assert_int_equal(look(s), 0);
    cJSON *json = sl_alerts_json(&alerts);
    assert_int_equal(cJSON_GetArraySize(json), 0);
    cJSON_Delete(json);
}

static void comes_once_worsens_and_eases(void **unused)
{
    (void)unused;
    set_access_ms(10);
    assert_int_equal(look(1), 0); /* at its limit, not beyond it */
    set_access_ms(10.5);
    assert_int_equal(look(2), 1);
    assert_int_equal(events[0].level, SL_ALERT_WARNING);
    assert_non_null(strstr(events[0].text, "10.5 ms"));
    assert_non_null(strstr(events[0].text, "the 10 ms of alert.access_p99_warning_ms"));
    assert_int_equal(look(3), 0);
    set_access_ms(25);
    assert_int_equal(look(4), 1);
    assert_int_equal(events[0].level, SL_ALERT_CRITICAL);
    assert_non_null(strstr(events[0].text, "alert.access_p99_critical_ms"));
    set_access_ms(15); /* below the critical limit, above the other */
    for (int s = 5; s < 10; s++)
        assert_int_equal(look(s), 0);
    assert_int_equal(look(10), 1);
    assert_int_equal(events[0].level, SL_ALERT_WARNING);
    assert_non_null(strstr(events[0].text, "alert.access_p99_warning_ms"));
    set_access_ms(1);
    assert_int_equal(look(11), 0);
    assert_int_equal(look(15.9), 0);
    assert_int_equal(look(16), 1);
    assert_int_equal(events[0].level, SL_ALERT_NONE);
    assert_non_null(strstr(events[0].text, "over after 14 s"));
    assert_int_equal(look(17), 0);
}

/* About its limit, and up again before the 5 s are over: told once. */
static void does_not_chatter(void **unused)
{
    (void)unused;
    set_access_ms(10.1);
    assert_int_equal(look(1), 1);
    for (int i = 0; i < 100; i++) {
        set_access_ms(i % 2 == 0 ? 9.5 : 10.5);
        assert_int_equal(look(2 + i), 0);
    }
    for (int i = 0; i < 100; i++) {
        set_access_ms(i % 5 == 0 ? 9.5 : 5);
        assert_int_equal(look(200 + i), 0);
    }
    assert_int_equal(alerts.each[SL_ALERT_ACCESS].level, SL_ALERT_WARNING);
}

static void unknown_counts_as_below(void **unused)
{
    (void)unused;
    set_access_ms(30);
    assert_int_equal(look(1), 1);
    set_access_ms(NAN);
    assert_int_equal(look(2), 0);
    assert_int_equal(look(7), 1);
    assert_int_equal(events[0].level, SL_ALERT_NONE);
}

static void names_the_process_and_the_cause(void **unused)
{
    (void)unused;
    figures.value[SL_FIGURE_MEMORY][SL_PROCESS_CONTROL][0] = 20e6;
    figures.value[SL_FIGURE_MEMORY][SL_PROCESS_NETWORK][0] = 150e6;
    figures.value[SL_FIGURE_MEMORY][SL_PROCESS_CAMERA][0] = 900e6; /* somebody else's */
    figures.value[SL_FIGURE_DROPS_PER_SECOND][SL_CAUSE_DETECTOR][0] = 0.2;
    figures.value[SL_FIGURE_DROPS_PER_SECOND][SL_CAUSE_DEADLINE][0] = 0.9;
    figures.value[SL_FIGURE_DROPS_PER_SECOND][SL_CAUSE_RATE][0] = 30; /* as agreed */
    assert_int_equal(look(1), 2);
    assert_non_null(strstr(events[0].text, "the network's process: 150 MB"));
    assert_int_equal(events[0].level, SL_ALERT_WARNING);
    assert_non_null(strstr(events[1].text, "deadlines that control missed: 1.1 1/s"));
    assert_int_equal(events[1].level, SL_ALERT_CRITICAL);
    assert_string_equal(sl_alert_log_level(events[1].level), "error");
    cJSON *json = sl_alerts_json(&alerts);
    assert_int_equal(cJSON_GetArraySize(json), 2);
    const cJSON *memory = cJSON_GetArrayItem(json, 0);
    char *text = cJSON_PrintUnformatted(memory);
    assert_non_null(strstr(text, "{\"name\":\"memory\",\"level\":\"warning\",\"value\":150,"
                                 "\"limit\":100,\"unit\":\"MB\",\"text\":\"memory of the "));
    assert_non_null(strstr(text, "\"since_ns\":1000000000}"));
    cJSON_free(text);
    cJSON_Delete(json);
}

static char *printed(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    assert_non_null(to);
    sl_figures_print(to, &figures);
    fclose(to);
    return text;
}

static void figures_are_well_formed(void **unused)
{
    (void)unused;
    char *text = printed();
    assert_string_equal(text, ""); /* no HELP of what is not there */
    free(text);
    for (int i = 0; i < SL_FIGURES; i++)
        for (int a = 0; a < SL_FIGURE_FIRST_MAX; a++)
            for (int b = 0; b < SL_FIGURE_SECOND_MAX; b++)
                figures.value[i][a][b] = 1e-3 * (i + 1) + a + 1e7 * b;
    figures.value[SL_FIGURE_CPU_SECONDS][SL_PROCESS_CAMERA][0] = 12345678.25;
    figures.value[SL_FIGURE_ALERT][0][0] = INFINITY; /* not known */
    text = printed();
    assert_string_equal(metrics_problem(text), "");
    assert_true(metrics_value(text, "skylane_process_cpu_seconds_total{process=\"camera\"}") ==
                12345678.25);
    assert_true(isnan(metrics_value(text, "skylane_alert{alert=\"access\"}")));
    assert_false(isnan(metrics_value(text, "skylane_control_up")));
    assert_false(isnan(metrics_value(text, "skylane_stage_seconds{stage=\"loop_lateness\","
                                           "quantile=\"0.9\"}")));
    free(text);
}

static void the_checker_finds_faults(void **unused)
{
    (void)unused;
    static const char *const BAD[] = {
        "x 1\n",                                                    /* no HELP, no TYPE */
        "# HELP x y\n# TYPE x gauge\nx 1",                          /* no end */
        "# HELP x y\n# TYPE x gauge\nx 1\nx 2\n",                   /* twice */
        "# HELP x y\n# TYPE x gauge\nx one\n",                      /* no number */
        "# HELP x y\n# TYPE x counter\nx 1\n",                      /* no _total */
        "# HELP x_total y\n# TYPE x_total gauge\nx_total 1\n",      /* not a counter */
        "# HELP x_total y\n# TYPE x_total counter\nx_total -1\n",   /* falls */
        "# HELP x y\n# TYPE x gauge\nx{a=b} 1\n",                   /* no quotes */
        "# HELP x y\n# TYPE x gauge\nx{a=\"b\" 1\n",                /* not closed */
        "# HELP x y\n# TYPE x gauge\nx{a=\"b\"}  nan\n",            /* not finite */
        "# HELP x y\n# TYPE x gauge\n# HELP z y\n# TYPE z gauge\n", /* no sample */
        "# HELP x y\n# TYPE z gauge\nz 1\n",                        /* another name */
    };
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++)
        if (metrics_problem(BAD[i])[0] == '\0')
            fail_msg("taken for good: %s", BAD[i]);
}

static void json_goes_there_and_back(void **unused)
{
    (void)unused;
    figures.value[SL_FIGURE_CONTROL_UP][0][0] = 1;
    figures.value[SL_FIGURE_DROPS][SL_CAUSE_FAILED][0] = 123456789012.0;
    set_access_ms(2.5);
    cJSON *json = sl_figures_json(&figures);
    char *text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    /* From another machine, with what has no name here, and no numbers. */
    assert_non_null(strstr(text, "{\"control_up\":1,"));
    json = cJSON_Parse(text);
    cJSON_free(text);
    cJSON_AddNumberToObject(json, "alert", 3);
    cJSON_AddStringToObject(cJSON_GetObjectItem(json, "drops_total"), "deadline", "x\"} 1\n");
    cJSON_AddNumberToObject(cJSON_GetObjectItem(json, "drops_total"), "else", 1);
    struct sl_figures back;
    sl_figures_read(&back, json);
    cJSON_Delete(json);
    for (int i = 0; i < SL_FIGURES; i++)
        for (int a = 0; a < SL_FIGURE_FIRST_MAX; a++)
            for (int b = 0; b < SL_FIGURE_SECOND_MAX; b++)
                assert_true(isnan(figures.value[i][a][b])
                                ? isnan(back.value[i][a][b])
                                : figures.value[i][a][b] == back.value[i][a][b]);
    sl_figures_read(&back, NULL);
    assert_true(isnan(back.value[SL_FIGURE_CONTROL_UP][0][0]));
}

static void listens_here_alone(void **unused)
{
    (void)unused;
    struct sl_error err;
    static const char *const STRANGE[] = {"0.0.0.0:0", "192.0.2.1:80", "*:1",        "car:1",
                                          "",          "localhost",    "127.0.0.1:", "-1",
                                          "65536",     "[::]:0",       "1 ",         "127.0.0.1:+1",
                                          "::1:0",     "127.0.0.1:1:0"};
    for (size_t i = 0; i < sizeof STRANGE / sizeof STRANGE[0]; i++) {
        assert_true(sl_local_listen("net.metrics", STRANGE[i], &err) < 0);
        assert_non_null(strstr(err.text, "no address of this machine alone"));
    }
    const int fd = sl_local_listen("net.metrics", "127.0.0.1:0", &err);
    assert_true(fd >= 0);
    char taken[32];
    snprintf(taken, sizeof taken, "%u", sl_local_port(fd));
    assert_true(sl_local_listen("net.metrics", taken, &err) < 0);
    assert_non_null(strstr(err.text, "is taken"));
    close(fd);
    assert_true(sl_local_is_host("localhost:9557") && sl_local_is_host("[::1]"));
    assert_false(sl_local_is_host("localhost.evil.example") || sl_local_is_host("") ||
                 sl_local_is_host("127.0.0.10"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_known_is_no_alert, begin),
        cmocka_unit_test_setup(comes_once_worsens_and_eases, begin),
        cmocka_unit_test_setup(does_not_chatter, begin),
        cmocka_unit_test_setup(unknown_counts_as_below, begin),
        cmocka_unit_test_setup(names_the_process_and_the_cause, begin),
        cmocka_unit_test_setup(figures_are_well_formed, begin),
        cmocka_unit_test(the_checker_finds_faults),
        cmocka_unit_test_setup(json_goes_there_and_back, begin),
        cmocka_unit_test(listens_here_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
