#include "server/content/open_files.h"

#include <algorithm>
#include <boost/system/errc.hpp>
#include <functional>
#include <utility>

namespace tallygate::content {
namespace {

// Which jobs of the pool a path must not take the threads of: those of its device, where that is
// known. Else those of its first folder, for that is where other file systems are mounted.
std::uint64_t lane_of(std::string_view path, const OpenFile* known) {
  if (known != nullptr) return known->file_system.device;
  return std::hash<std::string_view>{}(path.substr(0, path.find('/', 1)));
}

// We lack descriptors, which says nothing about the file: what is known of it still holds.
bool is_want_of_descriptors(const error_code& ec) {
  namespace errc = boost::system::errc;
  return ec == errc::too_many_files_open || ec == errc::too_many_files_open_in_system;
}

}  // namespace

OpenFiles::OpenFiles(const ContentRoot& root, const http::MediaTypes& types, const Clock& clock,
                     std::size_t files_max, disk::OffLoop& off_loop,
                     std::chrono::milliseconds open_timeout)
    : root_(root),
      types_(types),
      clock_(clock),
      files_max_(files_max),
      off_loop_(off_loop),
      open_timeout_(open_timeout) {}

// -- in memory ----------------------------------------------------------------------------------

std::optional<OpenFiles::Opened> OpenFiles::try_open(std::string_view path) {
  const auto now = clock_.steady_now();
  Entry* const entry = find(path);
  if (entry != nullptr) {
    if (now - entry->checked_at < kRevalidate) {
      counters_.hits.add();
      return entry->file;
    }
    if (entry->file->file_system.may_hang) {
      counters_.misses.add();
      return std::nullopt;
    }
  }
  const auto seen = root_.look_cached(path);
  if (seen && entry != nullptr && *seen == entry->file->status) {
    counters_.hits.add();
    entry->checked_at = now;
    return entry->file;
  }
  if (!seen && entry != nullptr && is_want_of_descriptors(seen.error())) {
    counters_.hits.add();
    return entry->file;
  }
  counters_.misses.add();
  if (!seen) return refuse(path, seen.error());
  // A network file system would be asked to open it: so which one it is comes first.
  const disk::FileSystem* const on = file_systems_.find(seen->device);
  if (on == nullptr || on->may_hang) return std::nullopt;
  auto descriptor = root_.open_cached(path);
  if (!descriptor) return refuse(path, descriptor.error());
  const auto status = status_of(descriptor->get());
  if (!status) return refuse(path, status.error());
  if (status->device != on->device) return std::nullopt;
  auto file = make(path, std::move(*descriptor), *status, *on);
  remember(path, file);
  return file;
}

std::optional<OpenFiles::Opened> OpenFiles::refuse(std::string_view path, error_code why) {
  if (why == boost::system::errc::resource_unavailable_try_again) return std::nullopt;
  forget(path);
  return why;
}

// -- slowly -------------------------------------------------------------------------------------

Task<OpenFiles::Opened> OpenFiles::open_slowly(std::string_view path) {
  auto opening = openings_.find(std::string(path));
  if (opening == openings_.end()) {
    if (!start(path)) {
      co_return make_error_code(boost::system::errc::resource_unavailable_try_again);
    }
    opening = openings_.try_emplace(std::string(path)).first;
  }
  const auto waiter = std::make_shared<disk::Awaited<Opened>>();
  opening->second.waiters.push_back(waiter);
  auto opened = co_await disk::Awaited<Opened>::wait(
      waiter, std::chrono::steady_clock::now() + open_timeout_);
  if (!opened) co_return make_error_code(boost::system::errc::timed_out);
  co_return std::move(*opened);
}

bool OpenFiles::start(std::string_view path) {
  const Entry* const entry = find(path);
  auto known = entry != nullptr ? entry->file : nullptr;
  const std::uint64_t lane = lane_of(path, known.get());
  std::string name(path);
  auto job = [&root = root_, name, known] { return look(root, name, known.get()); };
  auto then = [this, name, known](Found found) { finish(name, known, std::move(found)); };
  return off_loop_.start(lane, std::move(job), std::move(then));
}

void OpenFiles::finish(std::string_view path, std::shared_ptr<const OpenFile> known, Found found) {
  const auto opened = take_in(path, std::move(known), std::move(found));
  const auto opening = openings_.extract(std::string(path));
  for (const auto& waiter : opening.mapped().waiters) waiter->give(opened);
}

OpenFiles::Found OpenFiles::look(const ContentRoot& root, std::string_view path,
                                 const OpenFile* known) {
  Found found;
  auto descriptor = root.open_file(path);
  if (!descriptor) {
    found.error = descriptor.error();
    return found;
  }
  const auto status = status_of(descriptor->get());
  if (!status) {
    found.error = status.error();
    return found;
  }
  if (known != nullptr && known->status == *status) return found;
  found.status = *status;
  found.file_system = disk::inspect(descriptor->get(), status->device);
  found.descriptor = std::move(*descriptor);
  return found;
}

OpenFiles::Opened OpenFiles::take_in(std::string_view path, std::shared_ptr<const OpenFile> known,
                                     Found found) {
  if (found.error && !(known && is_want_of_descriptors(found.error))) {
    forget(path);
    return found.error;
  }
  if (found.descriptor) {
    file_systems_.note(found.file_system);
    known = make(path, std::move(found.descriptor), found.status, found.file_system);
  }
  remember(path, known);
  return known;
}

// -- the cache ----------------------------------------------------------------------------------

std::shared_ptr<const OpenFile> OpenFiles::make(std::string_view path, Descriptor descriptor,
                                                const FileStatus& status,
                                                const disk::FileSystem& on) const {
  auto file = std::make_unique<OpenFile>();
  file->path = path;
  file->descriptor = std::move(descriptor);
  file->version = status.version;
  file->etag = etag(file->version);
  file->key = version_key(path, file->etag.view());
  file->last_modified = last_modified(file->version, clock_.unix_now());
  file->last_modified_text = http::format_date(file->last_modified);
  file->content_type = types_.type_of(path);
  file->status = status;
  file->file_system = on;
  if (!on.may_hang) return file;
  // Closing asks the other side too. At the end of the process the system does it.
  return {file.release(), [&pool = off_loop_.pool()](const OpenFile* closing) {
            const auto close = [closing] { delete closing; };
            static_cast<void>(pool.post_anyway(closing->file_system.device, close));
          }};
}

OpenFiles::Entry* OpenFiles::find(std::string_view path) {
  const auto known = by_path_.find(path);
  if (known == by_path_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, known->second);
  return &entries_.front();
}

void OpenFiles::remember(std::string_view path, std::shared_ptr<const OpenFile> file) {
  const auto now = clock_.steady_now();
  if (Entry* const entry = find(path)) {
    entry->file = std::move(file);
    entry->checked_at = now;
    return;
  }
  if (entries_.size() >= files_max_) forget(entries_.back().path);
  entries_.push_front({std::string(path), std::move(file), now});
  by_path_.emplace(entries_.front().path, entries_.begin());
  counters_.open.set(entries_.size());
}

void OpenFiles::forget(std::string_view path) {
  const auto known = by_path_.find(path);
  if (known == by_path_.end()) return;
  const auto entry = known->second;
  by_path_.erase(known);
  entries_.erase(entry);  // behind all else: `path` may view its name
  counters_.open.set(entries_.size());
}

void OpenFiles::forget(const OpenFile& file) {
  const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& e) { return e.file.get() == &file; });
  if (entry != entries_.end()) forget(entry->path);
}

}  // namespace tallygate::content
