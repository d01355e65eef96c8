#include "core/link/sign.h"

#include <fmt/format.h>

#include <stdexcept>
#include <utility>

#include "core/link/base64url.h"
#include "core/link/path.h"
#include "core/link/signed_bytes.h"
#include "core/link/text.h"
#include "core/link/token.h"

namespace tallygate::link {
namespace {

using Mistakes = std::vector<SpecMistake>;

void check_path(const LinkSpec& spec, Mistakes& mistakes) {
  std::string_view path = spec.path;
  const bool is_folder = spec.folder_segments > 0 && path.size() > 1 && path.ends_with('/');
  if (is_folder) path.remove_suffix(1);
  if (const auto fault = find_path_fault(path)) {
    mistakes.push_back({"path", std::string(describe(*fault))});
    return;
  }
  const auto segments_max = count_segments(path) - (is_folder ? 0 : 1);
  if (spec.folder_segments > segments_max) {
    mistakes.push_back({"folder_segments",
                        fmt::format("{} segments cannot be signed: the path has {} above the file",
                                    spec.folder_segments, segments_max)});
  }
}

void check_id_and_limit(const LinkSpec& spec, Mistakes& mistakes) {
  if (!spec.id.empty() && !is_link_id(spec.id)) {
    mistakes.push_back(
        {"id", fmt::format("a link id is 1 to {} of A-Z a-z 0-9 _ -", kLinkIdBytesMax)});
  }
  if (spec.limit > kLimitMax) mistakes.push_back({"limit", "a limit is below 2^31"});
  if (spec.limit > 0 && spec.id.empty()) {
    mistakes.push_back(
        {"limit", "a limit needs an id: without one every fresh URL would be a fresh link"});
  }
}

void check_times(const LinkSpec& spec, Mistakes& mistakes) {
  if (spec.expires_at.value_or(0) < 0) {
    mistakes.push_back({"expires_at", "a time before 1970 cannot be signed"});
  }
  if (spec.not_before.value_or(0) < 0) {
    mistakes.push_back({"not_before", "a time before 1970 cannot be signed"});
  }
  if (spec.expires_at && spec.not_before && *spec.expires_at <= *spec.not_before) {
    mistakes.push_back({"expires_at", "the link would expire before it is valid"});
  }
}

void check_extras(const LinkSpec& spec, Mistakes& mistakes) {
  if (!spec.client.empty() && !IpBlock::parse(spec.client)) {
    mistakes.push_back({"client", fmt::format("'{}' is not an IP address or CIDR block (such as "
                                              "192.0.2.0/24 or 2001:db8::/64)",
                                              spec.client)});
  }
  if (!spec.file_name.empty() && !is_file_name(spec.file_name)) {
    mistakes.push_back(
        {"file_name", fmt::format("a file name is UTF-8 without control characters, '/' and '\\', "
                                  "at most {} bytes",
                                  kFileNameBytesMax)});
  }
  if (spec.rate_kbytes > kLimitMax) mistakes.push_back({"rate_kbytes", "a rate is below 2^31"});
  if (!is_id_text(spec.data)) {
    mistakes.push_back({"data", "data is made of A-Z a-z 0-9 _ -"});
  }
}

const Key* choose_key(const LinkSpec& spec, const Keyring& keys, std::int64_t now,
                      Mistakes& mistakes) {
  const auto fail = [&](std::string_view field, std::string message) -> const Key* {
    mistakes.push_back({field, std::move(message)});
    return nullptr;
  };
  if (spec.key_id.empty()) {
    const auto* const key = keys.signing_key(now);
    return key != nullptr ? key : fail("keyring", "no key has use = \"sign\" and is not retired");
  }
  const auto* const key = keys.find(spec.key_id);
  if (key == nullptr) return fail("key_id", fmt::format("no key has the id '{}'", spec.key_id));
  if (key->use != Key::Use::sign) {
    return fail("key_id", fmt::format("key '{}' has use = \"verify\"", spec.key_id));
  }
  if (key->is_retired(now)) {
    return fail("key_id", fmt::format("key '{}' is past its not_after", spec.key_id));
  }
  return key;
}

void check_allowed(const Key& key, const LinkSpec& spec, const SignedBytes& bytes,
                   Mistakes& mistakes) {
  if (!key.covers(bytes)) {
    mistakes.push_back({spec.folder_segments > 0 ? "folder_segments" : "path",
                        fmt::format("key '{}' signs only below '{}'", key.id.view(), key.scope)});
  }
  if (!key.may_sign_id(spec.id)) {
    mistakes.push_back({"id", fmt::format("key '{}' signs only ids that begin with '{}'",
                                          key.id.view(), key.ids)});
  }
}

// In the order of the wire form, without the MAC.
std::string token_text(const Key& key, const LinkSpec& spec) {
  std::string text = fmt::format("1.k{}", key.id.view());
  const auto field = [&text](char letter, const auto& value) {
    fmt::format_to(std::back_inserter(text), ".{}{}", letter, value);
  };
  if (spec.expires_at) field('e', *spec.expires_at);
  if (spec.not_before) field('b', *spec.not_before);
  if (!spec.id.empty()) field('i', spec.id);
  if (spec.limit > 0) field('n', spec.limit);
  if (spec.folder_segments > 0) field('p', spec.folder_segments);
  if (!spec.client.empty()) field('a', encode_base64url(spec.client));
  if (!spec.file_name.empty()) field('f', encode_base64url(spec.file_name));
  if (spec.rate_kbytes > 0) field('r', spec.rate_kbytes);
  if (!spec.data.empty()) field('d', spec.data);
  return text;
}

}  // namespace

void throw_exception_from_error(const SpecMistake& mistake, const boost::source_location&) {
  throw std::invalid_argument(mistake.message);
}

Result<std::uint32_t, SpecMistake> segments_of_folder(std::string_view path) {
  const bool is_folder = path.size() > 1 && path.ends_with('/');
  if (is_folder) path.remove_suffix(1);
  const std::size_t segments = count_segments(path);
  if (!is_folder && segments < 2) {
    return SpecMistake{"folder_segments", fmt::format("{} is in no folder below the root", path)};
  }
  return static_cast<std::uint32_t>(is_folder ? segments : segments - 1);
}

Result<std::string, std::vector<SpecMistake>> sign_url(std::string_view base_url,
                                                       const LinkSpec& spec, const Keyring& keys,
                                                       std::int64_t now) {
  Mistakes mistakes;
  check_path(spec, mistakes);
  check_id_and_limit(spec, mistakes);
  check_times(spec, mistakes);
  check_extras(spec, mistakes);
  const auto* const key = choose_key(spec, keys, now, mistakes);
  if (!mistakes.empty()) return mistakes;

  auto token = token_text(*key, spec);
  const std::string_view scope =
      spec.folder_segments == 0 ? spec.path : leading_folder(spec.path, spec.folder_segments);
  const auto bytes = signed_bytes(scope, token);
  check_allowed(*key, spec, bytes, mistakes);
  const auto mac = key->hmac.sign(bytes.parts);
  token += ".s";
  for (const auto byte : mac) fmt::format_to(std::back_inserter(token), "{:02x}", byte);

  const auto path = encode_path(spec.path);
  const auto target = spec.token_in_path ? fmt::format("/tg={}{}", token, path)
                                         : fmt::format("{}?tg={}", path, token);
  if (target.size() > kTargetBytesMax) {
    mistakes.push_back(
        {"path", fmt::format("the signed URL is longer than {} bytes", kTargetBytesMax)});
  }
  if (!mistakes.empty()) return mistakes;
  while (base_url.ends_with('/')) base_url.remove_suffix(1);
  return fmt::format("{}{}", base_url, target);
}

}  // namespace tallygate::link
