// Little-endian fields and varints in a byte string: the alphabet of the ledger's file formats.
//
// A varint is LEB128: seven bits a byte, the low ones first; the high bit says that more follow.
// The shortest form only, so that equal values have equal bytes. A signed one is zigzagged before.
#pragma once
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <limits>
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
  void put_varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_.push_back(static_cast<char>(value | 0x80));
    out_.push_back(static_cast<char>(value));
  }
  void put_signed_varint(std::int64_t value) {
    put_varint(static_cast<std::uint64_t>(value) << 1 ^ static_cast<std::uint64_t>(value >> 63));
  }
  void put_bytes(std::string_view bytes) {
    put_varint(bytes.size());
    out_.append(bytes);
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

  std::uint64_t get_varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = get<std::uint8_t>();
      if (!ok_) return 0;
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) {
        const bool shortest = byte != 0 || shift == 0;
        const bool fits = shift < 63 || byte == 1;
        ok_ = shortest && fits;
        return ok_ ? value : 0;
      }
    }
    ok_ = false;
    return 0;
  }
  std::int64_t get_signed_varint() {
    const std::uint64_t value = get_varint();
    return static_cast<std::int64_t>(value >> 1 ^ (~(value & 1) + 1));
  }
  // A varint that must fit T.
  template <std::unsigned_integral T>
  T get_small() {
    const std::uint64_t value = get_varint();
    if (value > std::numeric_limits<T>::max()) ok_ = false;
    return ok_ ? static_cast<T>(value) : T{};
  }
  std::string_view get_bytes() {  // of what is read; not copied
    const std::uint64_t n = get_varint();
    if (!ok_ || bytes_.size() < n) {
      ok_ = false;
      return {};
    }
    const std::string_view taken = bytes_.substr(0, static_cast<std::size_t>(n));
    bytes_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

}  // namespace tallygate::ledger
