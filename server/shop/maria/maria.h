// MariaDB's client library as RAII: connection, prepared statement, transaction. Nothing here knows
// tallygate's tables. It speaks to MySQL 8 as well.
//
// Use from one thread at a time. Every failure throws maria::Error; the classes that use this turn
// it into their own kind of answer at their border. No call waits longer than its time-out for the
// server's next word.
#pragma once
#include <array>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "core/shop/maria_url.h"

struct st_mysql;
struct st_mysql_stmt;

namespace tallygate::shop::maria {

class Error : public std::runtime_error {
 public:
  Error(unsigned code, std::string sqlstate, const std::string& text)
      : std::runtime_error(text), code_(code), sqlstate_(std::move(sqlstate)) {}
  [[nodiscard]] unsigned code() const noexcept { return code_; }  // the server's or the library's
  [[nodiscard]] const std::string& sqlstate() const noexcept { return sqlstate_; }
  // Somebody else holds a lock, a deadlock was resolved against us, the disk is full: the same
  // transaction may succeed later, on the same connection. The transaction is to be rolled back.
  [[nodiscard]] bool is_transient() const noexcept;
  // A constraint, a value that does not fit, or a trigger of the merchant's that says no: of all
  // data only this is refused.
  [[nodiscard]] bool is_refusal_of_data() const noexcept;
  // The right to do this was not given. The text names user, command and table.
  [[nodiscard]] bool is_missing_right() const noexcept;
  [[nodiscard]] bool is_missing_object() const noexcept;  // a table, column or function
  [[nodiscard]] bool is_connection_lost() const noexcept;

 private:
  unsigned code_;
  std::string sqlstate_;
};

struct Timeouts {
  std::chrono::seconds connect{5};
  std::chrono::seconds read{5};
  std::chrono::seconds write{5};
};

class Connection {
 public:
  // utf8mb4, no LOCAL INFILE, no configuration files, no reconnecting by itself. What `target.tls`
  // asks for is enforced: less is an Error.
  Connection(const MariaTarget& target, const std::string& password, const Timeouts& timeouts);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void execute(std::string_view sql);  // one statement, without parameters; results are dropped
  // As "10.11.19-MariaDB-0+deb12u1".
  [[nodiscard]] std::string server_version() const;
  [[nodiscard]] bool is_mysql() const;  // Oracle's
  [[nodiscard]] bool is_encrypted() const;
  [[nodiscard]] st_mysql* get() const noexcept { return mysql_; }

 private:
  [[noreturn]] void fail() const;
  st_mysql* mysql_ = nullptr;
};

// One value for a `?`. Texts and blobs are borrowed for the call.
class Parameter {
 public:
  template <std::integral T>
  Parameter(T value) : kind_(Kind::integer), integer_(static_cast<std::int64_t>(value)) {}
  template <std::integral T>
  Parameter(const std::optional<T>& value)
      : kind_(value ? Kind::integer : Kind::null),
        integer_(value ? static_cast<std::int64_t>(*value) : 0) {}
  Parameter(std::nullopt_t) {}
  Parameter(std::string_view text) : kind_(Kind::text), bytes_(text) {}
  Parameter(const std::string& text) : kind_(Kind::text), bytes_(text) {}
  Parameter(const char* text) : kind_(Kind::text), bytes_(text) {}
  Parameter(std::span<const std::uint8_t> blob)
      : kind_(Kind::blob), bytes_(reinterpret_cast<const char*>(blob.data()), blob.size()) {}

 private:
  friend class Statement;
  enum class Kind : std::uint8_t { null, integer, text, blob };
  Kind kind_ = Kind::null;
  std::int64_t integer_ = 0;
  std::string_view bytes_;
};

// Prepared at the server.
class Statement {
 public:
  Statement(Connection& connection, std::string_view sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Executes, and fetches the whole result into memory, so that the connection is free again.
  Statement& execute(std::initializer_list<Parameter> parameters = {});
  // As execute(). Returns the number of rows that an UPDATE found or a DELETE removed.
  std::uint64_t run(std::initializer_list<Parameter> parameters = {});
  // Goes to the next row of the result. False: there is none.
  bool step();

  // Columns of the current row, from 0. Numbers come from texts as well, as far as they begin with
  // one; beyond 64 bits, the nearest.
  [[nodiscard]] std::int64_t integer(unsigned column) const;
  [[nodiscard]] std::optional<std::int64_t> maybe_integer(unsigned column) const;
  [[nodiscard]] bool is_null(unsigned column) const;
  [[nodiscard]] std::string text(unsigned column) const;

 private:
  struct Column;
  [[noreturn]] void fail() const;
  void bind_columns();

  st_mysql_stmt* statement_ = nullptr;
  std::vector<std::unique_ptr<Column>> columns_;
};

// Rolled back by its destructor unless committed.
class Transaction {
 public:
  explicit Transaction(Connection& connection);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  void commit();

 private:
  Connection& connection_;
  bool is_over_ = false;
};

}  // namespace tallygate::shop::maria
