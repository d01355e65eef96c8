// How long the kernel keeps a connection whose peer acknowledges nothing (tcp(7),
// TCP_USER_TIMEOUT): for peers that vanished in the middle of what they were sent, where nobody
// waits for them any more or a deadline of ours is missing.
#pragma once
#include <chrono>

namespace tallygate::net {

// Of a listening socket, from which connections accepted after this have it. A second more than
// server.send_timeout, so that it is we who end a connection first, who know what has arrived.
void set_user_timeout(int listening, std::chrono::milliseconds send_timeout);

}  // namespace tallygate::net
