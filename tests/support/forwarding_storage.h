// Storage that hands everything to another, for tests and benches that change one call of it.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/ledger/storage.h"

namespace tallygate::ledger {

class ForwardingFile : public File {
 public:
  explicit ForwardingFile(std::unique_ptr<File> file) : file_(std::move(file)) {}
  Result<std::uint64_t> size() override { return file_->size(); }
  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> buffer) override {
    return file_->read_at(offset, buffer);
  }
  error_code write_at(std::uint64_t offset, std::string_view bytes) override {
    return file_->write_at(offset, bytes);
  }
  error_code allocate(std::uint64_t bytes) override { return file_->allocate(bytes); }
  void drop_cache() override { file_->drop_cache(); }
  error_code sync() override { return file_->sync(); }

 private:
  const std::unique_ptr<File> file_;
};

class ForwardingDirectory : public Directory {
 public:
  explicit ForwardingDirectory(std::unique_ptr<Directory> directory)
      : directory_(std::move(directory)) {}
  error_code lock() override { return directory_->lock(); }
  Result<std::vector<std::string>> list() override { return directory_->list(); }
  Result<std::unique_ptr<File>> open(const std::string& name) override {
    return directory_->open(name);
  }
  Result<std::unique_ptr<File>> create(const std::string& name) override {
    return directory_->create(name);
  }
  error_code rename(const std::string& from, const std::string& to) override {
    return directory_->rename(from, to);
  }
  error_code remove(const std::string& name) override { return directory_->remove(name); }
  error_code sync() override { return directory_->sync(); }

 private:
  const std::unique_ptr<Directory> directory_;
};

}  // namespace tallygate::ledger
