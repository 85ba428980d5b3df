sl_test(bus_test unit/bus_test.c skylane_rt)
sl_test(bus_life_test unit/bus_life_test.c skylane_rt)
sl_test(child_test unit/child_test.c skylane_rt)
sl_test(runtime_test unit/runtime_test.c skylane_rt skylane_rt_guard)
sl_test(outfile_test unit/outfile_test.c skylane_rt)
set_tests_properties(outfile_test PROPERTIES LABELS one_thread)

# The build itself keeps includes to the design's direction: a file that has
# only rt's include path can not reach what lies above it.
foreach(above app/detect/detect.h app/control/control.h hal/camera/camera.h net/jpeg.h
              tools/sim/world.h)
  string(REPLACE "/" "_" label ${above})
  file(WRITE ${CMAKE_BINARY_DIR}/direction/${label}.c
       "#include \"rt/bus.h\"\n#if __has_include(\"${above}\")\n#error \"${above} is in reach\"\n#endif\nint main(void) { return 0; }\n")
  add_executable(direction_${label} EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/direction/${label}.c)
  target_link_libraries(direction_${label} PRIVATE skylane_rt)
  add_test(NAME direction_${label}
           COMMAND ${CMAKE_COMMAND} --build ${CMAKE_BINARY_DIR} --target direction_${label})
  set_tests_properties(direction_${label} PROPERTIES RESOURCE_LOCK build)
endforeach()
