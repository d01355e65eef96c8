"""The shop on PostgreSQL: the same tests as on SQLite, for the shop's tables are the same."""

import shop_history_test
import shop_outage_test
import shop_test
import support
from database_case import OnPostgres


class Rows(OnPostgres, shop_test.Rows):
    pass


class MerchantsWord(OnPostgres, shop_test.MerchantsWord):
    pass


class RunningDownloads(OnPostgres, shop_test.RunningDownloads):
    pass


class Authority(OnPostgres, shop_test.Authority):
    pass


class History(OnPostgres, shop_history_test.History):
    pass


class TwoEdges(OnPostgres, shop_outage_test.TwoEdges):
    pass


if __name__ == "__main__":
    support.main()
