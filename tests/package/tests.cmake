# What the package brings besides the program; only where the build makes it (conf/package.cmake).
if(TALLYGATE_SANITIZE)
  return()
endif()
foreach(name units manual hardening package)
  add_test(NAME package.${name} COMMAND ${Python3_EXECUTABLE} ${name}_test.py
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}/tests/package)
  set_tests_properties(package.${name} PROPERTIES TIMEOUT 900 SKIP_RETURN_CODE 77
    ENVIRONMENT "TALLYGATE_BUILD=${PROJECT_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1")
endforeach()
