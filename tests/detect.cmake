# Lane detection: geometry, the detector on painted and rendered roads, the
# offline command, and the footage where it is at hand.
sl_test(detect_camera_test unit/detect_camera_test.c skylane_detect)
sl_test(detect_test unit/detect_test.c skylane_detect)
sl_test(detect_offline_test unit/detect_offline_test.c skylane_detect PkgConfig::CJSON)
add_dependencies(detect_offline_test skylane-detect)

add_executable(detect_bench bench/detect_bench.c)
target_link_libraries(detect_bench PRIVATE skylane_detect skylane_hal_camera)
target_compile_definitions(detect_bench PRIVATE SL_SOURCE_DIR="${CMAKE_SOURCE_DIR}")

if(TARGET skylane_sim)
  sl_test(detect_sim_test unit/detect_sim_test.c skylane_detect skylane_sim)
endif()

add_test(NAME roads_test COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/integration/roads_test.sh
                                 $<TARGET_FILE:skylane-detect> ${CMAKE_SOURCE_DIR})
set_tests_properties(roads_test PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)
set_target_properties(detect_bench PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
