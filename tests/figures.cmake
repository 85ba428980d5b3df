# What the vehicle tells of itself: figures, alerts, /metrics.
sl_test(alerts_test unit/alerts_test.c skylane_net skylane_test_programs)
set_tests_properties(alerts_test PROPERTIES LABELS one_thread)

sl_test(figures_test integration/figures_test.c skylane_test_programs skylane_net PkgConfig::CJSON
        PkgConfig::ZMQ m)
add_dependencies(figures_test skylane-net skylane-run skylane-sim)
# It drives in real time, which sanitizers are too slow for.
set_tests_properties(figures_test PROPERTIES TIMEOUT 300 PROCESSORS 2 LABELS timing)
