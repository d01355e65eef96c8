#include "server/admin/sign.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/config/time_text.h"
#include "core/link/sign.h"

namespace tallygate::admin {
namespace {

namespace json = boost::json;

// The member's name for what LinkSpec calls `field`.
std::string_view member_of(std::string_view field) {
  if (field == "limit") return "max";
  if (field == "expires_at") return "expires";
  if (field == "not_before") return "starts";
  if (field == "client") return "ip";
  if (field == "file_name") return "name";
  if (field == "rate_kbytes") return "rate";
  if (field == "key_id") return "key";
  if (field == "folder_segments") return "folder";
  return field;
}

// Takes the members out of the body one by one; what is left nobody knows.
class Reader {
 public:
  Reader(json::object body, std::int64_t now) : body_(std::move(body)), now_(now) {}

  void text(std::string_view name, std::string& out) {
    const auto value = take(name);
    if (!value) return;
    if (!value->is_string()) return wrong(name, "must be a text");
    out = value->get_string();
  }
  void number(std::string_view name, std::uint32_t& out) {
    const auto value = take(name);
    if (!value) return;
    const std::int64_t* number = value->if_int64();
    if (number == nullptr || *number < 0 || *number > UINT32_MAX) {
      return wrong(name, "must be a number below 2^32");
    }
    out = static_cast<std::uint32_t>(*number);
  }
  void flag(std::string_view name, bool& out) {
    const auto value = take(name);
    if (!value) return;
    if (!value->is_bool()) return wrong(name, "must be true or false");
    out = value->get_bool();
  }
  void time(std::string_view name, std::optional<std::int64_t>& out) {
    const auto value = take(name);
    if (!value) return;
    if (!value->is_string() && !value->is_int64()) return wrong(name, "must be a text or a number");
    const std::string written = value->is_string() ? std::string(value->get_string())
                                                   : fmt::format("{}", value->get_int64());
    const auto read = config::parse_time(written, now_);
    if (!read) return wrong(name, read.error().what);
    out = *read;
  }
  void wrong(std::string_view name, std::string_view what) {
    mistakes_.push_back(fmt::format("\"{}\": {}", name, what));
  }
  [[nodiscard]] std::vector<std::string> mistakes() {
    for (const auto& [name, value] : body_) wrong({name.data(), name.size()}, "no such member");
    return std::move(mistakes_);
  }

 private:
  // A null is as good as nothing.
  std::optional<json::value> take(std::string_view name) {
    const json::value* value = body_.if_contains(name);
    if (value == nullptr) return std::nullopt;
    json::value taken = *value;
    body_.erase(name);
    return taken.is_null() ? std::nullopt : std::optional(std::move(taken));
  }

  json::object body_;
  const std::int64_t now_;
  std::vector<std::string> mistakes_;
};

Response refuse(const Request& request, const std::vector<std::string>& mistakes) {
  return respond(request, Status::bad_request,
                 {{"error", fmt::format("{}", fmt::join(mistakes, "; "))},
                  {"mistakes", json::array(mistakes.begin(), mistakes.end())}});
}

}  // namespace

Task<Response> post_sign(const Call& call) {
  boost::system::error_code ec;
  const json::value body = json::parse(call.request.body(), ec);
  if (ec || !body.is_object()) {
    co_return error(call.request, Status::bad_request, "the body must be a JSON object");
  }
  const std::int64_t now = call.ports.services.clock.unix_now();
  Reader reader(body.get_object(), now);
  link::LinkSpec spec;
  bool folder = false;
  reader.text("path", spec.path);
  reader.text("id", spec.id);
  reader.number("max", spec.limit);
  reader.time("expires", spec.expires_at);
  reader.time("starts", spec.not_before);
  reader.text("ip", spec.client);
  reader.text("name", spec.file_name);
  reader.number("rate", spec.rate_kbytes);
  reader.text("data", spec.data);
  reader.text("key", spec.key_id);
  reader.flag("folder", folder);
  reader.flag("token_in_path", spec.token_in_path);
  if (folder) {
    const auto segments = link::segments_of_folder(spec.path);
    if (segments) spec.folder_segments = *segments;
    if (!segments) reader.wrong("folder", segments.error().message);
  }
  const auto mistakes = reader.mistakes();
  if (!mistakes.empty()) co_return refuse(call.request, mistakes);
  const auto policy = call.ports.services.policies.current();
  const auto url = link::sign_url(policy->settings.server.base_url, spec, *policy->keyring, now);
  if (!url) {
    std::vector<std::string> wrong;
    for (const link::SpecMistake& m : url.error()) {
      wrong.push_back(fmt::format("\"{}\": {}", member_of(m.field), m.message));
    }
    co_return refuse(call.request, wrong);
  }
  co_return respond(call.request, Status::ok, {{"url", *url}});
}

}  // namespace tallygate::admin
