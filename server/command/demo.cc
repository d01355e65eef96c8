#include <fmt/format.h>
#include <openssl/rand.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "core/link/keyring_file.h"
#include "core/link/sign.h"
#include "server/command/application.h"
#include "server/command/commands.h"
#include "server/command/configuration.h"
#include "server/command/exit_code.h"
#include "server/command/signals.h"
#include "server/shop/sqlite/sqlite.h"

namespace tallygate::command {
namespace {

constexpr std::size_t kSampleBytes = 64 << 20;
constexpr std::string_view kSamplePath = "/music/Größe XL.flac";
constexpr std::int64_t kWeek = 7 * 86400;

struct DemoOptions {
  bool once = false;
  std::uint16_t port = 8080;
};

// -- a shop in a folder

void write_text(const std::filesystem::path& file, const std::string& text, mode_t mode) {
  std::ofstream out(file, std::ios::binary);
  out << text;
  out.close();
  if (!out || ::chmod(file.c_str(), mode) != 0) {
    throw std::runtime_error("cannot write " + file.string());
  }
}

// Random, so that a damaged download could not go unnoticed; one block over and over, so that it is
// made in no time.
void write_sample(const std::filesystem::path& file) {
  std::string block(1 << 20, '\0');
  RAND_bytes(reinterpret_cast<unsigned char*>(block.data()), static_cast<int>(block.size()));
  std::ofstream out(file, std::ios::binary);
  for (std::size_t i = 0; i < kSampleBytes / block.size(); ++i) {
    block[0] = static_cast<char>(i);
    out << block;
  }
  out.close();
  if (!out) throw std::runtime_error("cannot write " + file.string());
}

std::filesystem::path make_shop(std::uint16_t port, bool log) {
  std::string pattern = (std::filesystem::temp_directory_path() / "tallygate-demo-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make " + pattern);
  const std::filesystem::path folder = pattern;
  std::filesystem::create_directories(folder / "files/music");
  write_sample(folder / "files" / kSamplePath.substr(1));
  std::array<std::uint8_t, 32> secret{};
  if (RAND_bytes(secret.data(), secret.size()) != 1) throw std::runtime_error("no random bytes");
  write_text(folder / "keyring.toml", link::format_keyring_entry("demo", secret), 0600);
  const std::string path = folder.string();
  write_text(
      folder / "tallygate.toml",
      fmt::format("[server]\n"
                  "listen = [\"127.0.0.1:{}\"]\n"
                  "base_url = \"http://127.0.0.1:{}\"\n"
                  "drain_timeout = \"2s\"\n"
                  "[admin]\n"
                  "socket = \"{}/admin.sock\"\n"
                  "[content]\n"
                  "root = \"{}/files\"\n"
                  "[links]\n"
                  "keyring = \"{}/keyring.toml\"\n"
                  "[ledger]\n"
                  "dir = \"{}/ledger\"\n"
                  "[shop]\n"
                  "url = \"sqlite:{}/shop.db\"\n"
                  "[log]\n"
                  "access = \"{}\"\n",
                  port, port == 0 ? 1 : port, path, path, path, path, path, log ? "stdout" : "off"),
      0644);
  return folder;
}

// -- what the shop's table says

struct TableRow {
  std::int64_t used = 0;
  std::int64_t transfers = 0;
  friend bool operator==(const TableRow&, const TableRow&) = default;
};

TableRow read_row(const std::filesystem::path& database, const std::string& link_id) {
  shop::sqlite::Connection db(database, shop::sqlite::OpenMode::read_only,
                              std::chrono::milliseconds(500));
  TableRow row;
  shop::sqlite::Statement used(db, "SELECT used FROM tg_link WHERE link_id = ?1");
  used.bind(link_id);
  if (used.step()) row.used = used.integer(0);
  shop::sqlite::Statement transfers(db, "SELECT count(*) FROM tg_download WHERE link_id = ?1");
  transfers.bind(link_id);
  if (transfers.step()) row.transfers = transfers.integer(0);
  return row;
}

// -- a customer

constexpr std::chrono::milliseconds kAcknowledged{300};

// Sends one GET for `target` from `first` on, and reads up to `bytes_max` bytes of the body.
std::uint64_t download(const std::string& address, const std::string& target, std::uint64_t first,
                       std::uint64_t bytes_max) {
  namespace asio = boost::asio;
  asio::io_context context;
  asio::ip::tcp::socket socket(context);
  const auto colon = address.rfind(':');
  const asio::ip::tcp::endpoint endpoint(
      asio::ip::make_address(address.substr(0, colon)),
      static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
  socket.connect(endpoint);
  const std::string request = fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: tallygate-demo\r\n{}"
      "Connection: close\r\n\r\n",
      target, address, first == 0 ? "" : fmt::format("Range: bytes={}-\r\n", first));
  asio::write(socket, asio::buffer(request));
  std::string received(1 << 16, '\0');
  std::string head;
  std::uint64_t body = 0;
  bool in_body = false;
  while (body < bytes_max) {
    boost::system::error_code ec;
    const std::size_t n = socket.read_some(asio::buffer(received), ec);
    if (ec) break;
    if (in_body) {
      body += n;
      continue;
    }
    head.append(received, 0, n);
    const auto end = head.find("\r\n\r\n");
    if (end == std::string::npos) continue;
    if (!head.starts_with("HTTP/1.1 20")) {
      throw std::runtime_error("refused: " + head.substr(0, head.find('\r')));
    }
    in_body = true;
    body = head.size() - end - 4;
  }
  // A socket that is closed over unread bytes is reset, and with it goes the acknowledgement of
  // what was read, which Linux holds back for up to 200 ms: the server could not know of it.
  if (body < kSampleBytes - first) std::this_thread::sleep_for(kAcknowledged);
  return body;
}

int download_once(const Application& app, const std::filesystem::path& folder,
                  const std::string& url) {
  const std::string& address = app.addresses().front();
  const std::string target = url.substr(url.find('/', std::string_view("http://").size()));
  fmt::print("a signed link, good for 3 downloads within 7 days:\n  {}\n", url);
  const std::uint64_t part = download(address, target, 0, kSampleBytes * 6 / 10);
  fmt::print("downloaded {} of {} bytes; the line breaks\n", part, kSampleBytes);
  const std::uint64_t rest = download(address, target, part, kSampleBytes);
  fmt::print("resumed, and downloaded the other {} bytes\n", rest);
  if (part + rest < kSampleBytes) {
    fmt::print(stderr, "tallygate: the download is short\n");
    return kFailed;
  }
  TableRow row;
  for (int i = 0; i < 100 && row.used == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    row = read_row(folder / "shop.db", "order-1001");
  }
  fmt::print("the shop's table says: link order-1001, used {} of 3\n", row.used);
  return row.used == 1 ? kDone : kFailed;
}

void watch(const Signals& signals, const std::filesystem::path& folder) {
  TableRow shown;
  for (;;) {
    for (int i = 0; i < 10 && !signals.stopped(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    if (signals.stopped()) return;
    const TableRow row = read_row(folder / "shop.db", "order-1001");
    if (row != shown) {
      fmt::print(stderr, "the shop's table: order-1001 used {} of 3, {} rows of history\n",
                 row.used, row.transfers);
      shown = row;
    }
  }
}

int demo(const DemoOptions& options) {
  Signals signals;
  const auto folder = make_shop(options.once ? 0 : options.port, !options.once);
  // Whatever happens, the folder goes.
  const std::unique_ptr<const std::filesystem::path, void (*)(const std::filesystem::path*)> remove(
      &folder, [](const std::filesystem::path* path) {
        std::error_code ignored;
        std::filesystem::remove_all(*path, ignored);
      });
  auto configuration = load_configuration(folder / "tallygate.toml", Purpose::serving);
  if (!configuration) {
    print_mistakes(configuration.error());
    return kSettings;
  }
  auto app = Application::start(std::move(*configuration), system_clock());
  if (!app) {
    fmt::print(stderr, "tallygate: {}\n", app.error());
    return kFailed;
  }
  const std::string base = "http://" + (*app)->addresses().front();
  const std::int64_t now = system_clock().unix_now();
  const auto sign = [&](link::LinkSpec spec) {
    spec.path = kSamplePath;
    const auto url = link::sign_url(base, spec, *(*app)->policy()->keyring, now);
    if (!url) throw std::logic_error(url.error().front().message);
    return *url;
  };
  const auto link = [&](std::int64_t expires_at, std::uint32_t rate_kbytes) {
    link::LinkSpec spec;
    spec.id = "order-1001";
    spec.limit = 3;
    spec.expires_at = expires_at;
    spec.rate_kbytes = rate_kbytes;
    return sign(spec);
  };
  int result = kDone;
  if (options.once) {
    result = download_once(**app, folder, link(now + kWeek, 0));
  } else {
    fmt::print(
        "A shop in {}: a file of 64 MiB, a keyring, a table in shop.db.\n\n"
        "Good for 3 downloads within 7 days:\n  {}\n\n"
        "The same link, slowed to 2 MB/s, to break off and resume (it counts as one):\n  {}\n\n"
        "Expired yesterday:\n  {}\n\n"
        "Try: curl -O -J -C - '<link>', break it with Ctrl-C, and again.\n"
        "     sqlite3 {}/shop.db 'SELECT * FROM tg_link'\n"
        "     tallygate links revoke --config {}/tallygate.toml order-1001\n"
        "Ctrl-C here ends the demo and removes the folder.\n\n",
        folder.string(), link(now + kWeek, 0), link(now + kWeek, 2000), link(now - 86400, 0),
        folder.string(), folder.string());
    std::fflush(stdout);
    watch(signals, folder);
  }
  (*app)->drain(signals.at_once());
  return result;
}

}  // namespace

void add_demo(CLI::App& app, int& exit_code) {
  const auto o = std::make_shared<DemoOptions>();
  CLI::App* command = app.add_subcommand(
      "demo", "a shop to play with: a sample file, a keyring, an SQLite table, links to click");
  command->add_flag("--once", o->once, "download one file, show the count in the table, and exit");
  command->add_option("--port", o->port, "port on the loopback address (default 8080; 0: any)");
  command->callback([o, &exit_code] { exit_code = demo(*o); });
}

}  // namespace tallygate::command
