<?php
// A shop as small as the plugin lets it be: the functions of WordPress and WooCommerce that it
// calls, and the places where WooCommerce lists and delivers downloads. What the shop has, and what
// happens in it, comes as JSON on standard input; what came of it goes out as JSON.
//
//     php shop.php PLUGIN < shop.json
//
// Rows are those of a SQLite database, so the plugin's SQL is run as SQL.

error_reporting(E_ALL);
set_error_handler(function ($level, $message, $file, $line) {
    throw new ErrorException($message, 0, $level, $file, $line); // no notice is overlooked
});

$shop = json_decode(file_get_contents('php://stdin'), true, 512, JSON_THROW_ON_ERROR);
$answer = [];
register_shutdown_function(function () use (&$answer) {
    echo json_encode($answer, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES), "\n";
});

define('ABSPATH', $shop['folder'] . '/');
define('WP_CONTENT_DIR', ABSPATH . 'wp-content');
foreach ($shop['constants'] as $name => $value) {
    define($name, $value);
}

// -- WordPress: hooks ----------------------------------------------------------------------------

$hooks = [];
$running = [];
$done = [];

function add_filter($hook, $function, $priority = 10, $count = 1)
{
    global $hooks;
    $hooks[$hook][$priority][] = [$function, $count];
}

function apply_filters($hook, ...$values)
{
    global $hooks;
    $functions = $hooks[$hook] ?? [];
    ksort($functions);
    foreach (array_merge(...array_values($functions)) as [$function, $count]) {
        $values[0] = $function(...array_slice($values, 0, $count));
    }
    return $values[0];
}

function add_action(...$arguments)
{
    add_filter(...$arguments);
}

function do_action($hook, ...$values)
{
    global $hooks, $running, $done;
    $done[$hook] = ($done[$hook] ?? 0) + 1;
    $running[] = $hook;
    $functions = $hooks[$hook] ?? [];
    ksort($functions);
    foreach (array_merge(...array_values($functions)) as [$function, $count]) {
        $function(...array_slice($values, 0, $count));
    }
    array_pop($running);
}

function did_action($hook)
{
    return $GLOBALS['done'][$hook] ?? 0;
}

function doing_action($hook)
{
    return in_array($hook, $GLOBALS['running'], true);
}

// -- WordPress: the rest -------------------------------------------------------------------------

function site_url()
{
    return $GLOBALS['shop']['url'];
}

function wp_get_upload_dir()
{
    $url = site_url() . '/wp-content/uploads';
    return ['basedir' => WP_CONTENT_DIR . '/uploads', 'baseurl' => $url];
}

function sanitize_email($email)
{
    return preg_replace('/[^A-Za-z0-9@._+-]/', '', $email);
}

function esc_html($text)
{
    return htmlspecialchars($text, ENT_QUOTES);
}

function current_user_can($capability)
{
    return $capability === 'manage_woocommerce' && ($GLOBALS['shop']['is_manager'] ?? false);
}

function is_user_logged_in()
{
    return $GLOBALS['shop']['is_logged_in'] ?? false;
}

function get_option($name)
{
    return $GLOBALS['shop']['options'][$name] ?? 'no';
}

function nocache_headers()
{
    $GLOBALS['answer']['nocache'] = true;
}

function wp_redirect($location, $status = 302, $by = 'WordPress')
{
    $GLOBALS['answer']['redirect'] = ['status' => $status, 'location' => $location];
    return true;
}

class Wpdb
{
    public $prefix = 'wp_';

    // Every value has its mark, and none gets in without.
    public function prepare($sql, ...$values)
    {
        $values = isset($values[0]) && is_array($values[0]) ? $values[0] : $values;
        $sql = preg_replace_callback('/%([a-z])/', function ($mark) use (&$values) {
            if (!$values) {
                throw new LogicException('more marks than values');
            }
            $value = array_shift($values);
            switch ($mark[1]) {
                case 'd':
                    return (string) (int) $value;
                case 's':
                    return "'" . str_replace("'", "''", $value) . "'";
            }
            throw new LogicException("no such mark: $mark[0]");
        }, $sql);
        if ($values) {
            throw new LogicException('more values than marks');
        }
        return $sql;
    }

