# python3 sign.py https://dl.shop.example SECRET-IN-HEX '/music/Größe XL.flac'
import hmac, sys, time, urllib.parse

base, secret, path = sys.argv[1:]
key = bytes.fromhex(secret)

t = f"1.kk1.e{int(time.time()) + 7 * 86400}.i1001-7.n3"
mac = hmac.new(key, f"tallygate-link-1\npath:{path}\n{t}".encode(), "sha256").hexdigest()
url = base + urllib.parse.quote(path) + f"?tg={t}.s{mac}"

print(url)
