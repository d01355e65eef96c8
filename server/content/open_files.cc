#include "server/content/open_files.h"

#include <sys/stat.h>

#include <utility>

namespace tallygate::content {
namespace {

bool same_version(const OpenFile& a, const OpenFile& b) {
  return a.version == b.version && a.inode == b.inode && a.device == b.device &&
         a.changed_at_ns == b.changed_at_ns;
}

}  // namespace

OpenFiles::OpenFiles(const ContentRoot& root, const http::MediaTypes& types, const Clock& clock,
                     std::size_t files_max)
    : root_(root), types_(types), clock_(clock), files_max_(files_max) {}

Result<std::shared_ptr<const OpenFile>> OpenFiles::open_now(std::string_view path) const {
  auto fd = root_.open_file(path);
  if (!fd) return fd.error();
  struct stat status {};
  if (::fstat(fd->get(), &status) != 0) return last_error();
  auto file = std::make_shared<OpenFile>();
  file->descriptor = std::move(*fd);
  file->version = {static_cast<std::uint64_t>(status.st_size), status.st_mtim.tv_sec,
                   static_cast<std::uint32_t>(status.st_mtim.tv_nsec)};
  file->etag = etag(file->version);
  file->key = version_key(path, file->etag.view());
  file->last_modified = last_modified(file->version, clock_.unix_now());
  file->last_modified_text = http::format_date(file->last_modified);
  file->content_type = types_.type_of(path);
  file->inode = status.st_ino;
  file->device = status.st_dev;
  file->changed_at_ns = status.st_ctim.tv_sec * 1'000'000'000 + status.st_ctim.tv_nsec;
  return std::shared_ptr<const OpenFile>(std::move(file));
}

Result<std::shared_ptr<const OpenFile>> OpenFiles::open(std::string_view path) {
  const auto now = clock_.steady_now();
  const auto known = by_path_.find(path);
  if (known != by_path_.end()) {
    const auto entry = known->second;
    entries_.splice(entries_.begin(), entries_, entry);
    if (now - entry->checked_at < kRevalidate) return entry->file;
    auto current = open_now(path);
    if (!current) {
      forget(path);
      return current.error();
    }
    entry->checked_at = now;
    if (!same_version(**current, *entry->file)) entry->file = std::move(*current);
    return entry->file;
  }
  auto file = open_now(path);
  if (!file) return file.error();
  if (entries_.size() >= files_max_) forget(entries_.back().path);
  entries_.push_front({std::string(path), *file, now});
  by_path_.emplace(entries_.front().path, entries_.begin());
  return file;
}

void OpenFiles::forget(std::string_view path) {
  const auto known = by_path_.find(path);
  if (known == by_path_.end()) return;
  const auto entry = known->second;
  by_path_.erase(known);
  entries_.erase(entry);  // last: `path` may view its name
}

}  // namespace tallygate::content
