# Hardware outputs: pulses, wires, the helper process, faults.
sl_test(actuator_pulse_test unit/actuator_pulse_test.c skylane_hal_actuator)
sl_test(actuator_lines_test unit/actuator_lines_test.c skylane_hal_actuator)
sl_test(actuator_outputs_test contract/actuator_outputs_test.c skylane_hal_actuator
        skylane_test_devices skylane_test_programs)
set_tests_properties(actuator_pulse_test actuator_lines_test PROPERTIES LABELS one_thread)
set_tests_properties(actuator_outputs_test PROPERTIES LABELS timing RUN_SERIAL ON)

# A program's helper is looked for beside it.
add_dependencies(actuator_outputs_test skylane-actuator)
file(CREATE_LINK ${CMAKE_BINARY_DIR}/bin/skylane-actuator
     ${CMAKE_BINARY_DIR}/tests/skylane-actuator SYMBOLIC)

sl_test(calibrate_steering_test integration/calibrate_steering_test.c skylane_config m)
add_dependencies(calibrate_steering_test skylane-calibrate)
set_tests_properties(calibrate_steering_test PROPERTIES LABELS one_thread)

# The corpus is an ordinary test; see hal.cmake for the fuzzers.
add_executable(outputs_corpus_test fuzz/image_replay.c fuzz/outputs_fuzz.c)
target_link_libraries(outputs_corpus_test PRIVATE skylane_hal_actuator)
target_compile_definitions(outputs_corpus_test PRIVATE SL_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
set_target_properties(outputs_corpus_test PROPERTIES
                      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_test(NAME outputs_corpus_test
         COMMAND outputs_corpus_test ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/outputs)
set_tests_properties(outputs_corpus_test PROPERTIES LABELS one_thread)
if(SL_FUZZ)
  add_executable(outputs_fuzz fuzz/outputs_fuzz.c ${CMAKE_SOURCE_DIR}/hal/actuator/serial_line.c
                 ${CMAKE_SOURCE_DIR}/hal/actuator/vesc_packet.c)
  target_include_directories(outputs_fuzz PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_options(outputs_fuzz PRIVATE -fsanitize=fuzzer,address,undefined
                         -fno-sanitize-recover=all)
  target_link_options(outputs_fuzz PRIVATE -fsanitize=fuzzer,address,undefined)
  target_link_libraries(outputs_fuzz PRIVATE m)
endif()
