#include "server/transfer/serve.h"

#include <array>
#include <utility>

#include "core/clock/built_on.h"
#include "core/http/precondition.h"
#include "core/link/verify.h"
#include "core/shop/word.h"
#include "server/http/connection.h"
#include "server/shop/sync.h"
#include "server/transfer/admit.h"
#include "server/transfer/body.h"
#include "server/transfer/shop_word.h"

namespace tallygate::transfer {
namespace {

using http::Problem;
using http::Refused;

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
Refused failure_of(const error_code& ec) {
  using namespace boost::system::errc;
  if (ec == too_many_files_open || ec == too_many_files_open_in_system) {
    return {Problem::temporarily_unavailable, "no descriptor left", {}};
  }
  if (ec == not_enough_memory) return {Problem::temporarily_unavailable, "no memory left", {}};
  if (ec == timed_out || ec == resource_unavailable_try_again) {
    return {Problem::temporarily_unavailable, "the disk does not answer", {}};
  }
  if (ec == io_error) return {Problem::temporarily_unavailable, "the disk fails", {}};
  if (ec == permission_denied) return {Problem::file_missing, "the file may not be read", {}};
  if (ec == too_many_symbolic_link_levels || ec == cross_device_link) {
    return {Problem::file_missing, "a symbolic link, or out of the root", {}};
  }
  return {Problem::file_missing, "no such file", {}};
}

Task<> answer_options(http::Connection& connection) {
  const bool is_preflight = connection.request().head.count("Access-Control-Request-Method") != 0;
  const auto answer =
      http::write_options(connection.worker().scratch().answer, connection.common(), is_preflight);
  connection.record().status = http::code(http::Status::no_content);
  static_cast<void>(co_await connection.send(std::string(answer), false));
}

// -- the stages: each returns why the request goes no further, if it does not --------------------

using Objection = std::optional<Refused>;

// What the ledger knows of the link.
void look(http::Connection& connection) {
  http::Request& request = connection.request();
  request.look = connection.services().ledger.look(request.grant.link_id.view(),
                                                   request.grant.parent_id.view());
}

// Is the link genuine, and for this client?
Objection verify(http::Connection& connection) {
  const net::Services& services = connection.services();
  http::Request& request = connection.request();
  const auto grant =
      link::authenticate(request.checked.target, *connection.policy().keyring, connection.client(),
                         services.clock.unix_now(), connection.worker().scratch().link);
  if (!grant) return Refused{problem_of(grant.error()), link::to_string(grant.error()), {}};
  request.keep(*grant);
  connection.note_grant();
  look(connection);
  return std::nullopt;
}

// After a look-up the ledger knows more.
Objection hear(http::Connection& connection, bool answered) {
  const auto authority = connection.policy().settings.links.authority;
  if (!answered && authority == config::Authority::shop) {
    return Refused{Problem::temporarily_unavailable, "shop unavailable", {}};
  }
  look(connection);
  return std::nullopt;
}

// Does the shop let it be used?
Objection check_state(http::Connection& connection) {
  const auto reason = find_objection(connection.policy().settings, connection.request().look);
  return reason.empty() ? Objection() : Refused{Problem::link_revoked, reason, {}};
}

bool is_limited(const http::Request& request) {
  const auto n = request.grant.limit;
  return shop::effective_limit(request.look.word, n == 0 ? std::nullopt : std::optional(n))
      .has_value();
}

// And is it in time?
Objection check_word(http::Connection& connection) {
  if (auto objection = check_state(connection)) return objection;
  const net::Services& services = connection.services();
  const http::Request& request = connection.request();
  const ledger::Look& look = request.look;
  if (services.shop != nullptr && services.shop->is_overtaken() && is_limited(request)) {
    return Refused{Problem::temporarily_unavailable, "ledger older than the shop's table", {}};
  }
  const std::int64_t now = services.clock.unix_now();
  if (clock::is_before_build(now)) {  // nobody knows what has expired
    return Refused{Problem::temporarily_unavailable, "the clock is wrong", {}};
  }
  const auto& links = connection.policy().settings.links;
  const link::ResumeGrace grace{links.resume_grace / std::chrono::seconds(1), look.unfinished_copy};
  const auto late =
      link::check_times(request.grant, {look.word.not_before, look.word.expires_at}, grace, now);
  if (late) return Refused{problem_of(*late), link::to_string(*late), {}};
  return std::nullopt;
}

// Which bytes? True in `not_modified`: none, the client has them.
Objection select(http::Connection& connection, const content::OpenFile& file, bool& not_modified) {
  http::Request& request = connection.request();
  const http::Method method = request.checked.method;
  const std::int64_t now = connection.services().clock.unix_now();
  const http::Validators validators{file.etag.view(), file.last_modified};
  const auto precondition = http::evaluate_preconditions(request.head, method, validators, now);
  if (precondition == http::Precondition::failed) {
    return Refused{Problem::precondition_failed, "precondition", {}};
  }
  not_modified = precondition == http::Precondition::not_modified;
  request.selection = http::select_bytes(
      http::applicable_range(request.head, method, validators, now), file.version.size);
  if (!not_modified && request.selection.kind() == http::Selection::Kind::unsatisfiable) {
    return Refused{Problem::range_not_satisfiable, "range", file.version.size};
  }
  return std::nullopt;
}

// HEAD: would these bytes be delivered?
Objection check_head(http::Connection& connection, const Wanted& wanted) {
  const auto refusal = peek(connection.services(), wanted);
  if (refusal) return Refused{problem_of(*refusal), to_string(*refusal), {}};
  return std::nullopt;
}

metrics::Admitted outcome_of(const Result<ledger::Admission, ledger::Refusal>& admission) {
  using metrics::Admitted;
  if (admission) return Admitted::admitted;
  switch (admission.error()) {
    case ledger::Refusal::exhausted:
      return Admitted::exhausted;
    case ledger::Refusal::traffic:
      return Admitted::traffic;
    case ledger::Refusal::busy:
      return Admitted::busy;
    default:
      return Admitted::unavailable;
  }
}

// Whether these bytes may be delivered cannot be told at once.
bool must_wait(const ledger::PendingAdmission& pending) {
  const auto& admission = pending.settled();
  return !pending.is_settled() || (!admission && admission.error() == ledger::Refusal::busy);
}

}  // namespace

// Where a stage has its answer at once, as it nearly always has, nothing is awaited. What the
// stages find stands in the request, so that this frame is small enough to be used again (1,020
// bytes).
Task<Delivery*> serve(http::Connection& connection) {
  net::Worker& worker = connection.worker();
  http::Request& request = connection.request();
  if (request.checked.method == http::Method::options) {
    co_await answer_options(connection);
    co_return nullptr;
  }

  // verify: is the link genuine, and for this client?
  Objection objection = verify(connection);

  // the shop's word: revoked, refunded? limit or expiry changed? in time?
  if (!objection && must_look_up(connection, request.grant, request.look)) {
    objection = hear(connection, co_await look_up(connection.services(), request.grant));
  }
  if (!objection) objection = check_word(connection);

  // open: which file, which version?
  std::shared_ptr<const content::OpenFile> file;
  if (!objection) {
    auto opened = worker.files().try_open(request.grant.path);
    if (!opened) opened = co_await worker.files().open_slowly(request.grant.path);
    if (*opened) {
      file = std::move(**opened);
    } else {
      objection = failure_of(opened->error());
    }
  }

  // select: precondition, range
  bool not_modified = false;
  if (!objection) objection = select(connection, *file, not_modified);
  const Answer answer(connection, file);
  if (!objection && not_modified) {
    co_await answer.send_not_modified();
    co_return nullptr;
  }

  // admit: may these bytes be delivered?
  if (!objection && request.checked.method == http::Method::head) {
    objection =
        check_head(connection, {request.grant, request.look.word, *file, request.selection});
    if (!objection) {
      co_await answer.send_head_only();
      co_return nullptr;
    }
  }
  Delivery* delivery = nullptr;
  if (!objection) {
    const Wanted wanted{request.grant, request.look.word, *file, request.selection};
    auto pending = ask(worker, wanted);
    auto admission = pending.settled();
    const bool waits = must_wait(pending);
    if (waits) admission = co_await admit(worker, wanted, std::move(pending));
    worker.counters().admissions[static_cast<std::size_t>(outcome_of(admission))].add();
    if (!admission) {
      objection = Refused{problem_of(admission.error()), to_string(admission.error()), {}};
    } else {
      // Before anything is waited for again, so that whoever revokes the link finds it.
      delivery = &connection.deliver(begin_delivery(connection, wanted, *admission, file));
      if (waits) {
        look(connection);  // it may have been revoked meanwhile; in time it was when it came
        objection = check_state(connection);
        if (objection) delivery->end(0);
      } else if (!worker.is_first_in_turn()) {
        // The first of a turn is answered at once. Those that came with it are all heard, and then
        // answered in a row: clients that are awake need not be woken for each answer, and code is
        // found in the cache.
        co_await asio::post(worker.executor(), asio::use_awaitable_t<Executor>{});
      }
    }
  }
  if (objection) {
    co_await connection.refuse(*objection);
    co_return nullptr;
  }

  // stream: pace; who waits for whom. Settling goes on after this, by the connection.
  const auto rest = answer.try_small(*delivery);
  if (!rest) co_return delivery;
  if (!rest->empty()) co_await answer.finish_small(std::string(*rest), *delivery);
  co_return nullptr;
}

}  // namespace tallygate::transfer
