# One line per header with rules in it; the tree mirrors server/.
tallygate_test(server/shop/sqlite)
tallygate_test(server/shop/sqlite_database)
tallygate_test(server/shop/outbox)
tallygate_test(server/shop/exchange)
tallygate_test(server/shop/sync)
