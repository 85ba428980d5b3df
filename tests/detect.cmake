# Lane detection: geometry, the detector on painted and rendered roads, the
# offline command, and the footage where it is at hand.
sl_test(detect_camera_test unit/detect_camera_test.c skylane_detect)

add_executable(detect_bench bench/detect_bench.c)
target_link_libraries(detect_bench PRIVATE skylane_detect skylane_hal_camera)
target_compile_definitions(detect_bench PRIVATE SL_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
