#include "server/shop/sqlite/sqlite.h"

#include <sqlite3.h>

namespace tallygate::shop::sqlite {
namespace {

[[noreturn]] void fail(sqlite3* db, int code) {
  throw Error(db ? sqlite3_extended_errcode(db) : code,
              db ? sqlite3_errmsg(db) : sqlite3_errstr(code));
}

int open_flags(OpenMode mode) {
  const int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  switch (mode) {
    case OpenMode::read_only:
      return flags | SQLITE_OPEN_READONLY;
    case OpenMode::existing:
      return flags | SQLITE_OPEN_READWRITE;
    case OpenMode::create:
      break;
  }
  return flags | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
}

}  // namespace

std::string_view version() noexcept {
  return sqlite3_libversion();
}

bool Error::is_transient() const noexcept {
  const int primary = code_ & 0xff;
  return primary == SQLITE_BUSY || primary == SQLITE_LOCKED || primary == SQLITE_FULL;
}

bool Error::is_constraint() const noexcept {
  const int primary = code_ & 0xff;
  return primary == SQLITE_CONSTRAINT || primary == SQLITE_MISMATCH || primary == SQLITE_TOOBIG;
}

Connection::Connection(const std::string& path, OpenMode mode,
                       std::chrono::milliseconds busy_timeout) {
  const int code = sqlite3_open_v2(path.c_str(), &db_, open_flags(mode), nullptr);
  try {
    if (code != SQLITE_OK) fail(db_, code);
    sqlite3_busy_timeout(db_, static_cast<int>(busy_timeout.count()));
    if (mode != OpenMode::read_only) {
      execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    }
  } catch (...) {
    sqlite3_close_v2(db_);
    throw;
  }
}

Connection::~Connection() {
  // The last connection checkpoints and deletes the -wal file by name: after a move that name may
  // be somebody else's.
  if (has_moved()) {
    sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, static_cast<int*>(nullptr));
  }
  sqlite3_close_v2(db_);
}

void Connection::execute(const char* sql) {
  if (const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr); code != SQLITE_OK) {
    fail(db_, code);
  }
}

std::int64_t Connection::changes() const noexcept {
  return sqlite3_changes64(db_);
}

bool Connection::in_transaction() const noexcept {
  return sqlite3_get_autocommit(db_) == 0;
}

bool Connection::has_moved() const noexcept {
  int moved = 0;
  sqlite3_file_control(db_, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  return moved != 0;
}

Statement::Statement(Connection& connection, std::string_view sql) : db_(connection.get()) {
  check(sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                           &statement_, nullptr));
}

Statement::~Statement() {
  sqlite3_finalize(statement_);
}

bool Statement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    reset();
    return false;
  }
  const Error error(sqlite3_extended_errcode(db_), sqlite3_errmsg(db_));
  reset();
  throw error;
}

void Statement::reset() noexcept {
  sqlite3_reset(statement_);
}

std::int64_t Statement::integer(int column) const noexcept {
  return sqlite3_column_int64(statement_, column);
}

std::optional<std::int64_t> Statement::maybe_integer(int column) const noexcept {
  if (is_null(column)) return std::nullopt;
  return integer(column);
}

bool Statement::is_null(int column) const noexcept {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

std::string Statement::text(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const auto size = sqlite3_column_bytes(statement_, column);
  return bytes ? std::string(bytes, static_cast<std::size_t>(size)) : std::string();
}

void Statement::bind_integer(int index, std::int64_t value) {
  check(sqlite3_bind_int64(statement_, index, value));
}

void Statement::bind_null(int index) {
  check(sqlite3_bind_null(statement_, index));
}

void Statement::bind_one(int index, std::string_view text) {
  // A null pointer would bind NULL.
  const char* bytes = text.data() ? text.data() : "";
  check(sqlite3_bind_text64(statement_, index, bytes, text.size(), SQLITE_STATIC, SQLITE_UTF8));
}

void Statement::bind_one(int index, const std::optional<std::string_view>& text) {
  text ? bind_one(index, *text) : bind_null(index);
}

void Statement::bind_one(int index, std::span<const std::uint8_t> blob) {
  check(sqlite3_bind_blob64(statement_, index, blob.data(), blob.size(), SQLITE_STATIC));
}

void Statement::check(int code) const {
  if (code != SQLITE_OK) fail(db_, code);
}

Transaction::Transaction(Connection& connection, Kind kind) : connection_(connection) {
  connection_.execute(kind == Kind::read ? "BEGIN" : "BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  if (!connection_.in_transaction()) return;
  sqlite3_exec(connection_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void Transaction::commit() {
  connection_.execute("COMMIT");
}

}  // namespace tallygate::shop::sqlite
