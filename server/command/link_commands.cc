#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <memory>
#include <optional>
#include <string>

#include "core/config/time_text.h"
#include "core/config/wrong.h"
#include "core/link/explain.h"
#include "core/link/keyring_file.h"
#include "core/link/sign.h"
#include "server/command/commands.h"
#include "server/command/configuration.h"
#include "server/command/exit_code.h"
#include "server/net/clock.h"

namespace tallygate::command {
namespace {

namespace json = boost::json;

// -- keygen

int keygen(const std::string& id) {
  if (!link::is_key_id(id)) {
    fmt::print(stderr, "tallygate: --id: must be 1 to 16 of A-Z a-z 0-9 _ -\n");
    return kUsage;
  }
  std::array<std::uint8_t, 32> secret{};
  if (RAND_bytes(secret.data(), static_cast<int>(secret.size())) != 1) {
    fmt::print(stderr, "tallygate: no random bytes to be had\n");
    return kFailed;
  }
  fmt::print("{}", link::format_keyring_entry(id, secret));
  OPENSSL_cleanse(secret.data(), secret.size());
  return kDone;
}

// -- sign

struct SignOptions {
  std::string config;
  link::LinkSpec spec;
  std::string expires;
  std::string starts;
  bool folder = false;
};

std::string_view option_of(std::string_view field) {
  if (field == "path") return "PATH";
  if (field == "limit") return "--max";
  if (field == "expires_at") return "--expires";
  if (field == "not_before") return "--starts";
  if (field == "client") return "--ip";
  if (field == "file_name") return "--name";
  if (field == "rate_kbytes") return "--rate";
  if (field == "key_id") return "--key";
  if (field == "id") return "--id";
  return field;
}

int sign(SignOptions options) {
  const auto configuration = load_configuration(options.config, Purpose::signing);
  if (!configuration) {
    print_mistakes(configuration.error());
    return kSettings;
  }
  const std::int64_t now = system_clock().unix_now();
  link::LinkSpec& spec = options.spec;
  int mistakes = 0;
  const auto read_time = [&](const char* option, const std::string& text,
                             std::optional<std::int64_t>& out) {
    if (text.empty()) return;
    const auto time = config::parse_time(text, now);
    if (time) {
      out = *time;
      return;
    }
    fmt::print(stderr, "tallygate: {}: {}\n", option, time.error().what);
    ++mistakes;
  };
  read_time("--expires", options.expires, spec.expires_at);
  read_time("--starts", options.starts, spec.not_before);
  if (mistakes != 0) return kUsage;
  if (options.folder) {
    const auto segments = link::segments_of_folder(spec.path);
    if (!segments) {
      fmt::print(stderr, "tallygate: --folder: {}\n", segments.error().message);
      return kUsage;
    }
    spec.folder_segments = *segments;
  }
  const auto url =
      link::sign_url(configuration->settings.server.base_url, spec, *configuration->keyring, now);
  if (!url) {
    for (const link::SpecMistake& m : url.error()) {
      fmt::print(stderr, "tallygate: {}: {}\n", option_of(m.field), m.message);
    }
    return kUsage;
  }
  if (!spec.expires_at) {
    fmt::print(stderr,
               "tallygate: without --expires the link is refused unless the shop's row has an "
               "expiry\n");
  }
  fmt::print("{}\n", *url);
  return kDone;
}

// -- verify

struct VerifyOptions {
  std::string config;
  std::string url;
  std::string at;
  std::string client;
  bool as_json = false;
};

std::string_view name_of(link::Verdict verdict) {
  switch (verdict) {
    case link::Verdict::ok:
      return "ok";
    case link::Verdict::failed:
      return "failed";
    default:
      return "depends";
  }
}

// Whatever stood in the URL, on one line and without control characters.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

int verify(const VerifyOptions& options) {
  const auto configuration = load_configuration(options.config, Purpose::signing);
  if (!configuration) {
    print_mistakes(configuration.error());
    return kSettings;
  }
  std::int64_t at = system_clock().unix_now();
  if (!options.at.empty()) {
    const auto time = config::parse_time(options.at, at);
    if (!time) {
      fmt::print(stderr, "tallygate: --at: {}\n", time.error().what);
      return kUsage;
    }
    at = *time;
  }
  std::optional<link::IpAddress> client;
  if (!options.client.empty()) {
    client = link::IpAddress::parse(options.client);
    if (!client) {
      fmt::print(stderr, "tallygate: --client: must be an IP address\n");
      return kUsage;
    }
  }
  const link::Explanation explanation =
      link::explain(options.url, *configuration->keyring, client, at);
  if (options.as_json) {
    json::array findings;
    for (const link::Finding& f : explanation.findings) {
      findings.push_back(json::object{{"field", f.field},
                                      {"value", f.value},
                                      {"verdict", name_of(f.verdict)},
                                      {"explanation", f.explanation}});
    }
    json::object out{{"served", !explanation.refusal}, {"findings", std::move(findings)}};
    if (explanation.refusal) out["refusal"] = link::to_string(*explanation.refusal);
    fmt::print("{}\n", json::serialize(out));
  } else {
    for (const link::Finding& f : explanation.findings) {
      fmt::print("{:8} {:16} {}\n", name_of(f.verdict), f.field, printable(f.value));
      if (!f.explanation.empty()) fmt::print("{:25} {}\n", "", printable(f.explanation));
    }
    if (explanation.refusal) {
      fmt::print("refused: {}\n", link::to_string(*explanation.refusal));
    } else {
      fmt::print("served, as far as the URL decides it\n");
    }
  }
  return explanation.refusal ? kFailed : kDone;
}

}  // namespace

void add_link_commands(CLI::App& app, int& exit_code) {
  const auto key_id = std::make_shared<std::string>("k1");
  CLI::App* keygen_command =
      app.add_subcommand("keygen", "print a keyring entry with a new random key");
  keygen_command->add_option("--id", *key_id, "id of the key (default k1)");
  keygen_command->callback([key_id, &exit_code] { exit_code = keygen(*key_id); });

  const auto s = std::make_shared<SignOptions>();
  CLI::App* sign_command = app.add_subcommand("sign", "print a signed URL");
  sign_command->add_option("--config", s->config, "settings (TOML)")->required();
  sign_command
      ->add_option("PATH", s->spec.path, "decoded path of the file: \"/music/Größe XL.flac\"")
      ->required();
  sign_command->add_option("--id", s->spec.id, "the shop's link id");
  sign_command->add_option("--max", s->spec.limit, "complete copies (needs --id); 0: unlimited");
  sign_command->add_option("--expires", s->expires, "72h, 2026-12-31T00:00:00Z or unix seconds");
  sign_command->add_option("--starts", s->starts, "first moment at which it is honoured");
  sign_command->add_option("--ip", s->spec.client, "only for this address or CIDR block");
  sign_command->add_option("--name", s->spec.file_name, "file name offered to the customer");
  sign_command->add_option("--rate", s->spec.rate_kbytes, "kilobytes per second of each transfer");
  sign_command->add_option("--key", s->spec.key_id, "sign with this key");
  sign_command->add_flag("--folder", s->folder,
                         "sign the folder of PATH: good for all files in it");
  sign_command->add_flag("--token-in-path", s->spec.token_in_path,
                         "token as the first path segment, for clients that drop queries");
  sign_command->callback([s, &exit_code] { exit_code = sign(*s); });

  const auto v = std::make_shared<VerifyOptions>();
  CLI::App* verify_command =
      app.add_subcommand("verify", "say field by field why a URL would be served or not");
  verify_command->add_option("--config", v->config, "settings (TOML)")->required();
  verify_command->add_option("URL", v->url, "signed URL, or its path and query")->required();
  verify_command->add_option("--at", v->at, "at this time instead of now");
  verify_command->add_option("--client", v->client, "for a client with this IP address");
  verify_command->add_flag("--json", v->as_json, "print JSON");
  verify_command->callback([v, &exit_code] { exit_code = verify(*v); });
}

}  // namespace tallygate::command
