# The web viewer: its parsers and arithmetic, and all of it with a fake vehicle
# and a real browser.
sl_test(view_parts_test unit/view_parts_test.c skylane_view)
sl_test(view_link_test unit/view_link_test.c skylane_view PkgConfig::ZMQ)

# The corpus is an ordinary test; see hal.cmake for the fuzzers.
add_executable(view_message_corpus_test fuzz/image_replay.c fuzz/view_message_fuzz.c)
target_link_libraries(view_message_corpus_test PRIVATE skylane_view)
target_compile_definitions(view_message_corpus_test PRIVATE SL_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
set_target_properties(view_message_corpus_test PROPERTIES
                      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_test(NAME view_message_corpus_test
         COMMAND view_message_corpus_test ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/view_message)
set_tests_properties(view_parts_test view_message_corpus_test PROPERTIES LABELS one_thread)
if(SL_FUZZ)
  add_executable(view_message_fuzz fuzz/view_message_fuzz.c
                 ${CMAKE_SOURCE_DIR}/tools/view/message.c ${CMAKE_SOURCE_DIR}/rt/error.c)
  target_include_directories(view_message_fuzz PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(view_message_fuzz PRIVATE PkgConfig::CJSON)
  target_compile_options(view_message_fuzz PRIVATE -fsanitize=fuzzer,address,undefined
                         -fno-sanitize-recover=all)
  target_link_options(view_message_fuzz PRIVATE -fsanitize=fuzzer,address,undefined)
endif()

add_test(NAME view_test
         COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/view/view_test.sh ${CMAKE_BINARY_DIR}/bin
                 ${CMAKE_BINARY_DIR}/view_test)
set_tests_properties(view_test PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300 PROCESSORS 2
                     LABELS timing)
add_test(NAME view_drive_test
         COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/view/view_test.sh ${CMAKE_BINARY_DIR}/bin
                 ${CMAKE_BINARY_DIR}/view_test --drive)
set_tests_properties(view_drive_test PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300 PROCESSORS 2
                     LABELS timing DEPENDS view_test)
