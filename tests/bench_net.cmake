# What watching costs: run by hand (net_bench --help). The test only sees that
# every figure is there; what they are is nothing for a test.
add_executable(net_bench bench/net_bench.c bench/net_bench_figures.c bench/net_bench_floor.c
                         bench/net_bench_peers.c bench/net_bench_vehicle.c)
target_link_libraries(net_bench PRIVATE skylane_net skylane_rt PkgConfig::CJSON PkgConfig::ZMQ m)
target_include_directories(net_bench PRIVATE ${CMAKE_SOURCE_DIR})
target_compile_definitions(net_bench PRIVATE SL_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
                           SL_BIN_DIR="${CMAKE_BINARY_DIR}/bin")
set_target_properties(net_bench PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_dependencies(net_bench skylane-net skylane-run skylane-sim)
add_test(NAME net_bench_test
         COMMAND net_bench --rounds 1 --seconds 2 --kills 2 --port 18490 --smoke)
set_tests_properties(net_bench_test PROPERTIES TIMEOUT 300 PROCESSORS 2 LABELS timing)
