#include "server/command/predecessor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "server/command/handover.h"
#include "server/net/say.h"

namespace tallygate::command {

std::unique_ptr<Predecessor> Predecessor::find() {
  const char* const text = std::getenv(kPredecessorVariable);
  if (text == nullptr) return nullptr;
  int number = -1;
  const auto read = std::from_chars(text, text + std::strlen(text), number);
  ::unsetenv(kPredecessorVariable);
  if (read.ec != std::errc() || ::fcntl(number, F_SETFD, FD_CLOEXEC) != 0) return nullptr;
  return std::unique_ptr<Predecessor>(new Predecessor(Descriptor(number)));
}

Predecessor::~Predecessor() {
  stopping_ = true;
  ::shutdown(channel_.get(), SHUT_RDWR);
  if (thread_.joinable()) thread_.join();
}

Result<Predecessor::Given, std::string> Predecessor::take(std::string_view terms) {
  static_cast<void>(
      send_frame(channel_.get(), FrameType::ready, fmt::format("{}\n{}", kHandoverVersion, terms)));
  Given given;
  for (;;) {
    auto frame = receive_frame(channel_.get());
    if (!frame) return std::string("the process before this one has ended without handing over");
    if (frame->type == FrameType::refused) {
      return "the process before this one does not hand over: " + frame->payload;
    }
    const bool is_socket = frame->type == FrameType::socket;
    if (!frame->descriptor || (!is_socket && frame->type != FrameType::ledger)) {
      return std::string("the process before this one hands over something unknown");
    }
    if (!is_socket) {
      given.directory = std::move(frame->descriptor);
      given.run_goes_on = frame->payload == "1";
      return given;
    }
    (frame->payload == "s" ? given.sockets.https : given.sockets.http)
        .push_back(std::move(frame->descriptor));
  }
}

void Predecessor::follow(ledger::Ledger& ledger) {
  thread_ = std::thread([this, &ledger] { run(ledger); });
}

void Predecessor::cut(const ledger::LinkKey& link) {
  if (ended_) return;
  const std::lock_guard lock(sending_);
  static_cast<void>(send_frame(channel_.get(), FrameType::cut, encode_link(link)));
}

void Predecessor::run(ledger::Ledger& ledger) {
  for (;;) {
    const auto frame = receive_frame(channel_.get());
    if (!frame || frame->type != FrameType::records) break;
    if (!ledger.take(frame->payload)) {
      say(Severity::error,
          "what the process before this one tells of its transfers makes no sense");
      break;
    }
  }
  if (stopping_) return;
  const std::size_t lost = ledger.lose_inherited();
  ended_ = true;
  if (lost == 0) {
    say(Severity::info, "the process before this one has finished its transfers");
  } else {
    say(Severity::warning,
        fmt::format("the process before this one has ended; {} transfers that it has not settled "
                    "are in doubt",
                    lost));
  }
}

}  // namespace tallygate::command
