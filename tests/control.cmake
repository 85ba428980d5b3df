# Control, limits, safety and settings.
sl_test(control_loop_test unit/control_loop_test.c skylane_config)
sl_test(control_law_test unit/control_law_test.c skylane_control)
sl_test(limits_test unit/limits_test.c skylane_control)
sl_test(safety_test unit/safety_test.c skylane_control)
sl_test(settings_test unit/settings_test.c skylane_config PkgConfig::CJSON)
sl_test(settings_program_test unit/settings_program_test.c skylane_config)
add_dependencies(settings_program_test skylane-config)
