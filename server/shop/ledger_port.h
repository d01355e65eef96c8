// What the sync tells the ledger. The ledger implements it; the shop's thread calls it.
#pragma once
#include <string_view>

#include "core/shop/word.h"

namespace tallygate::shop {

class LedgerPort {
 public:
  LedgerPort() = default;
  virtual ~LedgerPort() = default;
  LedgerPort(const LedgerPort&) = delete;
  LedgerPort& operator=(const LedgerPort&) = delete;

  // Only the changes of known links are passed on. Called for every row of a scan: make it cheap.
  [[nodiscard]] virtual bool knows(std::string_view link_id) = 0;

  // The row exists and says this. Often what it said before: compare before writing it down.
  virtual void apply_word(std::string_view link_id, const Word& word) = 0;

  // There is no row any more. Whether that means revoked depends on row_acknowledged().
  virtual void row_gone(std::string_view link_id) = 0;

  // The creation of the row was committed: if it is later gone, the merchant deleted it. May come
  // more than once.
  virtual void row_acknowledged(std::string_view link_id) = 0;

  // Called before the database is told that changes were taken. Returns true once what the other
  // calls said would survive a crash; may block for a journal commit. False: they come again.
  [[nodiscard]] virtual bool make_durable() = 0;
};

}  // namespace tallygate::shop
