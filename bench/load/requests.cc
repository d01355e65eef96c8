#include "bench/load/requests.h"

#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <memory>
#include <random>
#include <span>
#include <stdexcept>

namespace tallygate::load {
namespace {

// As many different ranges as keep a run from finding a pattern in them.
constexpr std::size_t kRangesPerRun = 4096;
constexpr std::int64_t kLifetimeSeconds = 604'800;  // a week

std::string hex(std::span<const unsigned char> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

// Keeps the keyed state: hundreds of thousands of links are signed before each run.
class HmacSha256 {
 public:
  explicit HmacSha256(const std::string& key)
      : mac_(EVP_MAC_fetch(nullptr, "HMAC", nullptr), EVP_MAC_free),
        context_(EVP_MAC_CTX_new(mac_.get()), EVP_MAC_CTX_free) {
    std::string digest = "SHA256";
    const std::array<OSSL_PARAM, 2> parameters{
        OSSL_PARAM_construct_utf8_string("digest", digest.data(), 0), OSSL_PARAM_construct_end()};
    if (EVP_MAC_init(context_.get(), reinterpret_cast<const unsigned char*>(key.data()), key.size(),
                     parameters.data()) != 1) {
      throw std::runtime_error("no HMAC-SHA256");
    }
  }

  std::string of(std::string_view text) {
    std::array<unsigned char, 32> mac{};
    std::size_t size = 0;
    EVP_MAC_init(context_.get(), nullptr, 0, nullptr);
    EVP_MAC_update(context_.get(), reinterpret_cast<const unsigned char*>(text.data()),
                   text.size());
    EVP_MAC_final(context_.get(), mac.data(), &size, mac.size());
    return hex(mac);
  }

 private:
  std::unique_ptr<EVP_MAC, decltype(&EVP_MAC_free)> mac_;
  std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)> context_;
};

std::string md5_base64url(const std::string& text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_md5(), nullptr) != 1) {
    throw std::runtime_error("no MD5");
  }
  std::array<unsigned char, 64> encoded{};
  EVP_EncodeBlock(encoded.data(), digest.data(), static_cast<int>(size));
  std::string out(reinterpret_cast<const char*>(encoded.data()));
  std::replace(out.begin(), out.end(), '+', '-');
  std::replace(out.begin(), out.end(), '/', '_');
  return out.substr(0, out.find('='));
}

class Signer {
 public:
  explicit Signer(const Wanted& wanted)
      : wanted_(wanted),
        expires_(std::to_string(std::time(nullptr) + kLifetimeSeconds)),
        hmac_(wanted.secret) {}

  // The request target of a link.
  std::string target(const std::string& path, const std::string& id) {
    const std::string limit = std::to_string(wanted_.limit);
    switch (wanted_.scheme) {
      case Scheme::none:
        return path;
      case Scheme::tallygate: {
        std::string token = "1.kk1.e" + expires_ + ".i" + id;
        if (wanted_.limit != 0) token += ".n" + limit;
        return path + "?tg=" + token + ".s" +
               hmac_.of("tallygate-link-1\npath:" + path + "\n" + token);
      }
      case Scheme::secure_link:
        return path + "?id=" + id + "&e=" + expires_ +
               "&s=" + md5_base64url(expires_ + path + id + " " + wanted_.secret);
      case Scheme::lua:
        return path + "?id=" + id + "&n=" + limit + "&e=" + expires_ +
               "&s=" + hmac_.of(id + ":" + limit + ":" + expires_ + ":" + path);
    }
    throw std::logic_error("no such scheme");
  }

 private:
  const Wanted& wanted_;
  const std::string expires_;
  HmacSha256 hmac_;
};

// Appends a request for `target` to `text`; what its answer must be goes to `request`.
void append_request(const Wanted& wanted, const std::string& target, std::mt19937_64& random,
                    std::string& text, Request& request) {
  text.append("GET ").append(target).append(" HTTP/1.1\r\nHost: ").append(wanted.host);
  text.append("\r\nUser-Agent: tallygate-load\r\nAccept: */*\r\n");
  request.body_bytes = wanted.file_bytes;
  if (wanted.range_bytes != 0) {
    request.partial = true;
    request.body_bytes = wanted.range_bytes;
    request.first_byte = random() % (wanted.file_bytes - wanted.range_bytes + 1);
    text.append("Range: bytes=").append(std::to_string(request.first_byte)).append("-");
    text.append(std::to_string(request.first_byte + wanted.range_bytes - 1)).append("\r\n");
  }
  if (wanted.close) text.append("Connection: close\r\n");
  text.append("\r\n");
}

}  // namespace

Requests::Requests(const Wanted& wanted) {
  const bool are_ranges = wanted.range_bytes != 0;
  requests_.resize(are_ranges ? std::max(wanted.links, kRangesPerRun) : wanted.links);
  // A microsecond of the clock for each id: no run makes as many links as that.
  const auto first_id = std::chrono::duration_cast<std::chrono::microseconds>(
                            std::chrono::system_clock::now().time_since_epoch())
                            .count();
  std::mt19937_64 random(requests_.size());  // the same places in the file for each server
  Signer signer(wanted);
  std::vector<std::string> targets(are_ranges ? wanted.links : 1);  // those that are used again
  std::vector<std::size_t> ends;                                    // the text moves while it grows
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    std::string& target = targets[i % targets.size()];
    if (i < wanted.links) {
      target = signer.target(wanted.paths[i % wanted.paths.size()],
                             std::to_string(first_id + static_cast<std::int64_t>(i)));
    }
    append_request(wanted, target, random, text_, requests_[i]);
    ends.push_back(text_.size());
  }
  std::size_t begin = 0;
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    requests_[i].text = std::string_view(text_).substr(begin, ends[i] - begin);
    begin = ends[i];
  }
}

}  // namespace tallygate::load
