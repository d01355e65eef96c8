#include "core/link/verify.h"

#include <openssl/crypto.h>

namespace tallygate::link {
namespace {

constexpr std::uint64_t kKilobyte = 1000;

// A token of the right shape on a path that it can be about.
struct Candidate {
  std::string_view path;
  Token token;
  SignedBytes bytes;
};

std::optional<Candidate> read_shape(std::string_view target, Scratch& scratch) noexcept {
  if (target.size() > kTargetBytesMax) return std::nullopt;
  const auto carried = find_token(target);
  if (!carried) return std::nullopt;
  const auto token = parse_token(carried->token, scratch.file_name);
  if (!token) return std::nullopt;
  const auto path = decode_path(carried->path, scratch.path);
  if (!path) return std::nullopt;
  if (token->folder_segments >= count_segments(*path)) return std::nullopt;
  return Candidate{*path, *token, signed_bytes(*path, token->folder_segments, token->signed_text)};
}

Grant make_grant(const Candidate& candidate) noexcept {
  const auto& token = candidate.token;
  Grant grant{
      .path = candidate.path,
      .file_name = token.file_name.empty() ? last_segment(candidate.path) : token.file_name,
      .key_id = token.key_id,
      .data = token.data,
      .link_id = token.link_id.empty() ? hashed_link_id(candidate.bytes) : LinkId(token.link_id),
      .parent_id = {},
      .limit = token.limit,
      .expires_at = token.expires_at,
      .not_before = token.not_before,
      .bytes_per_second = token.rate_kbytes * kKilobyte,
  };
  if (token.folder_segments > 0) {
    grant.parent_id = grant.link_id;
    grant.link_id = file_link_id(grant.parent_id, candidate.path);
  }
  return grant;
}

}  // namespace

std::string_view to_string(Refusal refusal) noexcept {
  switch (refusal) {
    case Refusal::malformed:
      return "malformed";
    case Refusal::unknown_key:
      return "unknown_key";
    case Refusal::bad_mac:
      return "bad_mac";
    case Refusal::out_of_scope:
      return "out_of_scope";
    case Refusal::wrong_client:
      return "wrong_client";
    case Refusal::not_yet_valid:
      return "not_yet_valid";
    case Refusal::expired:
      return "expired";
    case Refusal::revoked:
      return "revoked";
  }
  return "unknown";
}

Result<Grant, Refusal> authenticate(std::string_view target, const Keyring& keys,
                                    const IpAddress& client, std::int64_t now,
                                    Scratch& scratch) noexcept {
  const auto candidate = read_shape(target, scratch);
  if (!candidate) return Refusal::malformed;
  const auto& token = candidate->token;

  const Key* const key = keys.find(token.key_id);
  const auto mac = (key != nullptr ? key->hmac : keys.decoy()).sign(candidate->bytes.parts);
  const bool genuine = CRYPTO_memcmp(mac.data(), token.mac.data(), mac.size()) == 0;
  if (key == nullptr || key->is_retired(now)) return Refusal::unknown_key;
  if (!genuine) return Refusal::bad_mac;

  if (!key->covers(candidate->bytes) || !key->may_sign_id(token.link_id)) {
    return Refusal::out_of_scope;
  }
  if (token.client && !token.client->contains(client)) return Refusal::wrong_client;
  return make_grant(*candidate);
}

std::optional<Refusal> check_times(const Grant& grant, const RowTimes& row, ResumeGrace grace,
                                   std::int64_t now) noexcept {
  const auto not_before = row.not_before ? row.not_before : grant.not_before;
  const auto expires_at = row.expires_at ? row.expires_at : grant.expires_at;
  if (!expires_at) return Refusal::malformed;
  if (not_before && now < *not_before) return Refusal::not_yet_valid;
  if (now < *expires_at) return std::nullopt;
  if (!grace.has_unfinished_copy) return Refusal::expired;
  // Both are at most 2^63 - 1 and `now` is past the expiry: as unsigned numbers nothing overflows.
  const auto late = static_cast<std::uint64_t>(now) - static_cast<std::uint64_t>(*expires_at);
  if (grace.seconds > 0 && late < static_cast<std::uint64_t>(grace.seconds)) return std::nullopt;
  return Refusal::expired;
}

}  // namespace tallygate::link
