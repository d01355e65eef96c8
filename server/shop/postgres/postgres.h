// PostgreSQL as RAII: connection, result, transaction. Nothing here knows tallygate.
//
// Use from one thread at a time. Every failure throws postgres::Error; the classes that use this
// turn it into their own kind of answer at their border. No call waits longer than the connection's
// time-out, whatever the server or the network does: a server that is stopped is a failure, after
// which the connection is of no use any more.
#pragma once
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct pg_conn;
struct pg_result;

namespace tallygate::shop::postgres {

class Error : public std::runtime_error {
 public:
  Error(std::string sqlstate, const std::string& text)
      : std::runtime_error(text), sqlstate_(std::move(sqlstate)) {}
  // Five characters (PostgreSQL, appendix A); empty: not from the server.
  [[nodiscard]] const std::string& sqlstate() const noexcept { return sqlstate_; }
  // Somebody else holds a lock, or room is short: the same transaction may succeed later.
  [[nodiscard]] bool is_transient() const noexcept;
  // The values are refused: a constraint, a type's bounds, a trigger of the merchant's.
  [[nodiscard]] bool is_refusal_of_data() const noexcept;

 private:
  std::string sqlstate_;
};

// A parameter in text form; nullopt: NULL.
class Parameter {
 public:
  Parameter(std::nullopt_t) {}                             // NOLINT: as in a call
  Parameter(std::string text) : text_(std::move(text)) {}  // NOLINT
  Parameter(std::string_view text) : text_(text) {}        // NOLINT
  Parameter(const char* text) : text_(text) {}             // NOLINT
  Parameter(bool value) : text_(value ? "t" : "f") {}      // NOLINT
  template <std::integral T>
  Parameter(T value) : text_(std::to_string(value)) {}  // NOLINT
  template <class T>
  Parameter(const std::optional<T>& value) {  // NOLINT
    if (value) *this = Parameter(*value);
  }
  [[nodiscard]] const char* c_str() const noexcept { return text_ ? text_->c_str() : nullptr; }

 private:
  std::optional<std::string> text_;
};

// Builds the text form of a one-dimensional array, an element at a time.
class Array {
 public:
  void add(std::string_view text);
  void add(std::int64_t value);
  void add(std::uint64_t value);
  void add_null();
  void add_bytes(std::span<const std::uint8_t> bytes);                 // bytea
  operator Parameter() const { return Parameter('{' + text_ + '}'); }  // NOLINT: as in a call

 private:
  void separate();
  std::string text_;
};

class Result {
 public:
  explicit Result(pg_result* result) noexcept : result_(result) {}
  Result(Result&& other) noexcept;
  Result& operator=(Result&&) = delete;
  ~Result();

  [[nodiscard]] int rows() const noexcept;
  [[nodiscard]] int columns() const noexcept;
  // What was done, as "COMMIT".
  [[nodiscard]] std::string_view command() const noexcept;
  // Rows that INSERT, UPDATE or DELETE touched.
  [[nodiscard]] std::uint64_t affected() const noexcept;
  [[nodiscard]] bool is_null(int row, int column) const noexcept;
  [[nodiscard]] std::string_view text(int row, int column) const noexcept;
  // Numbers come from texts as well, see column.h.
  [[nodiscard]] std::int64_t integer(int row, int column) const noexcept;
  [[nodiscard]] std::optional<std::int64_t> maybe_integer(int row, int column) const noexcept;

 private:
  pg_result* result_;
};

class Connection {
 public:
  // `url`: postgresql://…, as libpq understands it, with its TLS options; `password` goes before
  // whatever libpq would find elsewhere, unless empty. Of several hosts each has its share of
  // `timeout`, so that one that hangs is passed over like one that refuses.
  Connection(const std::string& url, const std::string& password,
             std::chrono::milliseconds timeout);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // One or several statements without parameters; the result is the last one's.
  Result execute(const std::string& sql);
  // A statement with parameters $1, $2, …: parsed and planned each time.
  Result query(const std::string& sql, std::span<const Parameter> parameters);
  // A statement that is parsed once.
  void prepare(const char* name, const std::string& sql);
  template <class... Args>
  Result run(const char* name, const Args&... args) {
    const Parameter parameters[] = {Parameter(args)..., Parameter(std::nullopt)};
    return run_prepared(name, {parameters, sizeof...(args)});
  }

  [[nodiscard]] std::string server_version() const;  // as "15.18"
  [[nodiscard]] int socket() const noexcept;         // readable when something came unasked
  // Whether NOTIFY was heard since the last call of forget_notifications(), by whatever call.
  [[nodiscard]] bool is_notified() const noexcept { return is_notified_; }
  void forget_notifications();
  [[nodiscard]] bool is_in_transaction() const noexcept;
  [[nodiscard]] bool is_broken() const noexcept;

 private:
  using Deadline = std::chrono::steady_clock::time_point;
  Result run_prepared(const char* name, std::span<const Parameter> parameters);
  void connect(std::span<const std::pair<const char*, std::string>> options,
               std::chrono::milliseconds patience);
  void wait_for_connection(std::chrono::milliseconds patience);
  Result finish(bool sent);
  bool wait(short events, Deadline deadline);
  void hear_notifications();
  [[noreturn]] void fail();
  [[noreturn]] void time_out(std::chrono::milliseconds patience);

  pg_conn* connection_ = nullptr;
  const std::chrono::milliseconds timeout_;
  bool is_notified_ = false;
};

// Rolled back by its destructor unless committed.
class Transaction {
 public:
  // `more`: statements to execute with BEGIN, in the same round trip.
  explicit Transaction(Connection& connection, const std::string& more = {});
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  void commit();

 private:
  Connection& connection_;
};

}  // namespace tallygate::shop::postgres
