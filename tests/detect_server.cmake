# Remote detection: its messages, its server, and drives with it.
sl_test(detect_wire_test unit/detect_wire_test.c skylane_net)

# The corpus is an ordinary test; see hal.cmake for the fuzzers.
add_executable(detect_wire_corpus_test fuzz/image_replay.c fuzz/detect_wire_fuzz.c)
target_link_libraries(detect_wire_corpus_test PRIVATE skylane_net)
target_compile_definitions(detect_wire_corpus_test PRIVATE SL_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
set_target_properties(detect_wire_corpus_test PROPERTIES
                      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_test(NAME detect_wire_corpus_test
         COMMAND detect_wire_corpus_test ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/detect_wire)
set_tests_properties(detect_wire_test detect_wire_corpus_test PROPERTIES LABELS one_thread)
if(SL_FUZZ)
  add_executable(detect_wire_fuzz fuzz/detect_wire_fuzz.c ${CMAKE_SOURCE_DIR}/net/detect_wire.c
                 ${CMAKE_SOURCE_DIR}/rt/frame.c ${CMAKE_SOURCE_DIR}/rt/error.c)
  target_include_directories(detect_wire_fuzz PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_options(detect_wire_fuzz PRIVATE -fsanitize=fuzzer,address,undefined
                         -fno-sanitize-recover=all)
  target_link_options(detect_wire_fuzz PRIVATE -fsanitize=fuzzer,address,undefined)
endif()

sl_test(detect_server_test integration/detect_server_test.c skylane_test_programs skylane_net
        skylane_config skylane_detect PkgConfig::CJSON PkgConfig::ZMQ m)
add_dependencies(detect_server_test skylane-detect skylane-run skylane-sim)
# Sanitizers draw the simulator's pictures ten times slower, and more.
if(SL_SANITIZE)
  target_compile_definitions(detect_server_test PRIVATE SL_DRIVE_SECONDS=3)
else()
  target_compile_definitions(detect_server_test PRIVATE SL_DRIVE_SECONDS=12)
endif()
set_tests_properties(detect_server_test PROPERTIES TIMEOUT 600 PROCESSORS 2)
