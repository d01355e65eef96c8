# End-to-end tests over real sockets, with Python's standard library alone. Each test has its own
# server, folder and port, so they run side by side.

# tallygate_e2e(range): tests/e2e/range_test.py becomes e2e.range. The label `sanitized` says that
# both sanitizers run the very same test (tests/run.sh).
function(tallygate_e2e name)
  add_test(NAME e2e.${name} COMMAND ${Python3_EXECUTABLE} -m unittest -v ${name}_test
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}/tests/e2e)
  set_tests_properties(e2e.${name} PROPERTIES TIMEOUT 600
    LABELS sanitized
    ENVIRONMENT "TALLYGATE=$<TARGET_FILE:tallygate>;PYTHONDONTWRITEBYTECODE=1;${TALLYGATE_TEST_ENVIRONMENT}")
endfunction()

# One that says nothing about the server's own memory and threads, or that no sanitizer has time for.
function(tallygate_plain_e2e name)
  if(NOT TALLYGATE_SANITIZE)
    tallygate_e2e(${name})
    set_tests_properties(e2e.${name} PROPERTIES LABELS "")
  endif()
endfunction()

# Lower layers first.
tallygate_e2e(head)
tallygate_e2e(connection)
tallygate_e2e(refusal)
tallygate_e2e(response)
tallygate_e2e(range)
tallygate_e2e(link)
tallygate_e2e(path)
tallygate_e2e(log)
tallygate_e2e(counting)
# The ways of bytes: hot, cold, encrypted.
tallygate_e2e(tls)
tallygate_e2e(tls_certificates)
tallygate_e2e(tls_counting)
tallygate_e2e(ways)
tallygate_e2e(bad_disks)
tallygate_plain_e2e(testssl)
if(NOT TALLYGATE_SANITIZE)
  set_tests_properties(e2e.testssl PROPERTIES TIMEOUT 1200)  # two runs of up to 500 s each
endif()
tallygate_e2e(overload)
tallygate_e2e(slow_clients)
if(NOT TALLYGATE_SANITIZE)
  set_property(TEST e2e.slow_clients APPEND PROPERTY ENVIRONMENT ROUNDS=5)  # 10,000 broken transfers
  set_tests_properties(e2e.slow_clients PROPERTIES LABELS "")
endif()
# What the machine does to it. A library before the C library and sanitizers do not go together.
tallygate_plain_e2e(clock)
tallygate_plain_e2e(process)
# Whom a proxy speaks for; real ones.
tallygate_e2e(proxies)
# Commands, start and end of the server, settings.
tallygate_e2e(commands)
tallygate_e2e(settings)
tallygate_e2e(reload)
tallygate_e2e(lifecycle)
tallygate_e2e(service_manager)
tallygate_e2e(links_command)
tallygate_e2e(admin)
tallygate_e2e(ledger_check)
tallygate_e2e(metrics)
tallygate_e2e(progress)
# What operators look at: in a browser, in a terminal.
tallygate_plain_e2e(page)  # a browser's side of what e2e.admin has asked already
tallygate_e2e(top)
# Needs databases too.
tallygate_e2e(backup)
# What the tests of databases stand on.
tallygate_plain_e2e(database_servers)
tallygate_plain_e2e(cutting_proxy)
# The shop's database.
tallygate_e2e(shop)
tallygate_e2e(shop_history)
tallygate_e2e(shop_outage)
tallygate_e2e(shop_postgres)
tallygate_e2e(shop_mariadb)
tallygate_e2e(shop_woocommerce)
tallygate_e2e(database_tls)
tallygate_e2e(database_faults)
if(NOT TALLYGATE_SANITIZE)
  set_property(TEST e2e.database_faults APPEND PROPERTY ENVIRONMENT FROZEN=30)
  set_tests_properties(e2e.database_faults PROPERTIES LABELS "")
endif()
# Other people's programs: curl, wget, aria2, nginx; php, python3, node.
tallygate_e2e(clients)
tallygate_e2e(signers)
tallygate_e2e(woocommerce_plugin)
tallygate_e2e(merchant)
tallygate_e2e(parallel)
tallygate_e2e(crash)
tallygate_e2e(kill)
tallygate_e2e(disk)
tallygate_e2e(content)
tallygate_e2e(ending)
tallygate_e2e(drain)
tallygate_e2e(handover)
