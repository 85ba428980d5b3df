# A vehicle that has its detection done on another machine.
sl_test(detect_source_test unit/detect_source_test.c skylane_drive)
sl_test(remote_lane_test unit/remote_lane_test.c skylane_drive m)
set_tests_properties(detect_source_test remote_lane_test PROPERTIES LABELS one_thread)

# With a server that this test is: any answer, and what becomes of it.
sl_test(detect_remote_test integration/detect_remote_test.c skylane_test_programs skylane_net
        PkgConfig::CJSON PkgConfig::ZMQ)
add_dependencies(detect_remote_test skylane-run)
set_tests_properties(detect_remote_test PROPERTIES TIMEOUT 300 PROCESSORS 2)

# With the real one, killed and stopped while the vehicle drives.
sl_test(detect_remote_drive_test integration/detect_remote_drive_test.c skylane_test_programs
        PkgConfig::CJSON)
add_dependencies(detect_remote_drive_test skylane-detect skylane-run skylane-sim)
set_tests_properties(detect_remote_drive_test PROPERTIES TIMEOUT 300 PROCESSORS 2 LABELS timing)
