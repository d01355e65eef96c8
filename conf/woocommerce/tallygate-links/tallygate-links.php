<?php
/**
 * Plugin Name: tallygate links
 * Description: Downloads by signed links of a tallygate server, which serves and counts them.
 * Version: 1.0.0
 * Author: the tallygate authors
 * License: MIT
 * Requires at least: 5.7
 * Requires PHP: 7.4
 * Requires Plugins: woocommerce
 *
 * A link's id is the permission_id of its row in woocommerce_downloadable_product_permissions. The
 * server reads that row: limit, expiry and revocation are the shop's word. So the URL has no limit,
 * only an expiry for as long as a page may lie open, and all the URLs of a row are one count.
 *
 * The settings are constants in wp-config.php: the key that signs is a secret, and the database,
 * its backups and whoever may export them need not know it. What is missing or malformed is named
 * in a notice, and WooCommerce's own URLs stay as they are.
 */

namespace TallygateLinks;

defined('ABSPATH') || exit;

// After the filters of other plugins, which may add files or replace them.
const PRIORITY = 100;

add_filter('woocommerce_get_item_downloads', __NAMESPACE__ . '\sign_item', PRIORITY, 3);
add_filter('woocommerce_customer_available_downloads', __NAMESPACE__ . '\sign_list', PRIORITY, 2);
add_action('woocommerce_download_product', __NAMESPACE__ . '\redirect', PRIORITY, 6);
add_action('admin_notices', __NAMESPACE__ . '\show_mistakes');
add_action('before_woocommerce_init', __NAMESPACE__ . '\declare_compatibility');

// -- settings ------------------------------------------------------------------------------------

/** The constants of wp-config.php; null for what is not there. */
function constants(): array
{
    $values = [];
    foreach (['BASE_URL', 'KEY_ID', 'KEY', 'FILES_BASE', 'LINK_LIFETIME'] as $name) {
        $values[$name] = defined("TALLYGATE_$name") ? constant("TALLYGATE_$name") : null;
    }
    return $values;
}

/** What is wrong with the constants, a sentence each. A sentence never shows a value. */
function find_mistakes(array $values): array
{
    $forms = [
        'BASE_URL' => ['#\Ahttps?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~%/-]*)?\z#',
            'is the address of the server, such as https://dl.shop.example'],
        'KEY_ID' => ['#\A[A-Za-z0-9_-]{1,16}\z#',
            'is the id of a key of the keyring, 1 to 16 of A-Z a-z 0-9 _ -'],
        'KEY' => ['#\Ahex:([0-9A-Fa-f]{2}){16,}\z#',
            'is the secret of that key as the keyring has it, hex: and at least 32 hex digits'],
        'FILES_BASE' => ['#\A(https?://[^/]+|/)[^/].*\z#s',
            'is an absolute folder, or a URL, whose files the server has at its root'],
        'LINK_LIFETIME' => ['#\A([6-9][0-9]|[1-9][0-9]{2,8})\z#',
            'is a number of seconds, at least 60'],
    ];
    $optional = ['FILES_BASE', 'LINK_LIFETIME'];
    $mistakes = [];
    foreach ($forms as $name => [$form, $meaning]) {
        if ($values[$name] === null) {
            if (!in_array($name, $optional, true)) {
                $mistakes[] = "TALLYGATE_$name is missing; it $meaning.";
            }
        } elseif (!is_scalar($values[$name]) || preg_match($form, (string) $values[$name]) !== 1) {
            $mistakes[] = "TALLYGATE_$name is malformed; it $meaning.";
        }
    }
    return $mistakes;
}

/** The settings in the form in which they are used; null when nothing may be signed. */
function settings(): ?array
{
    static $settings = null;
    if ($settings === null) {
        $values = constants();
        $settings = find_mistakes($values) ? [] : [
            'base_url' => rtrim($values['BASE_URL'], '/'),
            'key_id' => (string) $values['KEY_ID'],
            'key' => hex2bin(substr($values['KEY'], strlen('hex:'))),
            'files_base' => $values['FILES_BASE'],
            'lifetime' => (int) ($values['LINK_LIFETIME'] ?? 86400),
        ];
    }
    return $settings ?: null;
}

