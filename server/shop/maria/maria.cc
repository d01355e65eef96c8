#include "server/shop/maria/maria.h"

#include <errmsg.h>
#include <fmt/format.h>
#include <mysql.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "server/shop/column.h"

namespace tallygate::shop::maria {
namespace {

// Numbers as in the servers' list of messages: the library's header lacks the newer ones, and
// MySQL's own.
constexpr unsigned kTransient[] = {
    1205,              // lock wait timeout
    1213,              // deadlock
    1020,              // record has changed since last read
    1021, 1114,        // disk full, table full
    1206,              // lock table full
    1317, 1969, 3024,  // interrupted by the operator or by his limit
    3572,              // NOWAIT
};
constexpr unsigned kRefusals[] = {
    1048,                    // column cannot be NULL
    1062,                    // duplicate key
    1216, 1217, 1451, 1452,  // foreign key
    1264,                    // out of range
    1265, 1292, 1366, 1406,  // data truncated, wrong value, too long
    1364,                    // no default
    1644,                    // SIGNAL
    1690,                    // out of range in an expression
    3140, 3141, 4038,        // JSON that is none
    3819, 4025,              // CHECK
};
constexpr unsigned kMissingRights[] = {1044, 1045, 1142, 1143, 1227, 1370, 1419};
constexpr unsigned kMissingObjects[] = {1054, 1109, 1146, 1305};
constexpr unsigned kConnectionLost[] = {1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1927,
                                        2002, 2003, 2006, 2013, 2026, 2055, 3169, 4031};

template <std::size_t N>
bool is_one_of(unsigned code, const unsigned (&list)[N]) {
  return std::ranges::find(list, code) != std::end(list);
}

unsigned whole_seconds(std::chrono::seconds time) {
  return static_cast<unsigned>(time.count());
}

void set_option(MYSQL* mysql, mysql_option option, unsigned value) {
  mysql_options(mysql, option, &value);
}

void set_flag(MYSQL* mysql, mysql_option option, bool value) {
  const my_bool flag = value ? 1 : 0;
  mysql_options(mysql, option, &flag);
}

void set_path(MYSQL* mysql, mysql_option option, const std::string& path) {
  if (!path.empty()) mysql_options(mysql, option, path.c_str());
}

const char* or_null(const std::string& text) {
  return text.empty() ? nullptr : text.c_str();
}

// A server that asks for the bare password does not get it. Of a server that offers no TLS at all
// the library tells us only after the login, unless it checks names; and caching_sha2_password
// trusts whomever it meets without TLS. So with verify_ca, which does not check names, there is
// none.
const char* allowed_logins(TlsMode tls) {
  return tls == TlsMode::verify_ca
             ? "mysql_native_password,client_ed25519,parsec"
             : "mysql_native_password,client_ed25519,parsec,caching_sha2_password";
}

void set_tls(MYSQL* mysql, const MariaTarget& target) {
  if (target.tls == TlsMode::disabled) {
    set_flag(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, false);  // newer libraries want it otherwise
    return;
  }
  set_flag(mysql, MYSQL_OPT_SSL_ENFORCE, true);
  set_path(mysql, MYSQL_OPT_SSL_CA, target.ssl_ca);
  set_path(mysql, MYSQL_OPT_SSL_CERT, target.ssl_cert);
  set_path(mysql, MYSQL_OPT_SSL_KEY, target.ssl_key);
  // With an authority the chain is checked in any case; this adds the name.
  set_flag(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, target.tls == TlsMode::verify_identity);
}

}  // namespace

bool Error::is_transient() const noexcept {
  return is_one_of(code_, kTransient);
}
bool Error::is_refusal_of_data() const noexcept {
  return is_one_of(code_, kRefusals) || sqlstate_ == "45000";
}
bool Error::is_missing_right() const noexcept {
  return is_one_of(code_, kMissingRights);
}
bool Error::is_missing_object() const noexcept {
  return is_one_of(code_, kMissingObjects);
}
bool Error::is_connection_lost() const noexcept {
  return is_one_of(code_, kConnectionLost);
}

Connection::Connection(const MariaTarget& target, const std::string& password,
                       const Timeouts& timeouts) {
  static std::once_flag once;  // mysql_init alone is not safe in several threads
  std::call_once(once, [] { mysql_server_init(0, nullptr, nullptr); });
  mysql_ = mysql_init(nullptr);
  if (mysql_ == nullptr) throw std::bad_alloc();
  try {
    set_option(mysql_, MYSQL_OPT_CONNECT_TIMEOUT, whole_seconds(timeouts.connect));
    set_option(mysql_, MYSQL_OPT_READ_TIMEOUT, whole_seconds(timeouts.read));
    set_option(mysql_, MYSQL_OPT_WRITE_TIMEOUT, whole_seconds(timeouts.write));
    set_option(mysql_, MYSQL_OPT_LOCAL_INFILE, 0);
    set_option(mysql_, MYSQL_OPT_PROTOCOL,
               target.over_tcp ? MYSQL_PROTOCOL_TCP : MYSQL_PROTOCOL_SOCKET);
    set_flag(mysql_, MYSQL_OPT_RECONNECT, false);
    mysql_options(mysql_, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_options(mysql_, MARIADB_OPT_RESTRICTED_AUTH, allowed_logins(target.tls));
    set_tls(mysql_, target);
    if (mysql_real_connect(mysql_, target.host.c_str(), target.user.c_str(), password.c_str(),
                           target.database.c_str(), target.port, or_null(target.socket),
                           CLIENT_FOUND_ROWS) == nullptr) {
      fail();
    }
    if (target.tls >= TlsMode::required && !is_encrypted()) {
      throw Error(CR_SSL_CONNECTION_ERROR, "HY000", "the server does not offer TLS");
    }
  } catch (...) {
    mysql_close(mysql_);
    throw;
  }
}

Connection::~Connection() {
  mysql_close(mysql_);
}

void Connection::fail() const {
  throw Error(mysql_errno(mysql_), mysql_sqlstate(mysql_), mysql_error(mysql_));
}

void Connection::execute(std::string_view sql) {
  if (mysql_real_query(mysql_, sql.data(), sql.size()) != 0) fail();
  if (auto* result = mysql_store_result(mysql_)) {
    mysql_free_result(result);
  } else if (mysql_field_count(mysql_) != 0) {
    fail();
  }
}

std::string Connection::server_version() const {
  const char* text = mysql_get_server_info(mysql_);
  return text ? text : "";
}

bool Connection::is_mysql() const {
  return !mariadb_connection(mysql_);
}

bool Connection::is_encrypted() const {
  return mysql_get_ssl_cipher(mysql_) != nullptr;
}

// A column of the result: long values are fetched again, whole.
struct Statement::Column {
  std::array<char, 64> start;
  unsigned long length = 0;
  my_bool is_null = 0;
  my_bool is_cut = 0;
};

Statement::Statement(Connection& connection, std::string_view sql)
    : statement_(mysql_stmt_init(connection.get())) {
  if (statement_ == nullptr) throw std::bad_alloc();
  if (mysql_stmt_prepare(statement_, sql.data(), sql.size()) != 0) {
    const Error error(mysql_stmt_errno(statement_), mysql_stmt_sqlstate(statement_),
                      mysql_stmt_error(statement_));
    mysql_stmt_close(statement_);
    throw error;
  }
}

Statement::~Statement() {
  mysql_stmt_close(statement_);
}

void Statement::fail() const {
  throw Error(mysql_stmt_errno(statement_), mysql_stmt_sqlstate(statement_),
              mysql_stmt_error(statement_));
}

Statement& Statement::execute(std::initializer_list<Parameter> parameters) {
  mysql_stmt_free_result(statement_);
  if (parameters.size() != mysql_stmt_param_count(statement_)) {
    throw std::logic_error("wrong number of parameters");
  }
  std::vector<MYSQL_BIND> binds(parameters.size());
  std::vector<std::int64_t> integers(parameters.size());
  for (std::size_t i = 0; const auto& parameter : parameters) {
    auto& bind = binds[i];
    bind = MYSQL_BIND{};
    switch (parameter.kind_) {
      case Parameter::Kind::null:
        bind.buffer_type = MYSQL_TYPE_NULL;
        break;
      case Parameter::Kind::integer:
        integers[i] = parameter.integer_;
        bind.buffer_type = MYSQL_TYPE_LONGLONG;
        bind.buffer = &integers[i];
        break;
      case Parameter::Kind::text:
      case Parameter::Kind::blob:
        bind.buffer_type =
            parameter.kind_ == Parameter::Kind::text ? MYSQL_TYPE_STRING : MYSQL_TYPE_BLOB;
        bind.buffer = const_cast<char*>(parameter.bytes_.data() ? parameter.bytes_.data() : "");
        bind.buffer_length = parameter.bytes_.size();
        bind.length_value = parameter.bytes_.size();
        break;
    }
    ++i;
  }
  if (!binds.empty() && mysql_stmt_bind_param(statement_, binds.data()) != 0) fail();
  if (mysql_stmt_execute(statement_) != 0) fail();
  if (mysql_stmt_field_count(statement_) > 0) {
    bind_columns();
    if (mysql_stmt_store_result(statement_) != 0) fail();
  }
  return *this;
}

std::uint64_t Statement::run(std::initializer_list<Parameter> parameters) {
  execute(parameters);
  return mysql_stmt_affected_rows(statement_);
}

// Everything as text: the library writes numbers out.
void Statement::bind_columns() {
  const auto count = mysql_stmt_field_count(statement_);
  while (columns_.size() < count) columns_.push_back(std::make_unique<Column>());
  std::vector<MYSQL_BIND> binds(count);
  for (std::size_t i = 0; i < count; ++i) {
    binds[i] = MYSQL_BIND{};
    binds[i].buffer_type = MYSQL_TYPE_STRING;
    binds[i].buffer = columns_[i]->start.data();
    binds[i].buffer_length = columns_[i]->start.size();
    binds[i].length = &columns_[i]->length;
    binds[i].is_null = &columns_[i]->is_null;
    binds[i].error = &columns_[i]->is_cut;
  }
  if (mysql_stmt_bind_result(statement_, binds.data()) != 0) fail();
}

bool Statement::step() {
  switch (mysql_stmt_fetch(statement_)) {
    case 0:
    case MYSQL_DATA_TRUNCATED:
      return true;
    case MYSQL_NO_DATA:
      mysql_stmt_free_result(statement_);
      return false;
    default:
      fail();
  }
}

bool Statement::is_null(unsigned column) const {
  return columns_.at(column)->is_null != 0;
}

std::string Statement::text(unsigned column) const {
  const auto& from = *columns_.at(column);
  if (from.is_null) return {};
  if (from.length <= from.start.size()) return {from.start.data(), from.length};
  std::string whole(from.length, '\0');
  unsigned long length = 0;
  MYSQL_BIND bind{};
  bind.buffer_type = MYSQL_TYPE_STRING;
  bind.buffer = whole.data();
  bind.buffer_length = whole.size();
  bind.length = &length;
  if (mysql_stmt_fetch_column(statement_, &bind, column, 0) != 0) fail();
  return whole;
}

std::int64_t Statement::integer(unsigned column) const {
  return column_integer(text(column));
}

std::optional<std::int64_t> Statement::maybe_integer(unsigned column) const {
  if (is_null(column)) return std::nullopt;
  return integer(column);
}

Transaction::Transaction(Connection& connection) : connection_(connection) {
  connection_.execute("START TRANSACTION");
}

Transaction::~Transaction() {
  if (!is_over_) mysql_rollback(connection_.get());
}

void Transaction::commit() {
  connection_.execute("COMMIT");
  is_over_ = true;
}

}  // namespace tallygate::shop::maria
