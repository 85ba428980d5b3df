sl_test(sim_exact_test unit/sim_exact_test.c skylane_sim)
sl_test(sim_track_test unit/sim_track_test.c skylane_sim)
sl_test(sim_vehicle_test unit/sim_vehicle_test.c skylane_sim)
sl_test(sim_render_test unit/sim_render_test.c skylane_sim)
sl_test(sim_world_test unit/sim_world_test.c skylane_sim)

# Run by hand: prints what a frame costs.
add_executable(render_bench bench/render_bench.c)
target_link_libraries(render_bench PRIVATE skylane_sim)
target_compile_definitions(render_bench PRIVATE SL_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
set_target_properties(render_bench PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