function show_mistakes(): void
{
    if (!current_user_can('manage_woocommerce')) {
        return;
    }
    foreach (find_mistakes(constants()) as $mistake) {
        $text = "tallygate links: $mistake Until then WooCommerce serves the downloads itself.";
        echo '<div class="notice notice-error"><p>', esc_html($text), "</p></div>\n";
    }
}

/** Orders are only reached through WooCommerce's objects, wherever it keeps them. */
function declare_compatibility(): void
{
    $features = '\Automattic\WooCommerce\Utilities\FeaturesUtil';
    if (class_exists($features)) {
        $features::declare_compatibility('custom_order_tables', __FILE__, true);
    }
}

// -- signing -------------------------------------------------------------------------------------

/** Whether the server serves a file of this (decoded) path: what it would refuse is not signed. */
function is_servable(string $path): bool
{
    return preg_match('#\A(?:/[^/\x00-\x1f\x7f\\\\]++)++\z#', $path) === 1
        && preg_match('#/\.\.?(?:/|\z)#', $path) === 0
        && preg_match('//u', $path) === 1; // fails on what is not UTF-8
}

function base64url(string $bytes): string
{
    return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
}

/**
 * The signed URL of a decoded path. The fields, letter => value, stand in the order of the format:
 * e, b, i, n, p, a, f, r, d. Empty when it would be longer than the server reads.
 */
function signed_url(array $settings, string $path, array $fields): string
{
    $token = '1.k' . $settings['key_id'];
    foreach ($fields as $letter => $value) {
        $token .= ".$letter$value";
    }
    $mac = hash_hmac('sha256', "tallygate-link-1\npath:$path\n$token", $settings['key']);
    $encoded = implode('/', array_map('rawurlencode', explode('/', $path)));
    $target = "$encoded?tg=$token.s$mac";
    return strlen($target) <= 8192 ? $settings['base_url'] . $target : '';
}

// -- from the product's file to the server's path ------------------------------------------------

/** As URLs are compared: http and https are the same place, and so is "//host/…". */
function without_scheme(string $place): string
{
    return preg_replace('#\Ahttps?:(?=//)#i', '', $place);
}

function is_url(string $place): bool
{
    return strncmp($place, '//', 2) === 0; // without_scheme has been there
}

/** What stands in $place below $base, with its slash in front; empty when it is not below. */
function rest_below(string $place, string $base): string
{
    $below = strncmp($place, "$base/", strlen($base) + 1) === 0;
    return $below ? substr($place, strlen($base)) : '';
}

/**
 * The places whose files the server has at its root: one folder by all its names. WooCommerce
 * stores a file's URL or its path, and takes what is below the site's URL for what is below its
 * folder.
 */
function bases(): array
{
    $uploads = wp_get_upload_dir();
    $base = settings()['files_base'] ?? $uploads['basedir'] . '/woocommerce_uploads';
    $base = without_scheme(rtrim($base, '/'));
    $same = [[$uploads['basedir'], $uploads['baseurl']], [ABSPATH, site_url()]];
    $bases = [$base];
    foreach ($same as $pair) {
        [$folder, $url] = [rtrim($pair[0], '/'), without_scheme(rtrim($pair[1], '/'))];
        foreach ([[$folder, $url], [$url, $folder]] as [$from, $to]) {
            $rest = rest_below("$base/", $from); // the slash: the base may be all of it
            if ($rest !== '') {
                $bases[] = rtrim($to . $rest, '/');
            }
        }
    }
    return array_unique($bases);
}

