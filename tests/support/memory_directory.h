// A ledger's directory in memory: files as strings, nothing that fails. For reading crafted files
// by the thousand; what loses power is in fake_storage.h.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/ledger/storage.h"

namespace tallygate::ledger {

using FileBytes = std::map<std::string, std::string>;

class MemoryFile final : public File {
 public:
  MemoryFile(std::shared_ptr<std::string> bytes, std::atomic<std::uint64_t>& changes)
      : bytes_(std::move(bytes)), changes_(changes) {}
  Result<std::uint64_t> size() override { return std::uint64_t{bytes_->size()}; }
  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> buffer) override {
    if (offset >= bytes_->size()) return std::size_t{0};
    return bytes_->copy(buffer.data(), buffer.size(), static_cast<std::size_t>(offset));
  }
  error_code write_at(std::uint64_t offset, std::string_view bytes) override {
    ++changes_;
    const auto begin = static_cast<std::size_t>(offset);
    bytes_->resize(std::max(bytes_->size(), begin + bytes.size()), '\0');
    bytes_->replace(begin, bytes.size(), bytes);
    return {};
  }
  error_code allocate(std::uint64_t bytes) override {
    ++changes_;
    bytes_->resize(std::max(bytes_->size(), static_cast<std::size_t>(bytes)), '\0');
    return {};
  }
  void drop_cache() override {}
  error_code sync() override { return {}; }

 private:
  const std::shared_ptr<std::string> bytes_;
  std::atomic<std::uint64_t>& changes_;
};

// Reading: any number of threads. Everything else: one, and nobody reads.
class MemoryDirectory final : public Directory {
 public:
  MemoryDirectory() = default;
  explicit MemoryDirectory(const FileBytes& files) { put(files); }
  MemoryDirectory(const std::string& name, std::string bytes) { put(name, std::move(bytes)); }

  void put(const FileBytes& files) {
    files_.clear();
    for (const auto& [name, bytes] : files) put(name, bytes);
  }
  void put(const std::string& name, std::string bytes) {
    files_[name] = std::make_shared<std::string>(std::move(bytes));
  }
  // The bytes themselves: what is changed there is changed in the file.
  [[nodiscard]] std::string& bytes(const std::string& name) { return *files_.at(name); }
  [[nodiscard]] FileBytes files() const {
    FileBytes files;
    for (const auto& [name, bytes] : files_) files[name] = *bytes;
    return files;
  }
  // Calls that change a file or a name, of everybody.
  [[nodiscard]] std::uint64_t changes() const { return changes_; }

  error_code lock() override { return {}; }
  Result<std::vector<std::string>> list() override {
    std::vector<std::string> names;
    for (const auto& [name, bytes] : files_) names.push_back(name);
    return names;
  }
  Result<std::unique_ptr<File>> open(const std::string& name) override {
    const auto it = files_.find(name);
    if (it == files_.end()) {
      return make_error_code(boost::system::errc::no_such_file_or_directory);
    }
    return std::unique_ptr<File>(std::make_unique<MemoryFile>(it->second, changes_));
  }
  Result<std::unique_ptr<File>> create(const std::string& name) override {
    ++changes_;
    files_[name] = std::make_shared<std::string>();
    return open(name);
  }
  error_code rename(const std::string& from, const std::string& to) override {
    ++changes_;
    const auto it = files_.find(from);
    if (it == files_.end()) {
      return make_error_code(boost::system::errc::no_such_file_or_directory);
    }
    files_[to] = it->second;
    files_.erase(from);
    return {};
  }
  error_code remove(const std::string& name) override {
    ++changes_;
    files_.erase(name);
    return {};
  }
  error_code sync() override { return {}; }

 private:
  std::map<std::string, std::shared_ptr<std::string>> files_;
  std::atomic<std::uint64_t> changes_{0};
};

}  // namespace tallygate::ledger
