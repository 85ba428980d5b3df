# "skylane bus bench" works. How fast the bus is, is nothing for a test.
sl_test(bus_bench_test bench/bus_bench_test.c PkgConfig::CJSON m)
add_dependencies(bus_bench_test skylane-bus)
# Hundreds of processes would only measure the other tests.
set_tests_properties(bus_bench_test PROPERTIES RUN_SERIAL ON)

# What one would pick instead of the bus, measured by the same loops. Built where
# it is installed; bus_compare runs it, and says what to install where it is not.
find_package(iceoryx_binding_c QUIET)
if(TARGET iceoryx_binding_c::iceoryx_binding_c)
  add_executable(bus_iceoryx bench/bus_iceoryx.c)
  target_link_libraries(bus_iceoryx PRIVATE skylane_bus_tool iceoryx_binding_c::iceoryx_binding_c)
  list(APPEND bus_peers bus_iceoryx)
endif()

pkg_check_modules(ZMQ QUIET IMPORTED_TARGET libzmq)
if(ZMQ_FOUND)
  add_executable(bus_zmq bench/bus_zmq.c)
  target_link_libraries(bus_zmq PRIVATE skylane_bus_tool PkgConfig::ZMQ)
  list(APPEND bus_peers bus_zmq)
endif()

if(bus_peers)
  set_target_properties(${bus_peers} PROPERTIES
                        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endif()
