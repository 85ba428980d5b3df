# Watching and commanding over the network.
sl_test(action_gate_test unit/action_gate_test.c skylane_net)
sl_test(pace_test unit/pace_test.c skylane_net m)

# The corpus is an ordinary test; see hal.cmake for the fuzzers.
add_executable(action_corpus_test fuzz/image_replay.c fuzz/action_fuzz.c)
target_link_libraries(action_corpus_test PRIVATE skylane_net)
target_compile_definitions(action_corpus_test PRIVATE SL_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
set_target_properties(action_corpus_test PROPERTIES
                      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_test(NAME action_corpus_test
         COMMAND action_corpus_test ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/action)
set_tests_properties(action_gate_test action_corpus_test pace_test PROPERTIES LABELS one_thread)
if(SL_FUZZ)
  add_executable(action_fuzz fuzz/action_fuzz.c ${CMAKE_SOURCE_DIR}/net/action_gate.c)
  target_include_directories(action_fuzz PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(action_fuzz PRIVATE PkgConfig::CJSON m)
  target_compile_options(action_fuzz PRIVATE -fsanitize=fuzzer,address,undefined
                         -fno-sanitize-recover=all)
  target_link_options(action_fuzz PRIVATE -fsanitize=fuzzer,address,undefined)
endif()

sl_test(network_test integration/network_test.c skylane_test_programs skylane_net skylane_hal_camera
        PkgConfig::CJSON PkgConfig::ZMQ)
add_dependencies(network_test skylane-net skylane-run skylane-sim)
# They drive in real time, which sanitizers are too slow for.
set_tests_properties(network_test PROPERTIES TIMEOUT 600 PROCESSORS 2 LABELS timing)

# Needs network namespaces: skipped where they may not be made. It takes two minutes.
if(TARGET skylane-view)
  add_test(NAME link_test
           COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/integration/link_test --bin ${CMAKE_BINARY_DIR}/bin)
  set_tests_properties(link_test PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300 PROCESSORS 2
                       LABELS timing)
endif()
