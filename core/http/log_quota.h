// How many lines of a log one client may cause: what anybody can send for nothing must not fill a
// disk, nor bury the lines that matter.
//
// Counts in windows, whose length and end the caller keeps. For one thread at a time; reads no
// clock. Allocates once, when it is made.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace tallygate::http {

class LogQuota {
 public:
  // Clients that are told apart in a window. Whoever comes when there are so many gets no line, and
  // is counted among all others: a log has a bound even if each line has another sender.
  static constexpr std::size_t kClientsMax = 1024;

  LogQuota();

  // A line of the client `key` (net::address_key), which is shown as `shown`: whether it may be
  // written. If not, it is counted. Of `shown` 46 bytes are kept, the longest address. Costs one
  // look into a table.
  [[nodiscard]] bool admit(std::uint64_t key, std::string_view shown, std::uint32_t lines_max);
  // Nothing was asked since the last window ended.
  [[nodiscard]] bool is_empty() const { return clients_ == 0; }
  // A new window begins. `tell` is called for each client with lines left out, and last for all
  // others together, whose name is empty.
  void end_window(const std::function<void(std::string_view shown, std::uint64_t lines)>& tell);

 private:
  struct Client {
    std::uint64_t key = 0;
    std::uint64_t left_out = 0;
    std::uint32_t lines = 0;  // asked for and written; 0: the place is free
    std::uint32_t shown_bytes = 0;
    std::array<char, 46> shown{};
  };
  std::vector<Client> table_;  // open addressing, half of it free at least
  std::size_t clients_ = 0;
  std::uint64_t left_out_of_others_ = 0;
};

}  // namespace tallygate::http
