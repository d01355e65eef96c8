# Fuzz targets, each for a few seconds: clang builds its few sources by itself, beside this build.
# Only in the plain debug build; 77: there is no clang with libFuzzer here, and it says so.
function(tallygate_fuzz name)
  add_test(NAME fuzz.${name}
    COMMAND ${PROJECT_SOURCE_DIR}/tests/fuzz/fuzz.sh ${name} ${CMAKE_BINARY_DIR}/fuzz/${name} 20)
  set_tests_properties(fuzz.${name} PROPERTIES TIMEOUT 900 SKIP_RETURN_CODE 77)
endfunction()

if(CMAKE_BUILD_TYPE STREQUAL "Debug" AND NOT TALLYGATE_SANITIZE)
  tallygate_fuzz(ledger_reader)
  tallygate_fuzz(proxy_protocol)
  tallygate_fuzz(forwarded)
endif()
