# The bus under torture: real processes, killed and stopped at random.
set(parties torture/parties.c torture/pattern.c torture/reader.c torture/writer.c)
add_executable(bus_torture torture/bus_torture.c ${parties})
add_executable(bus_kill torture/bus_kill.c torture/floor.c ${parties})
foreach(name bus_torture bus_kill)
  target_link_libraries(${name} PRIVATE skylane_rt)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endforeach()

# The protocol alone, between threads: for ThreadSanitizer above all, which
# can not look into other processes.
sl_test(ring_threads_test torture/ring_threads_test.c skylane_rt)

if(NOT SL_SANITIZE)
  add_test(NAME torture_test COMMAND bus_torture --reads 10000000)
  add_test(NAME kill_test COMMAND bus_kill --kills 500)
  # They load both cores, and one of them judges times.
  set_tests_properties(torture_test kill_test PROPERTIES RUN_SERIAL ON LABELS timing TIMEOUT 600)
  add_test(NAME aarch64_torture_test
           COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/torture/on_aarch64 --reads 300000)
  set_tests_properties(aarch64_torture_test PROPERTIES SKIP_RETURN_CODE 77 PROCESSORS 2
                       TIMEOUT 300)
elseif(NOT SL_SANITIZE MATCHES "thread")
  # Slower, and with a leak checker at every end: for what it finds, not for
  # its times.
  add_test(NAME torture_test COMMAND bus_torture --reads 300000 --recover-ms 30000)
  add_test(NAME kill_test COMMAND bus_kill --kills 60 --bound-ms 5000)
  set_tests_properties(torture_test kill_test PROPERTIES PROCESSORS 2 TIMEOUT 300)
endif()
