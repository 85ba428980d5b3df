# Builds for arm64 Debian 13 (Raspberry Pi OS likewise) on another machine, with
# clang, lld and a folder that holds Debian's arm64 packages:
#
#   cmake --preset aarch64 && cmake --build --preset aarch64
#
# tests/target/sysroot makes such a folder and is where this file looks; another
# can be named with -DSL_SYSROOT=DIR. gcc of Debian 12 can not link against
# libraries of Debian 13, clang can, since it brings no libc of its own.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)

if(NOT SL_SYSROOT)
  if(DEFINED ENV{SKYLANE_CACHE})
    set(SL_SYSROOT $ENV{SKYLANE_CACHE}/sysroot)
  elseif(DEFINED ENV{XDG_CACHE_HOME})
    set(SL_SYSROOT $ENV{XDG_CACHE_HOME}/skylane/sysroot)
  else()
    set(SL_SYSROOT $ENV{HOME}/.cache/skylane/sysroot)
  endif()
endif()
if(NOT IS_DIRECTORY ${SL_SYSROOT}/usr/include)
  message(FATAL_ERROR "There is no ${SL_SYSROOT}/usr/include; run tests/target/sysroot first")
endif()
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES SL_SYSROOT)

set(CMAKE_SYSROOT ${SL_SYSROOT})
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
foreach(language C CXX)
  set(CMAKE_${language}_COMPILER_TARGET aarch64-linux-gnu)
endforeach()
set(CMAKE_C_COMPILER clang)
set(CMAKE_CXX_COMPILER clang++)
foreach(kind EXE SHARED MODULE)
  set(CMAKE_${kind}_LINKER_FLAGS_INIT "-fuse-ld=lld -Wno-unused-command-line-argument")
endforeach()
# clang 14 of Debian 12 crashes where it vectorizes sums of floats in order;
# without this such sums stay scalar.
set(CMAKE_C_FLAGS_INIT "-mllvm -force-ordered-reductions=false")
set(CMAKE_CXX_FLAGS_INIT "${CMAKE_C_FLAGS_INIT}")

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
foreach(kind LIBRARY INCLUDE PACKAGE)
  set(CMAKE_FIND_ROOT_PATH_MODE_${kind} ONLY)
endforeach()
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${CMAKE_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR}
    ${CMAKE_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${CMAKE_SYSROOT}/usr/share/pkgconfig)
