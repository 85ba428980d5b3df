# The whole system, closed loop, with the real programs.
sl_folder(skylane_test_programs tests/integration integration/programs.c)
target_link_libraries(skylane_test_programs PUBLIC skylane_rt PkgConfig::CMOCKA)
target_compile_definitions(skylane_test_programs PRIVATE SL_BIN_DIR="${CMAKE_BINARY_DIR}/bin")
sl_test(faults_test integration/faults_test.c skylane_test_programs skylane_rt)
add_dependencies(faults_test skylane-run skylane-sim skylane-action)
# It takes all huge pages for a moment, and its vehicle needs both cores.
set_tests_properties(faults_test PROPERTIES RUN_SERIAL ON LABELS timing)

sl_test(drive_latency_test unit/drive_latency_test.c skylane_drive skylane_test_programs)

# Short drives on every track; tests/integration/laps without options is the
# long proof.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(drives --seeds 1 --seconds 25 --repeat)
if(SL_SANITIZE) # ten times slower; what they look for shows in any drive
  set(drives --tracks city,lab --lights night --seeds 1 --seconds 5)
endif()
add_test(NAME drives_test
         COMMAND ${CMAKE_SOURCE_DIR}/tests/integration/laps --bin ${CMAKE_BINARY_DIR}/bin ${drives})
set_tests_properties(drives_test PROPERTIES TIMEOUT 900 PROCESSORS 2)

# What is installed drives as well, from another prefix and with its own files.
add_test(NAME install_test
         COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/integration/install_test.sh ${CMAKE_BINARY_DIR})
