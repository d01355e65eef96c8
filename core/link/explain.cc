#include "core/link/explain.h"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace tallygate::link {
namespace {

// Times beyond are milliseconds where seconds were meant: the year 5138.
constexpr std::int64_t kPlausibleSecondsMax = 99'999'999'999;

// "https://host/path?query#fragment" -> "/path?query", what a client would ask for.
std::string_view origin_form(std::string_view url) {
  url = url.substr(0, url.find('#'));
  const auto scheme = url.find("://");
  if (scheme == std::string_view::npos || url.starts_with('/')) return url;
  const auto path = url.find_first_of("/?", scheme + 3);
  return path == std::string_view::npos ? std::string_view{} : url.substr(path);
}

std::string format_time(std::int64_t unix_seconds) {
  if (unix_seconds < 0 || unix_seconds > kPlausibleSecondsMax) {
    return std::to_string(unix_seconds);
  }
  using namespace std::chrono;
  const sys_seconds at{seconds{unix_seconds}};
  const auto day = floor<days>(at);
  const year_month_day date{day};
  const hh_mm_ss time{at - day};
  return fmt::format("{} ({:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z)", unix_seconds,
                     static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()), time.hours().count(),
                     time.minutes().count(), time.seconds().count());
}

std::string show(const SignedBytes& bytes) {
  std::string text;
  for (const auto part : bytes.parts) {
    for (const char c : part) {
      if (c == '\n') {
        text += "\\n";
      } else {
        text += c;
      }
    }
  }
  return text;
}

class Explainer {
 public:
  Explainer(const Keyring& keys, const std::optional<IpAddress>& client, std::int64_t now)
      : keys_(keys), client_(client), now_(now) {}

  Explanation run(std::string_view target) {
    if (read_shape(target)) {
      explain_key();
      explain_mac();
      explain_key_limits();
      explain_link();
      explain_client();
      explain_times();
    }
    return std::move(result_);
  }

 private:
  const Keyring& keys_;
  const std::optional<IpAddress>& client_;
  const std::int64_t now_;
  Scratch scratch_;
  Explanation result_;

  std::string_view path_;
  Token token_;
  SignedBytes bytes_;
  const Key* key_ = nullptr;

  void note(std::string field, std::string value, std::string explanation,
            Verdict verdict = Verdict::ok) {
    result_.findings.push_back(
        {std::move(field), std::move(value), verdict, std::move(explanation)});
  }
  // The first refusal is the server's answer: the findings come in its order.
  void refuse(Refusal refusal, std::string field, std::string value, std::string explanation) {
    note(std::move(field), std::move(value), std::move(explanation), Verdict::failed);
    if (!result_.refusal) result_.refusal = refusal;
  }
  bool malformed(std::string field, std::string_view value, std::string_view explanation) {
    refuse(Refusal::malformed, std::move(field), std::string(value), std::string(explanation));
    return false;
  }

  bool read_shape(std::string_view target) {
    if (target.size() > kTargetBytesMax) {
      return malformed("target", fmt::format("{} bytes", target.size()),
                       "longer than the server reads (8192 bytes)");
    }
    const auto carried = find_token(target);
    if (!carried) return malformed("carrier", "", describe(carried.error()));
    note("carrier", carried->in_path ? "first path segment" : "query parameter 'tg'",
         "where the URL carries its token");

    const auto token = parse_token(carried->token, scratch_.file_name);
    if (!token) {
      const char letter = token.error().field;
      return malformed(letter == 0 ? "token" : fmt::format("{}", letter), "",
                       describe(token.error()));
    }
    token_ = *token;

    const auto path = decode_path(carried->path, scratch_.path);
    if (!path) return malformed("path", carried->path, describe(path.error()));
    path_ = *path;
    note("path", std::string(path_), "percent-decoded; this file is opened");
    if (token_.folder_segments >= count_segments(path_)) {
      return malformed("p folder", std::to_string(token_.folder_segments),
                       fmt::format("the path has only {} segments, and the last is the file",
                                   count_segments(path_)));
    }
    bytes_ = signed_bytes(path_, token_.folder_segments, token_.signed_text);
    return true;
  }

