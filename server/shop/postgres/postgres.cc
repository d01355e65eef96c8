#include "server/shop/postgres/postgres.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <utility>

namespace tallygate::shop::postgres {
namespace {

using Clock = std::chrono::steady_clock;

// libpq writes several lines, with hints; an operator reads one.
std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (c == '\n' || c == '\t') {
      if (!line.empty() && line.back() != ' ') line += ' ';
    } else {
      line += c;
    }
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

template <class T>
T number(std::string_view text) {
  T value{};
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

void ignore_notice(void*, const PGresult*) {}

}  // namespace

bool Error::is_transient() const noexcept {
  // Serialization failure, deadlock, lock not available, cancelled (a time-out of the server's),
  // disk full, out of memory.
  constexpr std::array<std::string_view, 6> kTransient{"40001", "40P01", "55P03",
                                                       "57014", "53100", "53200"};
  return std::ranges::find(kTransient, sqlstate_) != kTransient.end();
}

bool Error::is_refusal_of_data() const noexcept {
  // Data exceptions, constraint violations, RAISE EXCEPTION.
  return sqlstate_.starts_with("22") || sqlstate_.starts_with("23") || sqlstate_ == "P0001";
}

void Array::separate() {
  if (!text_.empty()) text_ += ',';
}

void Array::add(std::string_view text) {
  separate();
  text_ += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') text_ += '\\';
    text_ += c;
  }
  text_ += '"';
}

void Array::add(std::int64_t value) {
  separate();
  text_ += std::to_string(value);
}

void Array::add(std::uint64_t value) {
  separate();
  text_ += std::to_string(value);
}

void Array::add_null() {
  separate();
  text_ += "NULL";
}

void Array::add_bytes(std::span<const std::uint8_t> bytes) {
  separate();
  text_ += "\"\\\\x";
  for (const auto byte : bytes) fmt::format_to(std::back_inserter(text_), "{:02x}", byte);
  text_ += '"';
}

Result::Result(Result&& other) noexcept : result_(std::exchange(other.result_, nullptr)) {}

Result::~Result() {
  PQclear(result_);
}

int Result::rows() const noexcept {
  return PQntuples(result_);
}

int Result::columns() const noexcept {
  return PQnfields(result_);
}

std::string_view Result::command() const noexcept {
  return PQcmdStatus(result_);
}

std::uint64_t Result::affected() const noexcept {
  return number<std::uint64_t>(PQcmdTuples(result_));
}

bool Result::is_null(int row, int column) const noexcept {
  return PQgetisnull(result_, row, column) != 0;
}

std::string_view Result::text(int row, int column) const noexcept {
  return {PQgetvalue(result_, row, column),
          static_cast<std::size_t>(PQgetlength(result_, row, column))};
}

std::int64_t Result::integer(int row, int column) const noexcept {
  return number<std::int64_t>(text(row, column));
}

std::optional<std::int64_t> Result::maybe_integer(int row, int column) const noexcept {
  if (is_null(row, column)) return std::nullopt;
  return integer(row, column);
}

Connection::Connection(const std::string& url, const std::string& password,
                       std::chrono::milliseconds timeout)
    : timeout_(timeout) {
  // What stands later goes before what the URL says.
  std::vector<const char*> names{"fallback_application_name", "dbname", "client_encoding"};
  std::vector<const char*> values{"tallygate", url.c_str(), "UTF8"};
  if (!password.empty()) {
    names.push_back("password");
    values.push_back(password.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  connection_ = PQconnectStartParams(names.data(), values.data(), 1);
  if (connection_ == nullptr) throw Error("", "out of memory");
  try {
    connect(Clock::now() + timeout_);
  } catch (...) {
    PQfinish(connection_);
    throw;
  }
}

Connection::~Connection() {
  PQfinish(connection_);
}

void Connection::connect(Deadline deadline) {
  if (PQstatus(connection_) == CONNECTION_BAD) fail();
  // As PQconnectPoll asks for it: first wait until the socket can be written.
  auto state = PGRES_POLLING_WRITING;
  while (state != PGRES_POLLING_OK) {
    if (state == PGRES_POLLING_FAILED) fail();
    if (!wait(state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline)) time_out();
    state = PQconnectPoll(connection_);
  }
  PQsetNoticeReceiver(connection_, ignore_notice, nullptr);
  if (PQsetnonblocking(connection_, 1) != 0) fail();
}

Result Connection::execute(const std::string& sql) {
  return finish(PQsendQuery(connection_, sql.c_str()) == 1);
}

Result Connection::query(const std::string& sql, std::span<const Parameter> parameters) {
  std::vector<const char*> values;
  for (const auto& parameter : parameters) values.push_back(parameter.c_str());
  return finish(PQsendQueryParams(connection_, sql.c_str(), static_cast<int>(values.size()),
                                  nullptr, values.data(), nullptr, nullptr, 0) == 1);
}

void Connection::prepare(const char* name, const std::string& sql) {
  finish(PQsendPrepare(connection_, name, sql.c_str(), 0, nullptr) == 1);
}

Result Connection::run_prepared(const char* name, std::span<const Parameter> parameters) {
  std::vector<const char*> values;
  values.reserve(parameters.size());
  for (const auto& parameter : parameters) values.push_back(parameter.c_str());
  return finish(PQsendQueryPrepared(connection_, name, static_cast<int>(values.size()),
                                    values.data(), nullptr, nullptr, 0) == 1);
}

// Sends what is buffered and waits for all results: the last one, or the first failure.
Result Connection::finish(bool sent) {
  if (!sent) fail();
  const auto deadline = Clock::now() + timeout_;
  for (;;) {
    const int left = PQflush(connection_);
    if (left < 0) fail();
    if (left == 0) break;
    // The server may have to be heard before it takes more.
    if (!wait(POLLIN | POLLOUT, deadline)) time_out();
    if (PQconsumeInput(connection_) == 0) fail();
  }
  std::unique_ptr<PGresult, void (*)(PGresult*)> last(nullptr, PQclear);
  for (;;) {
    while (PQisBusy(connection_) == 1) {
      if (!wait(POLLIN, deadline)) time_out();
      if (PQconsumeInput(connection_) == 0) fail();
    }
    auto* const next = PQgetResult(connection_);
    if (next == nullptr) break;
    const bool failed_before = last && PQresultStatus(last.get()) == PGRES_FATAL_ERROR;
    if (failed_before) {
      PQclear(next);
    } else {
      last.reset(next);
    }
  }
  hear_notifications();
  if (!last) fail();
  const auto status = PQresultStatus(last.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
    const char* sqlstate = PQresultErrorField(last.get(), PG_DIAG_SQLSTATE);
    throw Error(sqlstate != nullptr ? sqlstate : "", one_line(PQresultErrorMessage(last.get())));
  }
  return Result(last.release());
}

// False: the deadline has passed.
bool Connection::wait(short events, Deadline deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd descriptor{PQsocket(connection_), events, 0};
    const int ready = ::poll(&descriptor, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) fail();
  }
}

void Connection::fail() {
  const std::string text = one_line(PQerrorMessage(connection_));
  throw Error("", text.empty() ? "the connection broke" : text);
}

void Connection::time_out() {
  throw Error("", fmt::format("no answer within {} s", timeout_.count() / 1000));
}

std::string Connection::server_version() const {
  const std::string_view text = PQparameterStatus(connection_, "server_version");
  return std::string(text.substr(0, text.find(' ')));
}

int Connection::socket() const noexcept {
  return PQsocket(connection_);
}

void Connection::hear_notifications() {
  while (auto* const notification = PQnotifies(connection_)) {
    PQfreemem(notification);
    is_notified_ = true;
  }
}

void Connection::forget_notifications() {
  if (PQconsumeInput(connection_) == 0) fail();
  hear_notifications();
  is_notified_ = false;
}

bool Connection::is_in_transaction() const noexcept {
  const auto status = PQtransactionStatus(connection_);
  return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
}

bool Connection::is_broken() const noexcept {
  return PQstatus(connection_) != CONNECTION_OK ||
         PQtransactionStatus(connection_) == PQTRANS_ACTIVE;
}

Transaction::Transaction(Connection& connection, const std::string& more)
    : connection_(connection) {
  connection_.execute("BEGIN;" + more);
}

Transaction::~Transaction() {
  if (connection_.is_broken() || !connection_.is_in_transaction()) return;
  try {
    connection_.execute("ROLLBACK");
  } catch (const Error&) {
    // The server rolls back what belongs to a connection that ends.
  }
}

void Transaction::commit() {
  // A transaction that had failed is rolled back by COMMIT, which is no error to the server.
  const auto done = connection_.execute("COMMIT");
  if (done.command() != "COMMIT") throw Error("", "the transaction was rolled back");
}

}  // namespace tallygate::shop::postgres
