// Waits in a coroutine for something that answers by calling back on another thread.
#pragma once
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "server/net/executor.h"

namespace tallygate::net {

// Calls `start(callback)`; the callback takes one T, from any thread. nullopt: not within
// `timeout`; an answer that comes later is dropped.
template <class T, class Start>
Task<std::optional<T>> call_back(std::chrono::milliseconds timeout, Start start) {
  struct State {
    explicit State(const Executor& executor) : timer(executor) {}
    Timer timer;
    std::optional<T> answer;
  };
  const Executor executor = co_await asio::this_coro::executor;
  const auto state = std::make_shared<State>(executor);
  state->timer.expires_after(timeout);
  start([state, executor](T answer) {
    asio::post(executor, [state, answer = std::move(answer)]() mutable {
      state->answer = std::move(answer);
      state->timer.cancel();
    });
  });
  static_cast<void>(co_await state->timer.async_wait(kAwait));
  co_return std::move(state->answer);
}

}  // namespace tallygate::net
