# What needs a real kernel's devices: skipped where they are missing, run on the emulated
# machine by tests/target/suite.
sl_test(v4l2_test target/v4l2_test.c skylane_camera)
sl_folder(skylane_test_v4l2_output tests/target target/v4l2_output.c)
target_link_libraries(skylane_test_v4l2_output PUBLIC skylane_hal_camera)
add_executable(v4l2_mirror target/v4l2_mirror.c)
target_link_libraries(v4l2_mirror PRIVATE skylane_test_v4l2_output)
set_target_properties(v4l2_mirror PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
sl_test(vehicle_target_test target/vehicle_test.c skylane_test_programs skylane_test_devices
        skylane_test_v4l2_output)
add_dependencies(vehicle_target_test skylane-run skylane-camera skylane-actuator)
set_tests_properties(vehicle_target_test PROPERTIES LABELS timing RUN_SERIAL ON)
