// A ledger's files, copied while it is used.
#include "server/ledger/copy.h"

#include <gtest/gtest.h>

#include <boost/system/errc.hpp>
#include <functional>
#include <map>

#include "server/ledger/files.h"
#include "tests/server/ledger/ledger_rig.h"
#include "tests/support/forwarding_storage.h"
#include "tests/support/memory_directory.h"

namespace tallygate::ledger {
namespace {

using boost::system::errc::make_error_code;

// Every link as the files have it.
std::map<std::string, std::string> links_of(Directory& directory) {
  std::map<std::string, std::string> links;
  ChronicleOptions options;
  options.verify_images = true;
  const auto found = read_chronicle(directory, options, [&](const StoredLink& link) {
    links[std::string(link.id)] = link.image;
  });
  EXPECT_TRUE(found) << found.error().text;
  return links;
}

// Calls `before` before anything is opened, read, written, made or synced; what it returns fails
// it.
class Watched final : public ForwardingDirectory {
 public:
  using Before = std::function<error_code(const std::string& what)>;
  Watched(std::unique_ptr<Directory> directory, Before before)
      : ForwardingDirectory(std::move(directory)), before_(std::move(before)) {}
  Result<std::unique_ptr<File>> open(const std::string& name) override {
    if (const error_code ec = before_("open " + name)) return ec;
    return watched(ForwardingDirectory::open(name));
  }
  Result<std::unique_ptr<File>> create(const std::string& name) override {
    if (const error_code ec = before_("create " + name)) return ec;
    return watched(ForwardingDirectory::create(name));
  }
  error_code sync() override {
    if (const error_code ec = before_("sync")) return ec;
    return ForwardingDirectory::sync();
  }

 private:
  class WatchedFile final : public ForwardingFile {
   public:
    WatchedFile(std::unique_ptr<File> file, const Before& before)
        : ForwardingFile(std::move(file)), before_(before) {}
    Result<std::size_t> read_at(std::uint64_t offset, std::span<char> buffer) override {
      if (const error_code ec = before_("read")) return ec;
      return ForwardingFile::read_at(offset, buffer);
    }
    error_code write_at(std::uint64_t offset, std::string_view bytes) override {
      if (const error_code ec = before_("write")) return ec;
      return ForwardingFile::write_at(offset, bytes);
    }
    error_code sync() override {
      if (const error_code ec = before_("sync")) return ec;
      return ForwardingFile::sync();
    }

   private:
    const Before& before_;
  };
  Result<std::unique_ptr<File>> watched(Result<std::unique_ptr<File>> file) {
    if (!file) return file;
    return std::unique_ptr<File>(std::make_unique<WatchedFile>(std::move(*file), before_));
  }

  const Before before_;
};

class LedgerCopyTest : public testing::Test {
 protected:
  LedgerCopyTest() { EXPECT_EQ(rig.open(), ""); }

  void use(int times) {
    for (; times != 0; --times, ++downloads) {
      ASSERT_TRUE(
          rig.download({.link_id = "link " + std::to_string(downloads % 17), .limit = 1'000'000}));
    }
    while (rig.ledger->turn()) {
    }
  }

  LedgerRig rig;
  int downloads = 0;
};

TEST_F(LedgerCopyTest, SaysWhatTheLedgerSaysWhereverThatStands) {
  const auto source = rig.disk.directory();
  for (int round = 0; round < 8; ++round) {
    use(1 + round * 40);
    if (round % 3 == 2) {
      ASSERT_EQ(rig.ledger->take_snapshot(), "");
    }
    MemoryDirectory target;
    CopyOptions options;
    if (round % 2 == 1) options.cursor = rig.follower.cursor();
    const auto copied = copy_ledger(*source, target, options);
    ASSERT_TRUE(copied) << copied.error().text;
    EXPECT_EQ(links_of(target), links_of(*source)) << round;
    EXPECT_EQ(copied->links, links_of(*source).size());
  }
  const auto listed = list_files(*source);
  EXPECT_GT(listed->segments.back(), 2u) << "there were several segments and snapshots";
  EXPECT_FALSE(listed->snapshots.empty());
}

TEST_F(LedgerCopyTest, OfALedgerThatIsUsedMeanwhileIsOneMomentOfIt) {
  use(20);
  int calls = 0;
  Watched source(rig.disk.directory(), [&](const std::string&) {
    if (++calls % 20 == 0) use(2);
    return error_code();
  });
  for (int round = 0; round < 5; ++round) {
    MemoryDirectory target;
    const auto before = links_of(*rig.disk.directory());
    const auto copied = copy_ledger(source, target, {});
    ASSERT_TRUE(copied) << copied.error().text;
    EXPECT_EQ(copied->torn_bytes, 0u);
    EXPECT_GE(copied->links, before.size());
  }
  EXPECT_GT(downloads, 20);
}

TEST_F(LedgerCopyTest, BeginsAnewWhereFilesAreGone) {
  use(20);
  int opened = 0;
  Watched source(rig.disk.directory(), [&](const std::string& what) {
    // It was read, and is to be copied.
    const bool again = what == "open " + segment_name(1) && ++opened == 2;
    return again ? make_error_code(boost::system::errc::no_such_file_or_directory) : error_code();
  });
  MemoryDirectory target;
  const auto copied = copy_ledger(source, target, {});
  ASSERT_FALSE(copied);
  EXPECT_TRUE(copied.error().again);
}

TEST_F(LedgerCopyTest, IsRefusedWhereItWouldLackWhatTheFollowerHas) {
  use(20);
  MemoryDirectory target;
  CopyOptions options;
  options.cursor = 100'000;
  const auto copied = copy_ledger(*rig.disk.directory(), target, options);
  ASSERT_FALSE(copied);
  EXPECT_NE(copied.error().text.find("outbox.db has taken 100000"), std::string::npos);
  EXPECT_FALSE(copied.error().again);
}

TEST_F(LedgerCopyTest, OfNothingIsNone) {
  MemoryDirectory source;
  MemoryDirectory target;
  const auto copied = copy_ledger(source, target, {});
  ASSERT_FALSE(copied);
  EXPECT_EQ(copied.error().text, "there is no ledger");
}

// Whichever call fails: then there is no copy, and nobody is told that there is one.
TEST_F(LedgerCopyTest, IsGoodOrNoneWhateverFails) {
  use(60);
  ASSERT_EQ(rig.ledger->take_snapshot(), "");
  use(20);
  const auto good = links_of(*rig.disk.directory());
  for (const bool at_source : {true, false}) {
    bool done = false;
    for (int failing = 1; !done; ++failing) {
      SCOPED_TRACE(failing);
      int calls = 0;
      std::string failed;
      const auto fail = [&](const std::string& what) {
        if (++calls == failing) failed = what;
        return calls == failing ? make_error_code(boost::system::errc::io_error) : error_code();
      };
      const auto pass = [](const std::string&) { return error_code(); };
      auto memory = std::make_unique<MemoryDirectory>();
      MemoryDirectory& files = *memory;
      Watched source(rig.disk.directory(), at_source ? Watched::Before(fail) : pass);
      Watched target(std::move(memory), at_source ? Watched::Before(pass) : fail);
      const auto copied = copy_ledger(source, target, {});
      done = calls < failing;
      // What could not be read once may be read again.
      if (failed != "read") {
        EXPECT_EQ(copied.has_value(), done) << failed;
      }
      if (copied) {
        EXPECT_EQ(links_of(files), good);
      }
      ASSERT_LT(failing, 1000);
    }
  }
}

}  // namespace
}  // namespace tallygate::ledger
