// What the process that hands over and the one that takes over say to each other, on a stream
// socket: frames of a type, a length and a payload, some with a descriptor.
//
//   new: ready    payload: version of this protocol, terms
//   old: refused  payload: why; it goes on serving
//   old: socket   for each listening socket; payload "s" with TLS, else ""; a descriptor
//   old: ledger   payload "1": the journal's run goes on; else "0"; a descriptor
//   old: records  of the journal, as they are encoded there; until it ends
//   new: cut      the link's transfers are to be cut; payload: its key
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/config/settings.h"
#include "core/ledger/record.h"
#include "server/net/descriptor.h"

namespace tallygate::command {

inline constexpr std::string_view kHandoverVersion = "1";
// The number of the descriptor that a successor speaks through.
inline constexpr const char* kPredecessorVariable = "TALLYGATE_PREDECESSOR";

enum class FrameType : std::uint32_t { ready = 1, refused, socket, ledger, records, cut };

struct Frame {
  FrameType type = FrameType::ready;
  std::string payload;
  Descriptor descriptor;
};

// What must not change from one process to the next: a listening socket is handed over as it is.
[[nodiscard]] std::string handover_terms(const config::Settings& settings);

[[nodiscard]] std::string encode_link(const ledger::LinkKey& link);
[[nodiscard]] std::optional<ledger::LinkKey> decode_link(std::string_view payload);
[[nodiscard]] std::string encode_frame(FrameType type, std::string_view payload);
// Blocking. False: the other side has ended.
[[nodiscard]] bool send_frame(int channel, FrameType type, std::string_view payload,
                              int descriptor = -1);
// Blocking. nullopt: the other side has ended, or what it says is no frame.
[[nodiscard]] std::optional<Frame> receive_frame(int channel);

}  // namespace tallygate::command
