# Who may talk to the vehicle: keys, connections, pairing.
sl_test(keys_test unit/keys_test.c skylane_net PkgConfig::ZMQ)
sl_test(zap_test unit/zap_test.c skylane_net PkgConfig::ZMQ)
sl_test(pairing_test unit/pairing_test.c skylane_net PkgConfig::SODIUM)
sl_test(zmq_link_test unit/zmq_link_test.c skylane_net PkgConfig::ZMQ)
sl_test(pair_test integration/pair_test.c skylane_test_programs skylane_net PkgConfig::ZMQ
        PkgConfig::SODIUM)
add_dependencies(pair_test skylane-pair)

# The corpus is an ordinary test; see hal.cmake for the fuzzers.
add_executable(pairing_corpus_test fuzz/image_replay.c fuzz/pairing_fuzz.c)
target_link_libraries(pairing_corpus_test PRIVATE skylane_net)
target_compile_definitions(pairing_corpus_test PRIVATE SL_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
set_target_properties(pairing_corpus_test PROPERTIES
                      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_test(NAME pairing_corpus_test
         COMMAND pairing_corpus_test ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/pairing)
set_tests_properties(keys_test pairing_test pairing_corpus_test PROPERTIES LABELS one_thread)
if(SL_FUZZ)
  add_executable(pairing_fuzz fuzz/pairing_fuzz.c ${CMAKE_SOURCE_DIR}/net/pairing_wire.c
                 ${CMAKE_SOURCE_DIR}/net/keys.c ${CMAKE_SOURCE_DIR}/net/role.c
                 ${CMAKE_SOURCE_DIR}/rt/outfile.c
                 ${CMAKE_SOURCE_DIR}/rt/error.c)
  target_include_directories(pairing_fuzz PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(pairing_fuzz PRIVATE PkgConfig::ZMQ PkgConfig::SODIUM)
  target_compile_options(pairing_fuzz PRIVATE -fsanitize=fuzzer,address,undefined
                         -fno-sanitize-recover=all)
  target_link_options(pairing_fuzz PRIVATE -fsanitize=fuzzer,address,undefined)
endif()

sl_test(access_test integration/access_test.c skylane_test_programs skylane_net PkgConfig::CJSON
        PkgConfig::ZMQ)
add_dependencies(access_test skylane-net skylane-detect)
set_tests_properties(access_test PROPERTIES TIMEOUT 300)