/** The places that a product's file may mean: paths may be relative to the site's folder. */
function places(string $file): array
{
    $file = without_scheme($file);
    if (is_url($file)) {
        return [$file];
    }
    $places = [$file, rtrim(ABSPATH, '/') . '/' . ltrim($file, '/')];
    if (strncmp($file, '/wp-content/', 12) === 0) {
        $places[] = WP_CONTENT_DIR . substr($file, 11);
    }
    return $places;
}

/**
 * The decoded form of a URL's rest; empty when that is not one file. WooCommerce takes the rest as
 * it stands, browsers decode it; a file that is there by that very name settles it.
 */
function decode_rest(string $rest, array $bases): string
{
    foreach ($bases as $base) {
        if (!is_url($base) && is_file($base . $rest)) {
            return $rest;
        }
    }
    // With a query or a fragment it names more than a file; a slash in a name is not one of a path.
    return preg_match('/[?#]|%2f/i', $rest) === 0 ? rawurldecode($rest) : '';
}

/** The path at which the server has a product's file; empty when it does not have it. */
function edge_path(string $file): string
{
    $bases = bases();
    foreach (places($file) as $place) {
        foreach ($bases as $base) {
            $rest = rest_below($place, $base);
            if ($rest !== '') {
                return is_url($place) ? decode_rest($rest, $bases) : $rest;
            }
        }
    }
    return '';
}

// -- the shop's rows -----------------------------------------------------------------------------

/**
 * How good a row is: it holds today, then what remains, then its age. A product that was bought
 * twice in one order has two rows for the same file, and is used up when both are.
 */
function rank(object $row): array
{
    $expires = substr((string) $row->access_expires, 0, 10); // a day, and through all of it
    $never = $expires === '' || $expires === '0000-00-00';
    $remaining = $row->downloads_remaining === '' ? PHP_INT_MAX : (int) $row->downloads_remaining;
    return [$never || $expires >= gmdate('Y-m-d'), $remaining, -$row->permission_id];
}

function row_key($order_id, $product_id, $download_id): string
{
    return "$order_id/$product_id/$download_id";
}

/**
 * The ids of the best rows of some orders, by row_key. An order may have rows of several people;
 * these are those of one, by "user_email = %s" or "user_id = %d".
 */
function permission_ids(array $order_ids, string $owner_is, $owner): array
{
    global $wpdb;
    if (!$order_ids) {
        return [];
    }
    $marks = implode(', ', array_fill(0, count($order_ids), '%d'));
    $rows = $wpdb->get_results($wpdb->prepare(
        "SELECT permission_id, order_id, product_id, download_id, downloads_remaining,
                access_expires
           FROM {$wpdb->prefix}woocommerce_downloadable_product_permissions
          WHERE order_id IN ($marks) AND $owner_is",
        array_merge($order_ids, [$owner])
    )) ?: [];
    usort($rows, function ($a, $b) {
        return rank($a) <=> rank($b);
    });
    $ids = [];
    foreach ($rows as $row) { // better ones come later
        $key = row_key($row->order_id, $row->product_id, $row->download_id);
        $ids[$key] = (int) $row->permission_id;
    }
    return $ids;
}

// -- links ---------------------------------------------------------------------------------------

/** The name under which the customer saves the file, if the shop has another one than its own. */
function offered_name(string $path, $product): string
{
    $own = substr($path, strrpos($path, '/') + 1);
    $name = apply_filters('woocommerce_file_download_filename', $own, $product->get_id());
    $fits = is_string($name) && strlen($name) <= 1024 && strpos($name, '/') === false
        && is_servable("/$name");
    return $fits && $name !== $own ? $name : '';
}

