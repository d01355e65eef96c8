#include "core/http/log_quota.h"

#include <xxhash.h>

namespace tallygate::http {

LogQuota::LogQuota() : table_(2 * kClientsMax) {}

bool LogQuota::admit(std::uint64_t key, std::string_view shown, std::uint32_t lines_max) {
  std::size_t at = XXH3_64bits(&key, sizeof key) % table_.size();
  while (table_[at].lines != 0 && table_[at].key != key) at = (at + 1) % table_.size();
  Client& client = table_[at];
  if (client.lines == 0) {
    if (clients_ == kClientsMax || lines_max == 0) {
      ++left_out_of_others_;
      return false;
    }
    ++clients_;
    client.key = key;
    client.shown_bytes =
        static_cast<std::uint32_t>(shown.copy(client.shown.data(), client.shown.size()));
  }
  if (client.lines >= lines_max) {
    ++client.left_out;
    return false;
  }
  ++client.lines;
  return true;
}

void LogQuota::end_window(
    const std::function<void(std::string_view shown, std::uint64_t lines)>& tell) {
  for (Client& client : table_) {
    if (client.left_out != 0) tell({client.shown.data(), client.shown_bytes}, client.left_out);
    client = {};
  }
  if (left_out_of_others_ != 0) tell({}, left_out_of_others_);
  clients_ = 0;
  left_out_of_others_ = 0;
}

}  // namespace tallygate::http
