# What makes a vehicle watchable starts by itself.
sl_test(watch_test integration/watch_test.c skylane_test_programs skylane_rt)
add_dependencies(watch_test skylane-net skylane-run skylane-sim)
if(TARGET skylane-view)
  add_dependencies(watch_test skylane-view)
endif()
# It drives in real time, which sanitizers are too slow for.
set_tests_properties(watch_test PROPERTIES TIMEOUT 600 PROCESSORS 2 LABELS timing)
