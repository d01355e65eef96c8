// Little-endian fields in a byte string: the alphabet of the ledger's file format.
#pragma once
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace tallygate::ledger {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

class ByteWriter {
 public:
  explicit ByteWriter(std::string& out) : out_(out) {}
  template <std::integral T>
  void put(T value) {
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    out_.append(bytes, sizeof(T));
  }
  void put_text(std::string_view text) {  // the first 65,535 bytes of it
    text = text.substr(0, UINT16_MAX);
    put(static_cast<std::uint16_t>(text.size()));
    out_.append(text);
  }
  template <std::integral T>
  void put_optional(const std::optional<T>& value) {
    put(static_cast<std::uint8_t>(value.has_value()));
    put(value.value_or(T{}));
  }

 private:
  std::string& out_;
};

// Reads what ByteWriter wrote. After a read beyond the end, `ok` is false and all values are zero.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t left() const { return bytes_.size(); }
  template <std::integral T>
  T get() {
    T value{};
    if (!ok_ || bytes_.size() < sizeof(T)) {
      ok_ = false;
      return value;
    }
    std::memcpy(&value, bytes_.data(), sizeof(T));
    bytes_.remove_prefix(sizeof(T));
    return value;
  }
  std::string get_text() {
    const std::size_t n = get<std::uint16_t>();
    if (!ok_ || bytes_.size() < n) {
      ok_ = false;
      return {};
    }
    std::string text(bytes_.substr(0, n));
    bytes_.remove_prefix(n);
    return text;
  }
  bool get_bool() {
    const auto value = get<std::uint8_t>();
    if (value > 1) ok_ = false;
    return value == 1;
  }
  template <std::integral T>
  std::optional<T> get_optional() {
    const bool has = get_bool();
    const T value = get<T>();
    return has && ok_ ? std::optional<T>(value) : std::nullopt;
  }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

}  // namespace tallygate::ledger