    // Objects with texts and nulls, as MySQL's client has them.
    public function get_results($sql)
    {
        $program = 'import json, sqlite3, sys; d = sqlite3.connect(sys.argv[1]); '
            . 'd.row_factory = sqlite3.Row; rows = d.execute(sys.argv[2]); '
            . 'print(json.dumps([{k: r[k] if r[k] is None else str(r[k]) for k in r.keys()} '
            . 'for r in rows]))';
        $command = ['python3', '-c', $program, $GLOBALS['shop']['database'], $sql];
        $process = proc_open($command, [1 => ['pipe', 'w']], $pipes);
        $rows = json_decode(stream_get_contents($pipes[1]), false, 512, JSON_THROW_ON_ERROR);
        proc_close($process);
        return $rows;
    }
}

$wpdb = new Wpdb();

// -- WooCommerce ---------------------------------------------------------------------------------

class File
{
    public $data;

    public function __construct($data)
    {
        $this->data = $data + ['enabled' => true];
    }

    public function get_enabled()
    {
        return $this->data['enabled'];
    }
}

class Product
{
    private $id;

    public function __construct($id)
    {
        $this->id = $id;
    }

    public function get_id()
    {
        return $this->id;
    }

    public function get_file($download_id)
    {
        $data = $GLOBALS['shop']['products'][$this->id][$download_id] ?? null;
        return $data === null ? false : new File($data);
    }

    public function get_file_download_path($download_id)
    {
        $file = $this->get_file($download_id);
        return $file ? $file->data['file'] : '';
    }
}

class Order
{
    private $id;

    public function __construct($id)
    {
        $this->id = $id;
    }

    public function get_id()
    {
        return $this->id;
    }

    public function get_order_key()
    {
        return $GLOBALS['shop']['orders'][$this->id]['key'];
    }

    public function get_billing_email()
    {
        return $GLOBALS['shop']['orders'][$this->id]['email'];
    }

    public function get_items()
    {
        return array_map(function ($product_id) {
            return new Item($this, $product_id);
        }, $GLOBALS['shop']['orders'][$this->id]['products']);
    }

    // The page of an order, and its mails.
    public function get_downloadable_items()
    {
        $downloads = [];
        foreach ($this->get_items() as $item) {
            foreach ($item->get_item_downloads() as $download_id => $file) {
                $downloads[$download_id] = $file['download_url'];
            }
        }
        return $downloads;
    }
}

class Item
{
    private $order;
    private $product_id;

    public function __construct($order, $product_id)
    {
        $this->order = $order;
        $this->product_id = $product_id;
    }

    public function get_product()
    {
        return wc_get_product($this->product_id);
    }

    public function get_item_downloads()
    {
        $files = [];
        foreach (rows_of_order($this->order->get_id()) as $row) {
            $mine = (int) $row->product_id === $this->product_id
                && $row->user_email === sanitize_email($this->order->get_billing_email());
            $file = $this->get_product()->get_file($row->download_id);
            if ($mine && $file) {
                $files[$row->download_id] = $file->data + ['download_url' => own_url($row)];
            }
        }
        return apply_filters('woocommerce_get_item_downloads', $files, $this, $this->order);
    }
}

function wc_get_product($id)
{
    return isset($GLOBALS['shop']['products'][(int) $id]) ? new Product((int) $id) : false;
}

