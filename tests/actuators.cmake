# Hardware outputs: pulses, wires, the helper process, faults.
sl_test(actuator_pulse_test unit/actuator_pulse_test.c skylane_hal_actuator)
sl_test(actuator_lines_test unit/actuator_lines_test.c skylane_hal_actuator)
sl_test(actuator_outputs_test contract/actuator_outputs_test.c skylane_hal_actuator
        skylane_test_devices)
set_tests_properties(actuator_pulse_test actuator_lines_test PROPERTIES LABELS one_thread)
set_tests_properties(actuator_outputs_test PROPERTIES LABELS timing RUN_SERIAL ON)

# A program's helper is looked for beside it.
add_dependencies(actuator_outputs_test skylane-actuator)
file(CREATE_LINK ${CMAKE_BINARY_DIR}/bin/skylane-actuator
     ${CMAKE_BINARY_DIR}/tests/skylane-actuator SYMBOLIC)

sl_test(calibrate_steering_test integration/calibrate_steering_test.c skylane_config m)
add_dependencies(calibrate_steering_test skylane-calibrate)
set_tests_properties(calibrate_steering_test PROPERTIES LABELS one_thread)