  void explain_key() {
    const std::string id(token_.key_id);
    key_ = keys_.find(id);
    if (key_ == nullptr) {
      refuse(Refusal::unknown_key, "k key", id, "the keyring has no key of this id");
    } else if (key_->is_retired(now_)) {
      refuse(Refusal::unknown_key, "k key", id,
             "retired: its not_after was " + format_time(*key_->not_after));
    } else {
      note("k key", id, "in the keyring");
    }
  }

  void explain_mac() {
    note("signed bytes", show(bytes_), "what the MAC must be over (\\n is one line feed)");
    if (key_ == nullptr) {
      note("s MAC", "", "cannot be checked without the key", Verdict::depends);
      return;
    }
    const auto mac = key_->hmac.sign(bytes_.parts);
    if (CRYPTO_memcmp(mac.data(), token_.mac.data(), mac.size()) == 0) {
      note("s MAC", "", "matches the signed bytes");
    } else {
      refuse(Refusal::bad_mac, "s MAC", "",
             "does not match: the path, a field or the key is not the one that was signed");
    }
  }

  void explain_key_limits() {
    if (key_ == nullptr) return;
    if (!key_->covers(bytes_)) {
      refuse(Refusal::out_of_scope, "key's scope", key_->scope,
             fmt::format("'{}' does not lie below it", bytes_.scope()));
    } else if (key_->scope != "/") {
      note("key's scope", key_->scope, "the link lies below it");
    }
    if (!key_->may_sign_id(token_.link_id)) {
      refuse(Refusal::out_of_scope, "key's ids", key_->ids,
             "the link's id does not begin with this");
    } else if (!key_->ids.empty()) {
      note("key's ids", key_->ids, "the link's id begins with this");
    }
  }

  void explain_link() {
    const auto id = token_.link_id.empty() ? hashed_link_id(bytes_) : LinkId(token_.link_id);
    const std::string_view origin =
        token_.link_id.empty() ? "derived from the signed bytes: the link has no id" : "as signed";
    if (token_.folder_segments > 0) {
      note("p folder", std::string(bytes_.scope()), "every file below it is granted");
      note("i link id", file_link_id(id, path_).str(),
           fmt::format("of this file; state and expiry are those of '{}' ({})", id.view(), origin));
    } else {
      note("i link id", id.str(), std::string(origin));
    }
    note("n limit", token_.limit == 0 ? "unlimited" : std::to_string(token_.limit),
         token_.limit == 0 ? "no limit is signed"
                           : "complete copies, unless the shop's row differs");
    if (!token_.file_name.empty()) {
      note("f file name", std::string(token_.file_name), "offered to the customer");
    }
    if (token_.rate_kbytes > 0) {
      note("r rate", fmt::format("{} kB/s", token_.rate_kbytes), "for each transfer");
    }
    if (!token_.data.empty()) note("d data", std::string(token_.data), "for the logs");
  }

  void explain_client() {
    if (!token_.client) return;
    const auto block = token_.client->to_string();
    if (!client_) {
      note("a client", block, "served only to these addresses", Verdict::depends);
    } else if (token_.client->contains(*client_)) {
      note("a client", block, fmt::format("contains {}", client_->to_string()));
    } else {
      refuse(Refusal::wrong_client, "a client", block,
             fmt::format("does not contain {}", client_->to_string()));
    }
  }

  void explain_times() {
    if (token_.not_before) {
      const auto at = format_time(*token_.not_before);
      if (now_ < *token_.not_before) {
        refuse(Refusal::not_yet_valid, "b not before", at,
               fmt::format("not reached at {}", format_time(now_)));
      } else {
        note("b not before", at, "reached");
      }
    }
    if (!token_.expires_at) {
      note("e expiry", "", "none is signed: served only if the shop's row has one",
           Verdict::depends);
      return;
    }
    const auto at = format_time(*token_.expires_at);
    const std::string_view doubt = *token_.expires_at > kPlausibleSecondsMax
                                       ? "; it looks like milliseconds where seconds are meant"
                                       : "";
    if (now_ >= *token_.expires_at) {
      refuse(Refusal::expired, "e expiry", at, fmt::format("reached at {}", format_time(now_)));
    } else {
      note("e expiry", at, fmt::format("not reached{}", doubt));
    }
  }
};

}  // namespace

Explanation explain(std::string_view url, const Keyring& keys,
                    const std::optional<IpAddress>& client, std::int64_t now) {
  return Explainer(keys, client, now).run(origin_form(url));
}

}  // namespace tallygate::link
