#include "server/command/successor.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "server/command/handover.h"

namespace tallygate::command {
namespace {

constexpr std::chrono::milliseconds kLook{100};
// The other process may have a long journal to read before it listens to us.
constexpr std::chrono::seconds kPatience{5};
constexpr int kPatiences = 24;
constexpr std::size_t kWaitingBytesMax = std::size_t{256} << 20;

// Where our program was started from, even if another one lies there now.
std::string own_program() {
  std::error_code ec;
  std::string path = std::filesystem::read_symlink("/proc/self/exe", ec).string();
  constexpr std::string_view kDeleted = " (deleted)";
  if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
  return path;
}

bool starts_with_any(std::string_view text, std::initializer_list<std::string_view> prefixes) {
  return std::ranges::any_of(prefixes, [&](auto prefix) { return text.starts_with(prefix); });
}

// Nothing is inherited but standard input, output and error and `channel`. Not all that we have is
// closed on exec: a connection that the child had too would outlive its end here.
Result<pid_t, std::string> spawn(const std::string& program, const std::string& settings_file,
                                 int channel) {
  std::vector<std::string> environment;
  for (char** at = environ; *at != nullptr; ++at) {
    // systemd names a process by them, and not this one.
    if (!starts_with_any(*at, {"LISTEN_", "WATCHDOG_PID=", kPredecessorVariable})) {
      environment.emplace_back(*at);
    }
  }
  constexpr int kChannel = 3;
  environment.push_back(fmt::format("{}={}", kPredecessorVariable, kChannel));
  std::vector<std::string> arguments{program, "serve", "--config", settings_file};
  const auto pointers = [](std::vector<std::string>& strings) {
    std::vector<char*> all;
    for (std::string& each : strings) all.push_back(each.data());
    all.push_back(nullptr);
    return all;
  };
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_adddup2(&files, channel, kChannel);
  ::posix_spawn_file_actions_addclosefrom_np(&files, kChannel + 1);
  sigset_t none;
  sigset_t usual;
  sigemptyset(&none);
  sigemptyset(&usual);
  sigaddset(&usual, SIGPIPE);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &usual);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t process_id = -1;
  const int failed = ::posix_spawn(&process_id, program.c_str(), &files, &attributes,
                                   pointers(arguments).data(), pointers(environment).data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&files);
  if (failed != 0) {
    return fmt::format("{} cannot be started: {}", program,
                       std::generic_category().message(failed));
  }
  return process_id;
}

void end_process(pid_t process_id) {
  ::kill(process_id, SIGKILL);
  ::waitpid(process_id, nullptr, 0);
}

}  // namespace

Result<std::unique_ptr<Successor>, std::string> Successor::start(
    const std::string& settings_file, std::string_view terms,
    const std::function<bool()>& may_wait) {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    return "a pair of sockets: " + last_error().message();
  }
  Descriptor own(pair[0]);
  Descriptor other(pair[1]);
  const auto process_id = spawn(own_program(), settings_file, other.get());
  if (!process_id) return process_id.error();
  other = Descriptor();
  pollfd readable{own.get(), POLLIN, 0};
  while (::poll(&readable, 1, static_cast<int>(kLook.count())) == 0) {
    if (may_wait()) continue;
    end_process(*process_id);
    return std::string("the new process was not ready in time");
  }
  const auto frame = receive_frame(own.get());
  if (!frame || frame->type != FrameType::ready) {
    int status = 0;
    if (frame) ::kill(*process_id, SIGKILL);
    ::waitpid(*process_id, &status, 0);
    return WIFEXITED(status)
               ? fmt::format("the new process ended with status {}", WEXITSTATUS(status))
               : std::string("the new process was ended by a signal");
  }
  const std::string wanted = fmt::format("{}\n{}", kHandoverVersion, terms);
  if (frame->payload != wanted) {
    const std::string wrong =
        frame->payload.starts_with(fmt::format("{}\n", kHandoverVersion))
            ? fmt::format(
                  "it would listen elsewhere ({}), and we listen on {}: that needs a restart",
                  frame->payload.substr(kHandoverVersion.size() + 1), terms)
            : std::string(
                  "it is of a version that cannot take over from ours: that needs a restart");
    static_cast<void>(send_frame(own.get(), FrameType::refused, wrong));
    ::waitpid(*process_id, nullptr, 0);
    return wrong;
  }
  return std::unique_ptr<Successor>(new Successor(*process_id, std::move(own)));
}

Successor::Successor(pid_t process_id, Descriptor channel)
    : process_id_(process_id), channel_(std::move(channel)) {}

Successor::~Successor() {
  hear_no_more();
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

bool Successor::give(const std::vector<net::BoundSocket>& sockets, int directory, bool run_goes_on,
                     std::function<void(const ledger::LinkKey&)> cut) {
  for (const net::BoundSocket& socket : sockets) {
    if (!send_frame(channel_.get(), FrameType::socket, socket.is_tls ? "s" : "", socket.fd.get())) {
      return false;
    }
  }
  if (!send_frame(channel_.get(), FrameType::ledger, run_goes_on ? "1" : "0", directory)) {
    return false;
  }
  const timeval at_most{kPatience.count(), 0};
  static_cast<void>(
      ::setsockopt(channel_.get(), SOL_SOCKET, SO_SNDTIMEO, &at_most, sizeof at_most));
  thread_ = std::thread([this] { run(); });
  cut_ = std::move(cut);
  hearing_ = std::thread([this] { hear(); });
  return true;
}

void Successor::hear() {
  while (const auto frame = receive_frame(channel_.get())) {
    const auto link = decode_link(frame->payload);
    if (frame->type == FrameType::cut && link) cut_(*link);
  }
}

void Successor::hear_no_more() {
  ::shutdown(channel_.get(), SHUT_RD);
  if (hearing_.joinable()) hearing_.join();
}

void Successor::tell(std::string_view records) {
  const std::lock_guard lock(mutex_);
  if (waiting_.size() > kWaitingBytesMax) return;  // it hangs: what it does not hear is in doubt
  waiting_ += encode_frame(FrameType::records, records);
  wake_.notify_one();
}

void Successor::run() {
  std::string frames;
  int waited = 0;
  for (bool hears = true;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      frames.clear();
      frames.swap(waiting_);
    }
    std::string_view left = frames;
    while (hears && !left.empty()) {
      const ssize_t n = ::send(channel_.get(), left.data(), left.size(), MSG_NOSIGNAL);
      if (n > 0) {
        waited = 0;
        left.remove_prefix(static_cast<std::size_t>(n));
        continue;
      }
      if (n < 0 && errno == EINTR) continue;
      const bool is_late = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
      hears = is_late && ++waited < kPatiences;
    }
  }
}

}  // namespace tallygate::command
