#include "server/net/tls_certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <fstream>
#include <iterator>

#include "tests/support/certificate.h"

namespace tallygate::net {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class TlsCertificatesTest : public testing::Test {
 protected:
  config::TlsSite make(const std::string& stem,
                       const CertificateOptions& options = {{"a.example"}}) {
    return make_certificate(folder_, stem, options);
  }
  static config::Settings::Tls with(const config::TlsSite& site) {
    config::Settings::Tls settings;
    settings.certificate = site.certificate;
    settings.key = site.key;
    return settings;
  }
  static std::vector<std::string> mistakes(const config::Settings::Tls& settings) {
    const auto loaded = load_certificates(settings);
    return loaded ? std::vector<std::string>() : loaded.error();
  }
  static std::string text_of(const std::string& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  TempDir folder_;
};

TEST_F(TlsCertificatesTest, HaveTheirNamesInLowerCaseAndNotTheCommonName) {
  auto settings = with(make("one", {{"Dl.Shop.Example", "*.MUSIC.example"}}));
  settings.sites.push_back(make("two", {.names = {"b.example"}, .rsa_bits = 2048}));
  const auto loaded = load_certificates(settings);
  ASSERT_TRUE(loaded);
  ASSERT_EQ(loaded->sites.size(), 2u);
  EXPECT_THAT(loaded->sites[0].names, ElementsAre("dl.shop.example", "*.music.example"));
  EXPECT_THAT(loaded->sites[1].names, ElementsAre("b.example"));
}

TEST_F(TlsCertificatesTest, AreSentWithTheirIssuers) {
  const auto leaf = make("leaf");
  const auto issuer = make("issuer");
  std::ofstream(leaf.certificate, std::ios::app) << "# the issuer\n"
                                                 << text_of(issuer.certificate) << "\n";
  const auto loaded = load_certificates(with(leaf));
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->sites[0].chain.size(), 1u);
}

TEST_F(TlsCertificatesTest, NameEveryMistakeAtOnce) {  // P7
  const auto good = make("good");
  auto settings = with({"/nowhere/chain.pem", good.key});
  settings.sites.push_back({good.certificate, (folder_ / "none.key").string()});
  settings.sites.push_back({good.key, good.certificate});
  settings.sites.push_back({good.certificate, make("other").key});
  settings.sites.push_back(make("readable", {.names = {"r.example"}, .key_mode = 0604}));
  settings.sites.push_back(make("writable", {.names = {"w.example"}, .key_mode = 0620}));
  settings.sites.push_back(make("nameless", {}));
  settings.sites.push_back(make("locked", {.names = {"l.example"}, .passphrase = "secret"}));
  settings.sites.push_back(make("weak", {.names = {"k.example"}, .rsa_bits = 1024}));
  settings.sites.push_back({folder_.str(), folder_.str()});
  EXPECT_THAT(
      mistakes(settings),
      ElementsAre(StartsWith("/nowhere/chain.pem: cannot be read: No such file"),
                  HasSubstr("none.key: cannot be read: No such file"),
                  HasSubstr("good.key: has no certificate in PEM: "),
                  HasSubstr("good.pem: others can read it (mode 0644): chmod o-rwx"),
                  HasSubstr("other.key: is not the key of the certificate in " + good.certificate),
                  HasSubstr("readable.key: others can read it (mode 0604): chmod o-rwx"),
                  HasSubstr("writable.key: its group can write it (mode 0620): chmod g-w"),
                  HasSubstr("nameless.pem: has no DNS name"),
                  HasSubstr("locked.key: is protected by a passphrase"),
                  HasSubstr("weak.pem: cannot be used: ee key too small"),
                  HasSubstr(": is not a PEM file"), HasSubstr(": is not a PEM file")));
}

TEST_F(TlsCertificatesTest, NeedNoNameAsTheDefault) {
  EXPECT_THAT(mistakes(with(make("nameless", {}))), IsEmpty());
}

TEST_F(TlsCertificatesTest, WithABrokenChainAreRefused) {
  const auto site = make("leaf");
  std::string broken = text_of(make("issuer").certificate);
  broken[broken.size() / 2] = '!';
  std::ofstream(site.certificate, std::ios::app) << broken;
  EXPECT_THAT(mistakes(with(site)),
              ElementsAre(HasSubstr("leaf.pem: its certificate 2 cannot be")));
  std::ofstream(site.certificate, std::ios::trunc) << "";
  EXPECT_THAT(mistakes(with(site)), ElementsAre(HasSubstr("leaf.pem: has no certificate in PEM")));
}

TEST_F(TlsCertificatesTest, ThatHaveExpiredAreServedAndNamed) {  // P7
  auto settings = with(make("old", {.names = {"o.example"}, .until_seconds = -60}));
  settings.sites.push_back(
      make("new", {.names = {"n.example"}, .from_seconds = 86'400, .until_seconds = 2 * 86'400}));
  settings.sites.push_back(make("good", {.names = {"g.example", "o.example"}}));
  const auto loaded = load_certificates(settings);
  ASSERT_TRUE(loaded);
  const std::int64_t now = std::time(nullptr);
  EXPECT_THAT(find_doubtful(*loaded, now),
              ElementsAre(HasSubstr("old.pem: the certificate expired on 20"),
                          HasSubstr("new.pem: the certificate is valid only from 20"),
                          AllOf(HasSubstr("good.pem: o.example is a name of "),
                                HasSubstr("old.pem too, which is used for it"))));
  EXPECT_THAT(find_doubtful(*loaded, now - 1000).size(), 2u) << "not expired at that time";
}

}  // namespace
}  // namespace tallygate::net
