# Makes OUTPUT, the source of page_assets(), from the FILES (with commas in between) in the FOLDER of
# the live page:
#   cmake -DOUTPUT=page_assets.cc -DFOLDER=page -DFILES=index.html,page.js -P embed_page.cmake
# "index.html" is served as "/", "login.html" as "/login", "modules/api.js" as "/modules/api.js".
set(type_of_html "text/html; charset=utf-8")
set(type_of_css "text/css; charset=utf-8")
set(type_of_js "text/javascript; charset=utf-8")

string(REPLACE "," ";" files "${FILES}")
set(rows "")
foreach(file IN LISTS files)
  string(REGEX REPLACE "^.*\\." "" ending "${file}")
  string(REGEX REPLACE "\\.html$" "" path "/${file}")
  if(path STREQUAL "/index")
    set(path "/")
  endif()
  file(READ "${FOLDER}/${file}" body)
  string(FIND "${body}" ")page\"" end)
  if(NOT end EQUAL -1)
    message(FATAL_ERROR "${file}: has what ends a literal")
  endif()
  string(APPEND rows "    {\"${path}\", \"${type_of_${ending}}\", R\"page(${body})page\"},\n")
endforeach()
file(WRITE "${OUTPUT}" "// Made by embed_page.cmake.
#include <array>

#include \"server/admin/page.h\"

namespace tallygate::admin {
namespace {

constexpr Asset kAssets[] = {
${rows}};

}  // namespace

std::span<const Asset> page_assets() {
  return kAssets;
}

}  // namespace tallygate::admin
")
