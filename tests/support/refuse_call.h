// A system call that the kernel refuses, as in a container's sandbox.
#pragma once
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace tallygate {

// In this thread and those that it makes from here on; it cannot be undone. Only calls whose second
// argument is `argument`, where that is not negative. False: this system has no seccomp.
[[nodiscard]] inline bool refuse_call(std::uint32_t call, int error, std::int64_t argument = -1) {
  const auto statement = [](unsigned code, std::uint32_t k) {
    return sock_filter{static_cast<std::uint16_t>(code), 0, 0, k};
  };
  const auto unless_equal_skip = [](std::uint32_t k, unsigned skip) {
    return sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, static_cast<std::uint8_t>(skip), k};
  };
  const bool any = argument < 0;
  std::array<sock_filter, 6> filter{
      statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      unless_equal_skip(call, 3),
      statement(BPF_LD | BPF_W | BPF_ABS,
                any ? offsetof(seccomp_data, nr) : offsetof(seccomp_data, args) + 8),
      unless_equal_skip(any ? call : static_cast<std::uint32_t>(argument), 1),
      statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error)),
      statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{filter.size(), filter.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace tallygate
