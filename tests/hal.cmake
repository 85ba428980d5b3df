# Cameras, actuators, pictures, frames.
sl_test(frame_check_test unit/frame_check_test.c skylane_rt)
sl_test(image_decode_test unit/image_decode_test.c skylane_hal_camera PkgConfig::JPEG)
sl_test(jpeg_encode_test unit/jpeg_encode_test.c skylane_net skylane_hal_camera)
sl_test(shrink_test unit/shrink_test.c skylane_net skylane_hal_camera)

# What is at the other end of hardware outputs.
sl_folder(skylane_test_devices tests/contract contract/output_peers.c contract/i2c_stub.c)
target_link_libraries(skylane_test_devices PUBLIC skylane_hal_actuator)

# One test a table, over every driver. The linker sends allocations to the
# tests' counters.
sl_test(camera_contract_test contract/camera_contract_test.c skylane_hal_camera skylane_net
        skylane_test_devices)
sl_test(actuator_contract_test contract/actuator_contract_test.c skylane_hal_actuator
        skylane_test_devices)
foreach(name camera_contract_test actuator_contract_test)
  target_link_options(${name} PRIVATE LINKER:--wrap=malloc,--wrap=calloc,--wrap=realloc)
endforeach()
add_dependencies(actuator_contract_test skylane-actuator)
sl_test(camera_fault_test contract/camera_fault_test.c skylane_hal_camera)
sl_test(actuator_fault_test contract/actuator_fault_test.c skylane_hal_actuator)

# Fuzzing: the corpus is an ordinary test; the fuzzer itself needs clang. It
# compiles what it tests anew, with its own instruments.
option(SL_FUZZ "Build the fuzzers (clang with libFuzzer)" OFF)
sl_test(image_corpus_test fuzz/image_replay.c skylane_hal_camera)
target_sources(image_corpus_test PRIVATE fuzz/image_fuzz.c)
if(SL_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "SL_FUZZ needs clang: configure with -DCMAKE_C_COMPILER=clang")
  endif()
  add_executable(image_fuzz fuzz/image_fuzz.c ${CMAKE_SOURCE_DIR}/hal/camera/image.c
                 ${CMAKE_SOURCE_DIR}/rt/frame.c ${CMAKE_SOURCE_DIR}/rt/error.c)
  target_include_directories(image_fuzz PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_options(image_fuzz PRIVATE -fsanitize=fuzzer,address,undefined
                         -fno-sanitize-recover=all)
  target_link_options(image_fuzz PRIVATE -fsanitize=fuzzer,address,undefined)
  target_link_libraries(image_fuzz PRIVATE PkgConfig::JPEG)
endif()
