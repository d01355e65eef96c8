// Where a connection stands in its worker's lists. Nothing is allocated for it; what ends takes
// itself off them.
#pragma once
#include <boost/intrusive/list.hpp>

#include "server/net/deadlines.h"

namespace tallygate::net {

template <class Tag>
using ListHook =
    boost::intrusive::list_base_hook<boost::intrusive::tag<Tag>,
                                     boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

struct EveryConnection;
struct WatchedConnection;  // has something to settle, or lingers: looked at in every tick

class Member : public Deadlines::Owner,
               public ListHook<EveryConnection>,
               public ListHook<WatchedConnection> {
 protected:
  Member() = default;
  ~Member() = default;
};

template <class Tag>
using MemberList = boost::intrusive::list<Member, boost::intrusive::base_hook<ListHook<Tag>>,
                                          boost::intrusive::constant_time_size<false>>;

}  // namespace tallygate::net
