#include "server/admin/http.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

namespace tallygate::admin {

using Field = boost::beast::http::field;

Response respond(const Request& request, Status status, std::string_view content_type,
                 std::string body) {
  Response response(status, request.version());
  response.set(Field::content_type, {content_type.data(), content_type.size()});
  response.set(Field::cache_control, "no-store");
  response.set("X-Content-Type-Options", "nosniff");
  response.keep_alive(request.keep_alive());
  response.body() = std::move(body);
  response.prepare_payload();
  return response;
}

Response respond(const Request& request, Status status, const boost::json::object& body) {
  return respond(request, status, "application/json", boost::json::serialize(body) + "\n");
}

Response see_other(const Request& request, std::string_view location) {
  Response response = respond(request, Status::see_other, "text/plain", {});
  response.set(Field::location, {location.data(), location.size()});
  return response;
}

Response error(const Request& request, Status status, std::string_view sentence) {
  return respond(request, status, {{"error", sentence}});
}

}  // namespace tallygate::admin
