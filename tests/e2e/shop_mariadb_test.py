"""The shop on MariaDB: the same tests as on SQLite, for the shop's tables are the same."""

import shop_history_test
import shop_outage_test
import shop_test
import support
from database_case import OnMaria


class Rows(OnMaria, shop_test.Rows):
    pass


class MerchantsWord(OnMaria, shop_test.MerchantsWord):
    pass


class RunningDownloads(OnMaria, shop_test.RunningDownloads):
    pass


class Authority(OnMaria, shop_test.Authority):
    pass


class History(OnMaria, shop_history_test.History):
    pass


class TwoEdges(OnMaria, shop_outage_test.TwoEdges):
    pass


if __name__ == "__main__":
    support.main()
