# The camera at work: its watch, and the loop that starts it anew.
sl_test(camera_watch_test unit/camera_watch_test.c skylane_camera)
set_tests_properties(camera_watch_test PROPERTIES LABELS one_thread)
sl_test(camera_source_test unit/camera_source_test.c skylane_camera)
set_tests_properties(camera_source_test PROPERTIES LABELS timing)

# Run by hand (camera_bench --help); the test only sees that it works.
add_executable(camera_bench bench/camera_bench.c)
target_link_libraries(camera_bench PRIVATE skylane_hal_camera skylane_net PkgConfig::JPEG)
set_target_properties(camera_bench PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_test(NAME camera_bench_test COMMAND camera_bench --pictures 20 --smoke)
set_tests_properties(camera_bench_test PROPERTIES LABELS "timing;one_thread")
