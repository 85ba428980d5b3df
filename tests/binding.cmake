# The shared library, its header, and the Python package: as other people's
# programs use them.
add_executable(abi_test binding/abi_test.c)
target_link_libraries(abi_test PRIVATE skylane_bus_shared)
set_target_properties(abi_test PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_test(NAME abi_test COMMAND abi_test)
set_tests_properties(abi_test PROPERTIES SKIP_RETURN_CODE 77)

add_test(NAME abi_symbols
         COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/binding/abi_symbols
                 $<TARGET_FILE:skylane_bus_shared> ${CMAKE_BINARY_DIR}/api/skylane/bus.h)

# Programs built without sanitizers can not load a library built with them;
# what these tests call is tested under sanitizers from C.
if(NOT SL_SANITIZE)
  # Debian's numpy belongs to Debian's python3, not to any that a user put
  # before it.
  find_program(SL_NUMPY_PYTHON NAMES python3 PATHS /usr/bin NO_DEFAULT_PATH)
  if(NOT SL_NUMPY_PYTHON)
    find_package(Python3 REQUIRED COMPONENTS Interpreter)
    set(SL_NUMPY_PYTHON ${Python3_EXECUTABLE})
  endif()
  set(python_environment
      PYTHONPATH=${CMAKE_SOURCE_DIR}/tools/python PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=error::DeprecationWarning
      SKYLANE_LIB=$<TARGET_FILE:skylane_bus_shared>)

  add_test(NAME binding_install_test
           COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/binding/install_test.sh ${CMAKE_BINARY_DIR}
                   ${SL_NUMPY_PYTHON})
  add_test(NAME python_test
           COMMAND ${SL_NUMPY_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/binding/python_test.py
                   $<TARGET_FILE:abi_test>)
  add_test(NAME python_drive_test
           COMMAND ${SL_NUMPY_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/binding/python_drive_test
                   ${CMAKE_BINARY_DIR}/bin)
  set_tests_properties(binding_install_test PROPERTIES TIMEOUT 300)
  set_tests_properties(python_test PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77
                       ENVIRONMENT "${python_environment}")
  set_tests_properties(python_drive_test PROPERTIES TIMEOUT 600 PROCESSORS 2 SKIP_RETURN_CODE 77
                       ENVIRONMENT "${python_environment}")
endif()
