<?php
// php sign.php https://dl.shop.example SECRET-IN-HEX '/music/Größe XL.flac'
[, $base, $secret, $path] = $argv;
$key = hex2bin($secret);

$t = '1.kk1.e' . (time() + 7 * 86400) . '.i1001-7.n3'; // key k1, 7 days, link 1001-7, 3 downloads
$url = $base . implode('/', array_map('rawurlencode', explode('/', $path)))
     . "?tg=$t.s" . hash_hmac('sha256', "tallygate-link-1\npath:$path\n$t", $key);

echo "$url\n";
