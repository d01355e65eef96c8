# The date of the version: TALLYGATE_YEAR, _MONTH, _DAY, from the newest entry of the Debian package's
# changelog ("… Sat, 28 Nov 2026 12:00:00 +0000"). So the same tree makes the same program and manual.
file(STRINGS ${CMAKE_CURRENT_LIST_DIR}/debian/changelog signed REGEX "^ -- " LIMIT_COUNT 1)
string(REGEX MATCH "([0-9]+) ([A-Z][a-z][a-z]) ([0-9]+) [0-9:]+ [+-][0-9]+$" signed "${signed}")
set(TALLYGATE_DAY ${CMAKE_MATCH_1})
set(TALLYGATE_YEAR ${CMAKE_MATCH_3})
string(FIND "JanFebMarAprMayJunJulAugSepOctNovDec" "${CMAKE_MATCH_2}" month)
math(EXPR TALLYGATE_MONTH "1 + ${month} / 3")
string(REGEX REPLACE "^0" "" TALLYGATE_DAY "${TALLYGATE_DAY}")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
  ${CMAKE_CURRENT_LIST_DIR}/debian/changelog)

# A server refuses to believe a clock from before this date. What is built where the clock is itself
# earlier has to believe that one.
math(EXPR date "${TALLYGATE_YEAR} * 10000 + ${TALLYGATE_MONTH} * 100 + ${TALLYGATE_DAY}")
string(TIMESTAMP today "%Y%m%d" UTC)
if(today LESS date)
  message(WARNING "this machine's clock is before the date of the version")
  string(TIMESTAMP TALLYGATE_YEAR "%Y" UTC)
  string(TIMESTAMP TALLYGATE_MONTH "%m" UTC)
  string(TIMESTAMP TALLYGATE_DAY "%d" UTC)
  string(REGEX REPLACE "^0" "" TALLYGATE_MONTH "${TALLYGATE_MONTH}")
  string(REGEX REPLACE "^0" "" TALLYGATE_DAY "${TALLYGATE_DAY}")
endif()
