# What `cmake --install` puts where, and the Debian package: `cpack -G DEB` in the build tree of the
# preset "release".
include(GNUInstallDirs)

find_program(GZIP gzip REQUIRED)
set(debian ${PROJECT_SOURCE_DIR}/conf/debian)
set(made ${PROJECT_BINARY_DIR}/package)
file(MAKE_DIRECTORY ${made})

# The date of the version, for the manual: 2026-11-28.
math(EXPR month "100 + ${TALLYGATE_MONTH}")
string(SUBSTRING ${month} 1 2 month)
math(EXPR day "100 + ${TALLYGATE_DAY}")
string(SUBSTRING ${day} 1 2 day)

add_custom_command(OUTPUT ${made}/tallygate.1 ${made}/tallygate.toml.5 ${made}/tallygate.bash
  COMMAND tallygate_manual ${made} ${TALLYGATE_YEAR}-${month}-${day}
  DEPENDS tallygate_manual ${debian}/changelog)
foreach(page tallygate.1 tallygate.toml.5)
  add_custom_command(OUTPUT ${made}/${page}.gz COMMAND ${GZIP} -9nc ${page} > ${page}.gz
    DEPENDS ${made}/${page} WORKING_DIRECTORY ${made})
endforeach()
add_custom_command(OUTPUT ${made}/changelog.Debian.gz
  COMMAND ${GZIP} -9nc ${debian}/changelog > changelog.Debian.gz
  DEPENDS ${debian}/changelog WORKING_DIRECTORY ${made})
add_custom_target(package_files ALL
  DEPENDS ${made}/tallygate.1.gz ${made}/tallygate.toml.5.gz ${made}/changelog.Debian.gz)

# The settings as they are installed: every one at its default, and where the package has made the
# two that have none.
file(READ ${PROJECT_SOURCE_DIR}/conf/tallygate.toml settings)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/conf/tallygate.toml)
foreach(setting "root = \"/srv/downloads\"" "keyring = \"/etc/tallygate/keyring.toml\"")
  string(FIND "${settings}" "\n#${setting}\n" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "conf/tallygate.toml has no line #${setting}")
  endif()
  string(REPLACE "\n#${setting}\n" "\n${setting}\n" settings "${settings}")
endforeach()
file(WRITE ${made}/tallygate.toml "${settings}")

install(TARGETS tallygate)
install(FILES ${made}/tallygate.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${made}/tallygate.toml.5.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES ${made}/tallygate.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
  RENAME tallygate)
install(FILES ${debian}/copyright README.md ${made}/changelog.Debian.gz
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/tallygate)
install(DIRECTORY conf/ DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/tallygate/examples
  PATTERN debian EXCLUDE PATTERN logrotate EXCLUDE PATTERN "*.sh" EXCLUDE PATTERN package.cmake EXCLUDE)
# Absolute: systemd and the service look there, whatever the prefix is.
install(FILES systemd/tallygate.service systemd/tallygate.socket DESTINATION /lib/systemd/system)
install(FILES systemd/tallygate.sysusers DESTINATION /usr/lib/sysusers.d RENAME tallygate.conf)
install(FILES systemd/tallygate.tmpfiles DESTINATION /usr/lib/tmpfiles.d RENAME tallygate.conf)
install(FILES ${made}/tallygate.toml DESTINATION /etc/tallygate)
set(conffiles "/etc/tallygate/tallygate.toml\n")
if(EXISTS ${PROJECT_SOURCE_DIR}/conf/logrotate/tallygate)
  install(FILES conf/logrotate/tallygate DESTINATION /etc/logrotate.d)
  string(APPEND conffiles "/etc/logrotate.d/tallygate\n")
endif()
file(WRITE ${made}/conffiles "${conffiles}")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME tallygate)
set(CPACK_PACKAGE_CONTACT "tallygate authors <packages@tallygate.example>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "download edge for shops: signed links, exact counts")
set(CPACK_PACKAGE_DESCRIPTION
"tallygate serves the files that a shop sells. It checks HMAC-signed, expiring
links, keeps an exact and durable count of the downloads of each link, streams
large files with ranges, and keeps the counts and the history in step with the
shop's database: SQLite, PostgreSQL or MariaDB, its own tables or those of
WooCommerce, PrestaShop and Magento.")
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
  WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION httpd)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS
  "systemd | systemd-standalone-sysusers, systemd | systemd-standalone-tmpfiles")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS media-types)  # types of files
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  ${made}/conffiles ${debian}/postinst ${debian}/prerm ${debian}/postrm)
include(CPack)
