# What stands beside the detector: plain C beside vectors, and the truth.
sl_test(detect_instructions_test unit/detect_instructions_test.c skylane_detect)
set_tests_properties(detect_instructions_test PROPERTIES LABELS one_thread)
if(TARGET skylane_sim)
  add_executable(detect_truth bench/detect_truth.c
                              ${CMAKE_SOURCE_DIR}/app/programs/detect_calibration.c)
  target_include_directories(detect_truth PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(detect_truth PRIVATE skylane_detect skylane_control skylane_config
                                             skylane_hal_camera
                                             skylane_sim PkgConfig::CJSON)
  target_compile_definitions(detect_truth PRIVATE SL_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  set_target_properties(detect_truth PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endif()
