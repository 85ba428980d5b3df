# What needs a real kernel's devices: skipped where they are missing, run on the emulated
# machine by tests/target/suite.
sl_test(v4l2_test target/v4l2_test.c skylane_camera)
add_executable(v4l2_mirror target/v4l2_mirror.c)
target_link_libraries(v4l2_mirror PRIVATE skylane_hal_camera)
set_target_properties(v4l2_mirror PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
