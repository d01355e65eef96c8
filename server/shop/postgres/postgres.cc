#include "server/shop/postgres/postgres.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "server/shop/column.h"

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

void ignore_notice(void*, const PGresult*) {}

using Options = std::vector<std::pair<const char*, std::string>>;

std::vector<std::string> split(const char* list) {
  std::vector<std::string> parts{""};
  for (; list != nullptr && *list != '\0'; ++list) {
    if (*list == ',') {
      parts.emplace_back();
    } else {
      parts.back() += *list;
    }
  }
  return parts;
}

// Where to connect, one after the other. libpq knows such lists itself, but its asynchronous way
// has no time-out for a single host. Empty: one host, or a list that is libpq's to judge.
std::vector<Options> hosts_of(const std::string& url) {
  const std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> parsed(
      PQconninfoParse(url.c_str(), nullptr), PQconninfoFree);
  const auto list_of = [&](std::string_view keyword) {
    const auto* option = parsed.get();
    while (option != nullptr && option->keyword != nullptr && option->keyword != keyword) ++option;
    return split(option != nullptr && option->keyword != nullptr ? option->val : nullptr);
  };
  const auto hosts = list_of("host");
  const auto ports = list_of("port");
  const bool has_addresses = list_of("hostaddr") != split(nullptr);
  const bool is_for_each = ports.size() == 1 || ports.size() == hosts.size();
  if (hosts.size() < 2 || has_addresses || !is_for_each) return {};
  std::vector<Options> all;
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    all.push_back({{"host", hosts[i]}, {"port", ports.size() == 1 ? ports[0] : ports[i]}});
  }
  return all;
}

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
  return static_cast<std::uint64_t>(column_integer(PQcmdTuples(result_)));
}

bool Result::is_null(int row, int column) const noexcept {
  return PQgetisnull(result_, row, column) != 0;
}

std::string_view Result::text(int row, int column) const noexcept {
  return {PQgetvalue(result_, row, column),
          static_cast<std::size_t>(PQgetlength(result_, row, column))};
}

std::int64_t Result::integer(int row, int column) const noexcept {
  return column_integer(text(row, column));
}

std::optional<std::int64_t> Result::maybe_integer(int row, int column) const noexcept {
  if (is_null(row, column)) return std::nullopt;
  return integer(row, column);
}

Connection::Connection(const std::string& url, const std::string& password,
                       std::chrono::milliseconds timeout)
    : timeout_(timeout) {
  // What stands later goes before what the URL says.
  std::vector<std::pair<const char*, std::string>> options{
      {"fallback_application_name", "tallygate"}, {"dbname", url}, {"client_encoding", "UTF8"}};
  if (!password.empty()) options.emplace_back("password", password);
  const auto hosts = hosts_of(url);
  if (hosts.empty()) {
    connect(options, timeout_);
    return;
  }
  std::string failures;
  for (const auto& host : hosts) {
    auto with_host = options;
    with_host.insert(with_host.end(), host.begin(), host.end());
    try {
      connect(with_host, timeout_ / hosts.size());
      return;
    } catch (const Error& error) {
      failures +=
          fmt::format("{}{}: {}", failures.empty() ? "" : "; ", host.front().second, error.what());
    }
  }
  throw Error("", failures);
}

Connection::~Connection() {
  PQfinish(connection_);
}

void Connection::connect(std::span<const std::pair<const char*, std::string>> options,
                         std::chrono::milliseconds patience) {
  std::vector<const char*> names;
  std::vector<const char*> values;
  for (const auto& [name, value] : options) {
    names.push_back(name);
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  connection_ = PQconnectStartParams(names.data(), values.data(), 1);
  if (connection_ == nullptr) throw Error("", "out of memory");
  try {
    wait_for_connection(patience);
  } catch (...) {
    PQfinish(std::exchange(connection_, nullptr));
    throw;
  }
}

void Connection::wait_for_connection(std::chrono::milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  if (PQstatus(connection_) == CONNECTION_BAD) fail();
  // As PQconnectPoll asks for it: first wait until the socket can be written.
  auto state = PGRES_POLLING_WRITING;
  while (state != PGRES_POLLING_OK) {
    if (state == PGRES_POLLING_FAILED) fail();
    if (!wait(state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline)) time_out(patience);
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
    if (!wait(POLLIN | POLLOUT, deadline)) time_out(timeout_);
    if (PQconsumeInput(connection_) == 0) fail();
  }
  std::unique_ptr<PGresult, void (*)(PGresult*)> last(nullptr, PQclear);
  for (;;) {
    while (PQisBusy(connection_) == 1) {
      if (!wait(POLLIN, deadline)) time_out(timeout_);
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

void Connection::time_out(std::chrono::milliseconds patience) {
  throw Error("",
              fmt::format("no answer within {} s", static_cast<double>(patience.count()) / 1000));
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
