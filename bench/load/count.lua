-- Signed links with a limit, as a shop builds them from nginx, Lua and Redis: an HMAC-SHA256 over
-- id, limit, expiry and path, and one INCR for each request.
--
-- As fast as these parts allow: OpenSSL's HMAC by FFI with a context that keeps the key, one round
-- trip to Redis over a Unix socket that is kept.
local ffi = require "ffi"
local redis = require "nginx.redis"

ffi.cdef [[
typedef struct hmac_ctx_st HMAC_CTX;
typedef struct evp_md_st EVP_MD;
HMAC_CTX *HMAC_CTX_new(void);
const EVP_MD *EVP_sha256(void);
int HMAC_Init_ex(HMAC_CTX *ctx, const void *key, int len, const EVP_MD *md, void *impl);
int HMAC_Update(HMAC_CTX *ctx, const unsigned char *data, size_t len);
int HMAC_Final(HMAC_CTX *ctx, unsigned char *md, unsigned int *len);
]]

local crypto = ffi.load("libcrypto.so.3")
local digest = ffi.new("unsigned char[32]")
local digest_size = ffi.new("unsigned int[1]")
local to_hex = {}
for byte = 0, 255 do to_hex[byte] = string.format("%02x", byte) end

local _M = {}
local context, socket

function _M.start(secret, redis_socket)
  socket = redis_socket
  context = crypto.HMAC_CTX_new()
  assert(crypto.HMAC_Init_ex(context, secret, #secret, crypto.EVP_sha256(), nil) == 1)
end

local hex = {}
local function mac(text)
  crypto.HMAC_Init_ex(context, nil, 0, nil, nil)
  crypto.HMAC_Update(context, text, #text)
  crypto.HMAC_Final(context, digest, digest_size)
  for i = 0, 31 do hex[i + 1] = to_hex[digest[i]] end
  return table.concat(hex)
end

function _M.check()
  local var = ngx.var
  local id, limit, expires, given = var.arg_id, var.arg_n, var.arg_e, var.arg_s
  if not (id and limit and expires and given) then return ngx.exit(403) end
  if tonumber(expires) <= ngx.time() then return ngx.exit(410) end
  if mac(id .. ":" .. limit .. ":" .. expires .. ":" .. var.uri) ~= given then
    return ngx.exit(403)
  end
  local connection = redis:new()
  if not connection:connect(socket) then return ngx.exit(503) end
  local used = connection:incr(id)
  connection:set_keepalive(60000, 256)
  if not used then return ngx.exit(503) end
  if used > tonumber(limit) then return ngx.exit(403) end
end

return _M
