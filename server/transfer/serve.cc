#include "server/transfer/serve.h"

#include <array>
#include <utility>

#include "core/http/precondition.h"
#include "core/link/verify.h"
#include "server/http/connection.h"
#include "server/transfer/admit.h"
#include "server/transfer/body.h"
#include "server/transfer/shop_word.h"

namespace tallygate::transfer {
namespace {

using http::Problem;

// Which answer each refusal is, once. Which part of a link was wrong is for the log alone.
Problem problem_of(link::Refusal refusal) {
  switch (refusal) {
    case link::Refusal::not_yet_valid:
      return Problem::link_not_yet_valid;
    case link::Refusal::expired:
      return Problem::link_expired;
    case link::Refusal::revoked:
      return Problem::link_revoked;
    default:
      return Problem::link_invalid;
  }
}

Problem problem_of(ledger::Refusal refusal) {
  switch (refusal) {
    case ledger::Refusal::exhausted:
      return Problem::downloads_exhausted;
    case ledger::Refusal::traffic:
      return Problem::traffic_exhausted;
    case ledger::Refusal::busy:
      return Problem::downloads_in_progress;
    default:
      return Problem::temporarily_unavailable;
  }
}

// A path that cannot be opened is missing, unless it is we who lack something. The reason is for
// the operator: a customer is not told why a file is missing.
struct OpenFailure {
  Problem problem;
  std::string_view reason;
};
OpenFailure failure_of(const error_code& ec) {
  using namespace boost::system::errc;
  if (ec == too_many_files_open || ec == too_many_files_open_in_system) {
    return {Problem::temporarily_unavailable, "no descriptor left"};
  }
  if (ec == not_enough_memory) return {Problem::temporarily_unavailable, "no memory left"};
  if (ec == io_error) return {Problem::temporarily_unavailable, "the disk fails"};
  if (ec == permission_denied) return {Problem::file_missing, "the file may not be read"};
  if (ec == too_many_symbolic_link_levels || ec == cross_device_link) {
    return {Problem::file_missing, "a symbolic link, or out of the root"};
  }
  return {Problem::file_missing, "no such file"};
}

Task<> answer_options(http::Connection& connection, const http::RequestHead& head) {
  std::array<char, http::kResponseHeadBytesMax> space;
  const auto answer = http::write_options(space, connection.common(head),
                                          head.count("Access-Control-Request-Method") != 0);
  connection.record().status = http::code(http::Status::no_content);
  static_cast<void>(co_await connection.send(answer, false));
}

}  // namespace

Task<> serve(http::Connection& connection, const http::RequestHead& head,
             const http::CheckedRequest& request) {
  const net::Services& services = connection.services();
  const auto refuse = [&](Problem problem, std::string_view reason) {
    return connection.refuse(head, request, problem, reason);
  };
  if (request.method == http::Method::options) {
    co_await answer_options(connection, head);
    co_return;
  }

  // verify: is the link genuine, and for this client?
  const auto grant = link::authenticate(request.target, services.keyring, connection.peer(),
                                        services.clock.unix_now(), connection.scratch());
  if (!grant) {
    co_await refuse(problem_of(grant.error()), link::to_string(grant.error()));
    co_return;
  }
  connection.note(*grant);

  // the shop's word: revoked, refunded? limit or expiry changed? in time?
  const auto word = co_await hear_shop(services, *grant);
  if (!word) {
    co_await refuse(word.error().problem, word.error().reason);
    co_return;
  }
  const std::int64_t now = services.clock.unix_now();
  const auto late = link::check_times(
      *grant, {word->word.not_before, word->word.expires_at},
      {services.settings.links.resume_grace / std::chrono::seconds(1), word->unfinished_copy}, now);
  if (late) {
    co_await refuse(problem_of(*late), link::to_string(*late));
    co_return;
  }

  // open: which file, which version?
  const auto file = connection.worker().files().open(grant->path);
  if (!file) {
    const OpenFailure failure = failure_of(file.error());
    co_await refuse(failure.problem, failure.reason);
    co_return;
  }

  // select: precondition, range
  const http::Validators validators{(*file)->etag.view(), (*file)->last_modified};
  const auto precondition = http::evaluate_preconditions(head, request.method, validators, now);
  if (precondition == http::Precondition::failed) {
    co_await refuse(Problem::precondition_failed, "precondition");
    co_return;
  }
  const Answer answer(connection, head, *grant, *file);
  if (precondition == http::Precondition::not_modified) {
    co_await answer.send_not_modified();
    co_return;
  }
  const auto selection = http::select_bytes(
      http::applicable_range(head, request.method, validators, now), (*file)->version.size);
  if (selection.kind() == http::Selection::Kind::unsatisfiable) {
    co_await connection.refuse(head, request, Problem::range_not_satisfiable, "range",
                               (*file)->version.size);
    co_return;
  }

  // admit: may these bytes be delivered?
  const Wanted wanted{*grant, word->word, **file, selection};
  if (request.method == http::Method::head) {
    if (const auto refusal = peek(services, wanted)) {
      co_await refuse(problem_of(*refusal), to_string(*refusal));
      co_return;
    }
    co_await answer.send_head_only(selection);
    co_return;
  }
  const auto admission = co_await admit(connection.worker(), wanted);
  if (!admission) {
    co_await refuse(problem_of(admission.error()), to_string(admission.error()));
    co_return;
  }

  // stream: pace; who waits for whom. Settling goes on after this, by the connection.
  auto delivery = begin_delivery(connection, head, wanted, *admission, *file);
  co_await answer.stream(selection, connection.deliver(std::move(delivery)));
}

}  // namespace tallygate::transfer
