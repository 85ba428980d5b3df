# skylane bus, the program.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
sl_test(bus_cli_test integration/bus_cli_test.c skylane_test_programs skylane_rt PkgConfig::CJSON)
sl_test(bus_dump_test integration/bus_dump_test.c skylane_test_programs skylane_rt
        skylane_hal_camera PkgConfig::CJSON)
add_dependencies(bus_cli_test skylane-bus)
add_dependencies(bus_dump_test skylane-bus)
target_compile_definitions(bus_dump_test PRIVATE SL_PYTHON="${Python3_EXECUTABLE}")
