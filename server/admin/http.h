// Requests and answers as the handlers see them. Beast's messages are good enough here.
#pragma once
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/verb.hpp>
#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

namespace tallygate::admin {

using Request = boost::beast::http::request<boost::beast::http::string_body>;
using Response = boost::beast::http::response<boost::beast::http::string_body>;
using Status = boost::beast::http::status;
using Verb = boost::beast::http::verb;

// A body of any type, which nobody may keep.
[[nodiscard]] Response respond(const Request& request, Status status, std::string_view content_type,
                               std::string body);
[[nodiscard]] Response respond(const Request& request, Status status,
                               const boost::json::object& body);
// 303: go on there.
[[nodiscard]] Response see_other(const Request& request, std::string_view location);
// {"error": a sentence for whoever asked}
[[nodiscard]] Response error(const Request& request, Status status, std::string_view sentence);

}  // namespace tallygate::admin