function rows($condition, ...$values)
{
    global $wpdb;
    return $wpdb->get_results($wpdb->prepare(
        "SELECT * FROM wp_woocommerce_downloadable_product_permissions WHERE $condition
          ORDER BY permission_id", ...$values));
}

function rows_of_order($order_id)
{
    return rows('order_id = %d', $order_id);
}

function own_url($row)
{
    return site_url() . '/?' . http_build_query([
        'download_file' => $row->product_id, 'order' => $row->order_key,
        'uid' => hash('sha256', $row->user_email), 'key' => $row->download_id]);
}

function customer_downloads($customer_id)
{
    $downloads = [];
    foreach (rows('user_id = %d', $customer_id) as $row) {
        $downloads[] = ['download_url' => own_url($row), 'download_id' => $row->download_id,
            'product_id' => (int) $row->product_id, 'order_id' => (int) $row->order_id];
    }
    $downloads[] = ['download_url' => 'https://elsewhere.example/free', 'product_name' => 'free'];
    return apply_filters('woocommerce_customer_available_downloads', $downloads, $customer_id);
}

// WooCommerce's answer to a click: identify, announce, count, serve. The plugin may end it before.
function download_product($query)
{
    global $shop;
    $keys = array_column($shop['orders'], 'key');
    $n = array_search($query['order'], $keys, true);
    if ($n === false) {
        return 'refuses';
    }
    $order = new Order(array_keys($shop['orders'])[$n]);
    $email = $order->get_billing_email();
    if (!hash_equals(hash('sha256', $email), $query['uid'])) {
        return 'refuses';
    }
    $rows = rows('order_key = %s AND user_email = %s AND product_id = %d AND download_id = %s',
        $query['order'], sanitize_email($email), $query['download_file'], $query['key']);
    if (!$rows) {
        return 'refuses';
    }
    [$row] = $rows;
    do_action('woocommerce_download_product', $row->user_email, $row->order_key,
        (int) $row->product_id, (int) $row->user_id, $row->download_id, (int) $row->order_id);
    return 'counts and serves';
}

// -- what happens --------------------------------------------------------------------------------

require $argv[1];

foreach ($shop['own_paths'] ?? [] as $download_id => $path) {
    $filter = function ($was, $place, $product, $id) use ($download_id, $path) {
        return $id === $download_id ? $path : $was;
    };
    add_filter('tallygate_links_path', $filter, 10, 4);
}
add_filter('woocommerce_file_download_filename', function ($name, $product_id) {
    return $GLOBALS['shop']['own_names'][$product_id] ?? $name;
}, 10, 2);
add_action('woocommerce_email_order_details', function ($order) {
    $GLOBALS['answer']['mail'] = $order->get_downloadable_items();
});

do_action('before_woocommerce_init');
[$what, $subject] = $shop['do'];
switch ($what) {
    case 'order page':
        do_action('template_redirect');
        $answer['downloads'] = (new Order($subject))->get_downloadable_items();
        break;
    case 'account page':
        do_action('template_redirect');
        $answer['downloads'] = customer_downloads($subject);
        break;
    case 'mail in a page':
        do_action('template_redirect');
        do_action('woocommerce_email_order_details', new Order($subject));
        break;
    case 'order over REST':
        $answer['downloads'] = (new Order($subject))->get_downloadable_items();
        break;
    case 'account over REST':
        $answer['downloads'] = customer_downloads($subject);
        break;
    case 'dashboard':
        ob_start();
        do_action('admin_notices');
        $answer['notices'] = ob_get_clean();
        break;
    case 'click':
        $answer['woocommerce'] = download_product($subject);
        break;
    case 'sign':
        $subject['settings']['key'] = hex2bin($subject['settings']['key']);
        $answer['url'] = TallygateLinks\signed_url(...array_values($subject));
        break;
    case 'which are servable':
        $answer['servable'] = array_map(function ($path) {
            return TallygateLinks\is_servable(base64_decode($path));
        }, $subject);
        break;
    case 'which paths':
        $answer['paths'] = array_map('TallygateLinks\edge_path', $subject);
        break;
}
