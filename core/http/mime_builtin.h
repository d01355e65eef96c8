// The media types of usual downloads, in the format of mime.types. Registered with IANA, or what
// browsers and Debian's media-types agree on.
#pragma once
#include <string_view>

namespace tallygate::http {

inline constexpr std::string_view kBuiltinMediaTypes = R"(
application/epub+zip epub
application/gzip gz tgz
application/java-archive jar
application/json json map
application/ld+json jsonld
application/manifest+json webmanifest
application/msword doc dot
application/octet-stream bin dmg img msi pkg safetensors
application/ogg ogx
application/pdf pdf
application/pgp-signature asc sig
application/postscript ps eps ai
application/rtf rtf
application/sql sql
application/toml toml
application/vnd.amazon.ebook azw
application/vnd.amazon.mobi8-ebook azw3
application/vnd.android.package-archive apk
application/vnd.apple.mpegurl m3u8
application/vnd.comicbook+zip cbz
application/vnd.comicbook-rar cbr
application/vnd.debian.binary-package deb
application/vnd.microsoft.portable-executable exe dll
application/vnd.ms-excel xls
application/vnd.ms-fontobject eot
application/vnd.ms-powerpoint ppt
application/vnd.oasis.opendocument.graphics odg
application/vnd.oasis.opendocument.presentation odp
application/vnd.oasis.opendocument.spreadsheet ods
application/vnd.oasis.opendocument.text odt
application/vnd.openxmlformats-officedocument.presentationml.presentation pptx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet xlsx
application/vnd.openxmlformats-officedocument.wordprocessingml.document docx
application/vnd.rar rar
application/vnd.sqlite3 sqlite sqlite3
application/wasm wasm
application/x-7z-compressed 7z
application/x-bittorrent torrent
application/x-bzip2 bz2
application/x-iso9660-image iso
application/x-mobipocket-ebook mobi
application/x-rpm rpm
application/x-sh sh
application/x-tar tar
application/x-xz xz
application/xhtml+xml xhtml
application/xml xml xsl
application/yaml yaml yml
application/zip zip
application/zstd zst
audio/aac aac
audio/aiff aif aiff
audio/flac flac
audio/midi mid midi
audio/mp4 m4a m4b
audio/mpeg mp3
audio/ogg ogg oga opus spx
audio/wav wav
audio/webm weba
audio/x-mpegurl m3u
font/otf otf
font/ttf ttf
font/woff woff
font/woff2 woff2
image/apng apng
image/avif avif
image/bmp bmp
image/gif gif
image/heic heic
image/heif heif
image/jpeg jpg jpeg
image/jxl jxl
image/png png
image/svg+xml svg svgz
image/tiff tif tiff
image/vnd.adobe.photoshop psd
image/vnd.djvu djvu djv
image/vnd.dxf dxf
image/vnd.microsoft.icon ico
image/webp webp
image/x-canon-cr2 cr2
image/x-nikon-nef nef
message/rfc822 eml
model/gltf+json gltf
model/gltf-binary glb
model/obj obj
model/step step stp
model/stl stl
model/3mf 3mf
text/calendar ics
text/css css
text/csv csv
text/html html htm
text/javascript js mjs
text/markdown md markdown
text/plain txt text log conf ini nfo
text/tab-separated-values tsv
text/vcard vcf
text/vtt vtt
text/x-diff diff patch
text/x-python py
text/x-tex tex
video/3gpp 3gp
video/mp2t ts m2ts
video/mp4 mp4 m4v
video/mpeg mpg mpeg
video/ogg ogv
video/quicktime mov
video/webm webm
video/x-flv flv
video/x-matroska mkv
video/x-ms-wmv wmv
video/x-msvideo avi
)";

}  // namespace tallygate::http
