# The bus's protocol, exhaustively. It runs no code of ours, so that sanitizers
# have nothing to see.
if(NOT SL_SANITIZE)
  add_test(NAME model_test COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/model/check)
  set_tests_properties(model_test PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 1200 LABELS one_thread)
endif()
