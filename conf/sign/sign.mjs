// node sign.mjs https://dl.shop.example SECRET-IN-HEX '/music/Größe XL.flac'
import { createHmac } from "node:crypto";

const [base, secret, path] = process.argv.slice(2);
const key = Buffer.from(secret, "hex");

const t = `1.kk1.e${Math.floor(Date.now() / 1000) + 7 * 86400}.i1001-7.n3`;
const mac = createHmac("sha256", key).update(`tallygate-link-1\npath:${path}\n${t}`).digest("hex");
const url = base + path.split("/").map(encodeURIComponent).join("/") + `?tg=${t}.s${mac}`;

console.log(url);