/** The signed link of a file of a product; empty when it stays with WooCommerce's own URL. */
function link_url($product, string $download_id, int $permission_id): string
{
    $file = $product->get_file($download_id);
    if (!$file || (is_callable([$file, 'get_enabled']) && !$file->get_enabled())) {
        return ''; // WooCommerce refuses it as well: it lies in no approved folder
    }
    $place = (string) $product->get_file_download_path($download_id);
    /**
     * The decoded path at which the server has a file, such as "/music/Größe XL.flac"; an empty
     * text leaves the file to WooCommerce.
     */
    $path = edge_path($place);
    $path = apply_filters('tallygate_links_path', $path, $place, $product, $download_id);
    if (!is_string($path) || !is_servable($path)) {
        return '';
    }
    $fields = ['e' => time() + settings()['lifetime'], 'i' => $permission_id];
    $name = offered_name($path, $product);
    if ($name !== '') {
        $fields['f'] = base64url($name);
    }
    return signed_url(settings(), $path, $fields);
}

/** The link for one file of an order, if it has a row and the server has the file. */
function link_for($product, string $download_id, $order_id, array $permission_ids): string
{
    $key = $product ? row_key($order_id, $product->get_id(), $download_id) : '';
    $id = $permission_ids[$key] ?? null;
    return $id === null ? '' : link_url($product, $download_id, $id);
}

/**
 * Whether what is listed now is a page of the shop. A page shows links that were signed for it. A
 * mail is opened after years, and whoever asks by cron, REST or from the dashboard may be writing
 * one: there WooCommerce's own URL stays, which does not expire, and each click on it is
 * redirected to a fresh link. So it does for a guest where the shop demands a login for downloads:
 * a click lets WooCommerce ask for it.
 */
function is_page(): bool
{
    return did_action('template_redirect') && !doing_action('woocommerce_email_order_details')
        && (is_user_logged_in() || get_option('woocommerce_downloads_require_login') !== 'yes');
}

/** The files of an item on the page of an order: download id => name, file, download_url, …. */
function sign_item($files, $item, $order)
{
    $is_whole = is_array($files) && is_object($item) && is_object($order);
    if (!$is_whole || !$files || !is_page() || settings() === null) {
        return $files;
    }
    $product = $item->get_product();
    $email = sanitize_email($order->get_billing_email());
    $ids = permission_ids([$order->get_id()], 'user_email = %s', $email);
    foreach (array_keys($files) as $download_id) {
        $url = link_for($product, (string) $download_id, $order->get_id(), $ids);
        if ($url !== '') {
            $files[$download_id]['download_url'] = $url;
        }
    }
    return $files;
}

/** The downloads in a customer's account: a list, in which other plugins may have lines too. */
function sign_list($downloads, $customer_id)
{
    if (!is_array($downloads) || !is_page() || settings() === null) {
        return $downloads;
    }
    $known = array_filter($downloads, function ($download) {
        return isset($download['order_id'], $download['product_id'], $download['download_id']);
    });
    $order_ids = array_values(array_unique(array_column($known, 'order_id')));
    $ids = permission_ids($order_ids, 'user_id = %d', $customer_id);
    foreach ($known as $n => $download) {
        $product = wc_get_product($download['product_id']);
        $url = link_for($product, $download['download_id'], $download['order_id'], $ids);
        if ($url !== '') {
            $downloads[$n]['download_url'] = $url;
        }
    }
    return $downloads;
}

/**
 * A click on WooCommerce's own URL (?download_file=…&order=…&uid=…&key=…), from a mail or typed.
 *
 * WooCommerce announces it when all its checks are done (order key, hash of the address, file,
 * order status, rest, expiry, login) and nothing is written yet. Who is redirected here is
 * identified by WooCommerce itself, whatever it and its plugins ask for; and it neither counts,
 * nor writes the row back over what the server has counted, nor serves.
 */
function redirect($user_email, $order_key, $product_id, $user_id, $download_id, $order_id): void
{
    if (settings() === null) {
        return;
    }
    $ids = permission_ids([$order_id], 'user_email = %s', $user_email);
    $url = link_for(wc_get_product($product_id), (string) $download_id, $order_id, $ids);
    if ($url === '') {
        return;
    }
    nocache_headers();
    if (wp_redirect($url, 302, 'tallygate links')) {
        exit;
    }
}
