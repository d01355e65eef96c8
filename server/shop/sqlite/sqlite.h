// SQLite as RAII: connection, prepared statement, transaction. Nothing here knows tallygate.
//
// Use from one thread at a time. Every failure throws sqlite::Error; the classes that use this turn
// it into their own kind of answer at their border.
#pragma once
#include <array>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace tallygate::shop::sqlite {

class Error : public std::runtime_error {
 public:
  Error(int code, const std::string& text) : std::runtime_error(text), code_(code) {}
  [[nodiscard]] int code() const noexcept { return code_; }  // SQLite's extended result code
  // Somebody else holds a lock, or the disk is full: the same transaction may succeed later.
  [[nodiscard]] bool is_transient() const noexcept;
  // A constraint, or a trigger of the merchant's that says no. Only this statement is undone.
  [[nodiscard]] bool is_constraint() const noexcept;

 private:
  int code_;
};

// Of the library, as "3.40.1".
[[nodiscard]] std::string_view version() noexcept;

enum class OpenMode : std::uint8_t { read_only, existing, create };

class Connection {
 public:
  // WAL with synchronous=FULL (unless read only): a commit that returned survives a power cut.
  Connection(const std::string& path, OpenMode mode, std::chrono::milliseconds busy_timeout);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void execute(const char* sql);  // one or several statements, without parameters
  [[nodiscard]] std::int64_t changes() const noexcept;  // rows of the last INSERT, UPDATE, DELETE
  [[nodiscard]] bool in_transaction() const noexcept;
  // The file was renamed, replaced or deleted under us; what is written now is lost. One stat().
  [[nodiscard]] bool has_moved() const noexcept;
  [[nodiscard]] sqlite3* get() const noexcept { return db_; }

 private:
  sqlite3* db_ = nullptr;
};

class Statement {
 public:
  Statement(Connection& connection, std::string_view sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Binds all parameters from ?1 on. Texts and blobs are borrowed until the statement is reset.
  template <class... Args>
  Statement& bind(const Args&... args) {
    reset();
    int index = 0;
    (bind_one(++index, args), ...);
    return *this;
  }
  // True: a row is there. False: done, and reset for the next use.
  bool step();
  // Executes a statement that returns nothing.
  template <class... Args>
  void run(const Args&... args) {
    bind(args...);
    while (step()) {
    }
  }
  void reset() noexcept;

  // Columns of the current row, from 0.
  [[nodiscard]] std::int64_t integer(int column) const noexcept;
  [[nodiscard]] std::optional<std::int64_t> maybe_integer(int column) const noexcept;
  [[nodiscard]] bool is_null(int column) const noexcept;
  [[nodiscard]] std::string text(int column) const;

 private:
  template <std::integral T>
  void bind_one(int index, T value) {
    bind_integer(index, static_cast<std::int64_t>(value));
  }
  template <std::integral T>
  void bind_one(int index, const std::optional<T>& value) {
    value ? bind_integer(index, static_cast<std::int64_t>(*value)) : bind_null(index);
  }
  void bind_one(int index, std::nullopt_t) { bind_null(index); }
  void bind_one(int index, std::string_view text);
  void bind_one(int index, const std::string& text) { bind_one(index, std::string_view(text)); }
  void bind_one(int index, const std::optional<std::string_view>& text);
  void bind_one(int index, std::span<const std::uint8_t> blob);
  template <std::size_t N>
  void bind_one(int index, const std::array<std::uint8_t, N>& blob) {
    bind_one(index, std::span<const std::uint8_t>(blob));
  }
  void bind_integer(int index, std::int64_t value);
  void bind_null(int index);
  void check(int code) const;

  sqlite3* db_;
  sqlite3_stmt* statement_ = nullptr;
};

// Rolled back by its destructor unless committed.
class Transaction {
 public:
  enum class Kind : std::uint8_t {
    read,   // one snapshot
    write,  // takes the write lock at once, so that it cannot fail half-way for want of it
  };
  Transaction(Connection& connection, Kind kind);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  void commit();

 private:
  Connection& connection_;
};

}  // namespace tallygate::shop::sqlite
