# Lane detection: geometry, the detector on painted and rendered roads, the
# offline command, and the footage where it is at hand.
sl_test(detect_camera_test unit/detect_camera_test.c skylane_detect)
sl_test(detect_test unit/detect_test.c skylane_detect)
sl_test(detect_offline_test unit/detect_offline_test.c skylane_detect PkgConfig::CJSON)
add_dependencies(detect_offline_test skylane-detect)

# Fuzzing: as in hal.cmake. The fuzzer compiles the detector anew, with its own
# instruments, but each instruction set's source as the library does.
sl_test(detect_corpus_test fuzz/detect_replay.c skylane_detect)
target_sources(detect_corpus_test PRIVATE fuzz/detect_fuzz.c)
set_tests_properties(detect_corpus_test PROPERTIES LABELS one_thread)
# The file camera's video, which skylane-detect reads; replayed as pictures are.
add_executable(y4m_corpus_test fuzz/image_replay.c fuzz/y4m_fuzz.c)
target_link_libraries(y4m_corpus_test PRIVATE skylane_hal_camera)
target_compile_definitions(y4m_corpus_test PRIVATE SL_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
set_target_properties(y4m_corpus_test PROPERTIES
                      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_test(NAME y4m_corpus_test COMMAND y4m_corpus_test ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/y4m)
set_tests_properties(y4m_corpus_test PROPERTIES LABELS one_thread)
if(SL_FUZZ AND CMAKE_C_COMPILER_ID MATCHES "Clang")
  file(GLOB detect_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/app/detect/*.c)
  set_source_files_properties(${CMAKE_SOURCE_DIR}/app/detect/row_sse41.c PROPERTIES
                              COMPILE_OPTIONS "$<$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},x86_64>:-msse4.1>")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/app/detect/row_avx2.c PROPERTIES
                              COMPILE_OPTIONS "$<$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},x86_64>:-mavx2>")
  add_executable(detect_fuzz fuzz/detect_fuzz.c ${detect_sources} ${CMAKE_SOURCE_DIR}/rt/frame.c
                 ${CMAKE_SOURCE_DIR}/rt/error.c)
  add_executable(y4m_fuzz fuzz/y4m_fuzz.c ${CMAKE_SOURCE_DIR}/hal/camera/y4m.c
                 ${CMAKE_SOURCE_DIR}/rt/frame.c ${CMAKE_SOURCE_DIR}/rt/error.c
                 ${CMAKE_SOURCE_DIR}/rt/clock.c)
  foreach(name detect_fuzz y4m_fuzz)
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer,address,undefined
                           -fno-sanitize-recover=all)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer,address,undefined)
    target_link_libraries(${name} PRIVATE m)
  endforeach()
endif()

if(TARGET skylane_sim)
  sl_test(detect_sim_test unit/detect_sim_test.c skylane_detect skylane_sim)
endif()

add_test(NAME roads_test COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/integration/roads_test.sh
                                 $<TARGET_FILE:skylane-detect> ${CMAKE_SOURCE_DIR})
set_tests_properties(roads_test PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)

# How fast it is: run by hand. detect_bench measures times, beside OpenCV's where
# that is installed; detect_instructions counts with detect_count.
if(TARGET skylane_sim)
  add_library(detect_bench_frames STATIC bench/detect_frames.c bench/detect_scenes.c
              ${CMAKE_SOURCE_DIR}/app/programs/detect_calibration.c)
  target_link_libraries(detect_bench_frames PUBLIC skylane_detect PRIVATE skylane_sim skylane_config
                        skylane_hal_camera PkgConfig::CJSON)
  target_include_directories(detect_bench_frames PRIVATE ${CMAKE_SOURCE_DIR}/app/programs)
  target_compile_definitions(detect_bench_frames PRIVATE SL_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  add_executable(detect_bench bench/detect_bench.c)
  target_link_libraries(detect_bench PRIVATE detect_bench_frames skylane_detect PkgConfig::CJSON)
  add_executable(detect_count bench/detect_count.c)
  target_link_libraries(detect_count PRIVATE detect_bench_frames skylane_detect)
  target_compile_definitions(detect_count PRIVATE WITH_SCENES)
  set_target_properties(detect_bench detect_count PROPERTIES
                        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)

  # Debian's imgproc package alone has neither a CMake nor a pkg-config file.
  find_path(OPENCV_INCLUDE opencv2/imgproc.hpp PATH_SUFFIXES opencv4)
  find_library(OPENCV_CORE opencv_core)
  find_library(OPENCV_IMGPROC opencv_imgproc)
  include(CheckLanguage)
  check_language(CXX)
  if(OPENCV_INCLUDE AND OPENCV_CORE AND OPENCV_IMGPROC AND CMAKE_CXX_COMPILER)
    enable_language(CXX)
    add_library(detect_opencv STATIC bench/detect_opencv.cpp)
    # Not the options for C that all else is compiled with.
    set_target_properties(detect_opencv PROPERTIES COMPILE_OPTIONS "-O2;-Wall;-Wextra;-Werror"
                          CXX_STANDARD 17)
    target_include_directories(detect_opencv SYSTEM PRIVATE ${OPENCV_INCLUDE})
    target_link_libraries(detect_opencv PUBLIC ${OPENCV_IMGPROC} ${OPENCV_CORE})
    target_compile_definitions(detect_bench PRIVATE WITH_OPENCV)
    target_link_libraries(detect_bench PRIVATE detect_opencv)
    set_target_properties(detect_bench PROPERTIES LINKER_LANGUAGE CXX)
  endif()
endif()

# What the worst picture may cost is asserted in instructions, which other tests
# beside it do not change.
if(TARGET detect_count AND NOT SL_SANITIZE AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  add_test(NAME detect_count_test
           COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/bench/detect_instructions --check --no-aarch64
                   --build ${CMAKE_BINARY_DIR})
  set_tests_properties(detect_count_test PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)
endif()
