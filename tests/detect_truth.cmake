# What stands beside the detector: plain C beside vectors, and the truth.
sl_test(motion_test unit/motion_test.c skylane_detect)
sl_test(detect_track_test unit/detect_track_test.c skylane_detect)
sl_test(detect_instructions_test unit/detect_instructions_test.c skylane_detect)
set_tests_properties(detect_instructions_test PROPERTIES LABELS one_thread)
if(TARGET skylane_sim)
  set(truth bench/detect_drives.c bench/detect_labels.c
            ${CMAKE_SOURCE_DIR}/app/programs/detect_calibration.c)
  function(sl_truth_program name)
    add_executable(${name} ${ARGN} ${truth})
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
    target_link_libraries(${name} PRIVATE skylane_detect skylane_control skylane_config
                                          skylane_hal_camera skylane_sim PkgConfig::CJSON)
    target_compile_definitions(${name} PRIVATE SL_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  endfunction()
  sl_truth_program(detect_truth bench/detect_truth.c)

  # A copy of the detector whose parameters are variables: only for leave_one_out,
  # which builds it.
  set(tuned ${CMAKE_CURRENT_BINARY_DIR}/tuned)
  set(leave_one_out ${CMAKE_CURRENT_SOURCE_DIR}/bench/leave_one_out)
  file(GLOB detect_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/app/detect/*)
  set(tuned_sources)
  foreach(source IN LISTS detect_sources)
    cmake_path(GET source FILENAME file)
    list(APPEND tuned_files ${tuned}/app/detect/${file})
    if(file MATCHES "[.]c$" AND NOT file MATCHES "^row_")
      list(APPEND tuned_sources ${tuned}/app/detect/${file})
    endif()
  endforeach()
  add_custom_command(OUTPUT ${tuned_files} ${tuned}/tuned.h
                     COMMAND ${leave_one_out} --sources ${CMAKE_SOURCE_DIR}/app/detect ${tuned}
                     DEPENDS ${leave_one_out} ${detect_sources} VERBATIM)
  sl_truth_program(detect_tuned bench/detect_tuned.c ${tuned_sources} ${tuned}/tuned.h)
  target_include_directories(detect_tuned BEFORE PRIVATE ${tuned})
  set_target_properties(detect_tuned PROPERTIES EXCLUDE_FROM_ALL TRUE)
endif()
