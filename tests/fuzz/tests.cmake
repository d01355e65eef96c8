# Each target's corpus, in every build: fuzz.corpus/FuzzCorpus.<target>.
set(targets date forwarded head keyring ledger_reader proxy_protocol range request_target settings shop_row token)
list(TRANSFORM targets REPLACE "(.+)" "${PROJECT_SOURCE_DIR}/tests/fuzz/\\1_fuzz.cc"
  OUTPUT_VARIABLE sources)
add_executable(fuzz.corpus ${sources})
target_link_libraries(fuzz.corpus PRIVATE tests_precompiled date::date-tz)
target_precompile_headers(fuzz.corpus REUSE_FROM tests_precompiled)
target_compile_definitions(fuzz.corpus PRIVATE TALLYGATE_REPLAY
  TALLYGATE_CORPUS="${PROJECT_SOURCE_DIR}/tests/fuzz/corpus")
gtest_discover_tests(fuzz.corpus TEST_PREFIX fuzz.corpus/ DISCOVERY_TIMEOUT 60
  PROPERTIES TIMEOUT 300 ENVIRONMENT "${TALLYGATE_TEST_ENVIRONMENT}")

# And under libFuzzer for a few seconds, which is no search but shows that it can be made: clang
# builds the targets by itself, beside this build, and without optimization since that takes less
# time than it gives back. Only in the plain debug build; 77: there is no clang with libFuzzer here,
# and it says so.
if(CMAKE_BUILD_TYPE STREQUAL "Debug" AND NOT TALLYGATE_SANITIZE)
  set(run ${PROJECT_SOURCE_DIR}/tests/fuzz/run.sh)
  set(optimize TALLYGATE_FUZZ_OPTIMIZE=-O0)
  add_test(NAME fuzz.build COMMAND ${run} --build ${CMAKE_BINARY_DIR}/fuzz)
  set_tests_properties(fuzz.build PROPERTIES TIMEOUT 900 SKIP_RETURN_CODE 77 ENVIRONMENT ${optimize}
    FIXTURES_SETUP fuzz_targets PROCESSORS 2)
  foreach(target ${targets})
    add_test(NAME fuzz.${target} COMMAND ${run} ${target} 2 ${CMAKE_BINARY_DIR}/fuzz)
    set_tests_properties(fuzz.${target} PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77
      ENVIRONMENT ${optimize} FIXTURES_REQUIRED fuzz_targets)
  endforeach()
endif()
