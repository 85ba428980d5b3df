# Puts the one installed header, skylane/bus.h, together from the sources' own.
#
#   cmake -DSOURCE_DIR=... -DOUTPUT=... -DVERSION=... -P amalgamate.cmake
#
# What belongs to the sources alone is left out: include guards, "rt/..."
# includes, layout checks (tests/binding/abi_test.c has them all) and what the
# shared library does not export. What is left must compile as C99 and C++11.
cmake_minimum_required(VERSION 3.22)

# A header's text without guard, includes, visibility and layout checks; its
# system headers are added to INCLUDES.
function(take path out)
  file(READ ${SOURCE_DIR}/${path} text)
  string(REGEX MATCHALL "#include <[^>\n]+>\n" includes "${text}")
  string(REGEX REPLACE "#include [^\n]+\n" "" text "${text}")
  string(REGEX REPLACE "#ifndef SL_RT_[A-Z_]+_H\n#define SL_RT_[A-Z_]+_H\n" "" text "${text}")
  string(REGEX REPLACE "\n#endif\n$" "\n" text "${text}")
  string(REGEX REPLACE "#pragma GCC visibility [^\n]+\n" "" text "${text}")
  string(REGEX REPLACE "_Static_assert\\([^;]+;\n" "" text "${text}")
  string(REGEX REPLACE "\n\n\n+" "\n\n" text "${text}")
  list(APPEND INCLUDES ${includes})
  set(INCLUDES ${INCLUDES} PARENT_SCOPE)
  set(${out} "/* ==== ${path} ==== */\n\n${text}" PARENT_SCOPE)
endfunction()

set(INCLUDES)
set(BODY "")

# Of rt/error.h the value; its functions are for who makes errors.
file(READ ${SOURCE_DIR}/rt/error.h text)
if(NOT text MATCHES "(struct sl_error {[^}]+};\n)")
  message(FATAL_ERROR "rt/error.h has no struct sl_error that amalgamate.cmake understands")
endif()
string(APPEND BODY "/* ==== rt/error.h ==== */\n\n"
       "/* What failed, in a sentence for the user. Functions that take one accept\n"
       " * NULL, and return 0 or a negative errno. */\n${CMAKE_MATCH_1}\n")

# Of rt/clock.h the units.
file(READ ${SOURCE_DIR}/rt/clock.h text)
string(REGEX MATCHALL "#define SL_NS_PER_[^\n]+\n" units "${text}")
if(NOT units)
  message(FATAL_ERROR "rt/clock.h has no SL_NS_PER_... that amalgamate.cmake understands")
endif()
string(JOIN "" units ${units})
string(APPEND BODY "/* ==== rt/clock.h ==== */\n\n${units}\n")

foreach(path rt/api/now.h rt/frame.h rt/records.h rt/bus.h)
  take(${path} text)
  string(APPEND BODY "${text}")
endforeach()

foreach(leftover "rt/[a-z_/]+\\.h\"" "_Static_assert" "SL_RT_" "__attribute__")
  if(BODY MATCHES "${leftover}")
    message(FATAL_ERROR "amalgamate.cmake left \"${CMAKE_MATCH_0}\" in skylane/bus.h")
  endif()
endforeach()

list(REMOVE_DUPLICATES INCLUDES)
list(SORT INCLUDES)
string(JOIN "" INCLUDES ${INCLUDES})
configure_file(${CMAKE_CURRENT_LIST_DIR}/bus.h.in ${OUTPUT} @ONLY)
