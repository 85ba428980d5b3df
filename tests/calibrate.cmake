# Calibration: on chessboards that the tests draw, on the simulator's pictures,
# whose camera is known, and the command as a user runs it.
sl_test(calibrate_settings_test unit/calibrate_settings_test.c skylane_calibrate)
sl_test(calibrate_lens_test unit/calibrate_lens_test.c skylane_calibrate)
sl_test(calibrate_drive_test unit/calibrate_drive_test.c skylane_calibrate skylane_sim)
sl_test(calibrate_test integration/calibrate_test.c skylane_calibrate skylane_config
        PkgConfig::CJSON)
add_dependencies(calibrate_test skylane-calibrate skylane-config skylane-sim)
# OpenCV's own threads are not built for ThreadSanitizer, and ours is one.
set_tests_properties(calibrate_settings_test calibrate_lens_test calibrate_drive_test
                     calibrate_test PROPERTIES LABELS one_thread)
