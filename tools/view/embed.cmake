# Writes a C file that holds the page's files:
#   cmake -DROOT=page -DOUT=page_files.c -DFILES="index.html;app.js" -P embed.cmake
set(arrays "")
set(rows "")
set(number 0)
foreach(file ${FILES})
  file(READ ${ROOT}/${file} hex HEX)
  string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  get_filename_component(extension ${file} LAST_EXT)
  if(extension STREQUAL ".html")
    set(type "text/html; charset=utf-8")
  elseif(extension STREQUAL ".js")
    set(type "text/javascript; charset=utf-8")
  elseif(extension STREQUAL ".css")
    set(type "text/css; charset=utf-8")
  elseif(extension STREQUAL ".svg")
    set(type "image/svg+xml")
  else()
    set(type "text/plain; charset=utf-8")
  endif()
  string(APPEND arrays "static const unsigned char FILE_${number}[] = {\n${bytes}\n};\n")
  string(APPEND rows
         "    {\"/${file}\", \"${type}\", FILE_${number}, sizeof FILE_${number}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUT} "/* Written by embed.cmake. */\n#include \"tools/view/page.h\"\n\n${arrays}\n"
     "const struct view_page_file VIEW_PAGE_FILES[] = {\n${rows}};\n"
     "const size_t VIEW_PAGE_FILE_COUNT = ${number};\n")
