// The verify path allocates nothing: not by operator new, not by malloc, not within OpenSSL.
//
// Every allocation of the process is counted: malloc and its kin are replaced here, and operator
// new and OpenSSL end in them. Under a sanitizer, which replaces malloc itself, its hook counts.
#include <gtest/gtest.h>
#include <openssl/crypto.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "core/link/base64url.h"
#include "core/link/verify.h"
#include "tests/core/link/signed_target.h"

namespace {

std::atomic<std::size_t> allocations{0};

}  // namespace

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

// From <sanitizer/allocator_interface.h>, which GCC's library has and its packages lack.
extern "C" int __sanitizer_install_malloc_and_free_hooks(  // NOLINT(bugprone-reserved-identifier)
    void (*on_malloc)(const volatile void*, std::size_t), void (*on_free)(const volatile void*));

namespace {

const int hooks_installed = __sanitizer_install_malloc_and_free_hooks(
    [](const volatile void*, std::size_t) { ++allocations; }, [](const volatile void*) {});

}  // namespace

#else

// glibc's own entry points, under the names that it offers to those who replace malloc.
extern "C" {
void* __libc_malloc(std::size_t size);                     // NOLINT(bugprone-reserved-identifier)
void* __libc_calloc(std::size_t count, std::size_t size);  // NOLINT(bugprone-reserved-identifier)
void* __libc_realloc(void* old, std::size_t size);         // NOLINT(bugprone-reserved-identifier)
void* __libc_memalign(std::size_t alignment,
                      std::size_t size);  // NOLINT(bugprone-reserved-identifier)

void* malloc(std::size_t size) {
  ++allocations;
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  ++allocations;
  return __libc_calloc(count, size);
}
void* realloc(void* old, std::size_t size) {
  ++allocations;
  return __libc_realloc(old, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  ++allocations;
  return __libc_memalign(alignment, size);
}
}

#endif

namespace tallygate::link {
namespace {

template <class Function>
std::size_t allocations_in(const Function& function) {
  const auto before = allocations.load();
  function();
  return allocations.load() - before;
}

// Otherwise the zeros below would prove nothing.
// A store that the optimizer must keep, or it would leave out the allocation as well.
void* volatile escaped = nullptr;

void* keep(void* memory) {
  escaped = memory;
  return memory;
}

TEST(LinkVerifyAllocation, IsSeenWhereItHappens) {
  std::string text = "short";
  EXPECT_GE(allocations_in([&] { text.assign(1000, 'x'); }), 1U);
  EXPECT_GE(allocations_in([&] { std::free(keep(std::malloc(text.size()))); }), 1U);
  EXPECT_GE(allocations_in([&] { OPENSSL_free(keep(OPENSSL_malloc(text.size()))); }), 1U);
  struct alignas(64) Line {
    char bytes[64];
  };
  EXPECT_GE(allocations_in([&] { keep(std::make_unique<Line>().get()); }), 1U);
}

TEST(LinkVerifyAllocation, DoesNotHappenWhateverTheAnswer) {
  const auto keys = shop_keyring("scope = \"/music/\"\n");
  const auto client = IpAddress::parse("192.0.2.7").value();
  const std::string text = "1.kshop2.e1767225600";
  const std::vector<std::pair<std::string, std::optional<Refusal>>> kCases = {
      {signed_target("/music/a.flac", text + ".i1001-7.n3"), std::nullopt},
      {signed_target("/music/a.flac", text), std::nullopt},
      {"/music/live/a.flac?tg=" + signed_token("prefix:/music/live/", text + ".p2"), std::nullopt},
      {signed_target("/music/" + std::string(7000, 'a'), text), std::nullopt},
      {signed_target("/music/a.flac", text + ".a" + encode_base64url("2001:db8::/64") + ".f" +
                                          encode_base64url("Größe.flac") + ".r500.dmail"),
       Refusal::wrong_client},
      {signed_target("/films/a.mkv", text), Refusal::out_of_scope},
      {signed_target("/music/a.flac", text, "another secret"), Refusal::bad_mac},
      {signed_target("/music/a.flac", "1.kshop3.e1767225600"), Refusal::unknown_key},
      {"/music/a.flac?tg=" + std::string(8000, '.'), Refusal::malformed},
      {"/music/a.flac?tg=1.k" + std::string(8000, 'k'), Refusal::malformed},
      {"/", Refusal::malformed},
      {std::string(100'000, '/'), Refusal::malformed},
  };
  Scratch scratch;
  for (const auto& [target, refusal] : kCases) {
    std::optional<Refusal> answer;
    const auto count = allocations_in([&, t = std::string_view(target)] {
      const auto result = authenticate(t, keys, client, 1'700'000'000, scratch);
      answer = result ? check_times(*result, {}, {}, 1'700'000'000) : result.error();
    });
    EXPECT_EQ(answer, refusal) << target.substr(0, 200);
    EXPECT_EQ(count, 0U) << target.substr(0, 200);
  }
}

static_assert(noexcept(authenticate({}, std::declval<const Keyring&>(), {}, 0,
                                    std::declval<Scratch&>())));

}  // namespace
}  // namespace tallygate::link
