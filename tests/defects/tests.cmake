# Defects planted in the product: does anybody notice? Debug builds only; sanitizers would take too long.
if(CMAKE_BUILD_TYPE STREQUAL "Debug" AND NOT TALLYGATE_SANITIZE)
  include(ProcessorCount)
  ProcessorCount(processors)
  add_test(NAME defects
    COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tests/defects/planted_defects.py ${CMAKE_BINARY_DIR})
  set_tests_properties(defects PROPERTIES TIMEOUT 900 PROCESSORS ${processors}
    ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1;${TALLYGATE_TEST_ENVIRONMENT}")
endif()
