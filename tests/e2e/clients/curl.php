<?php
// PHP's curl: an upload from a string, which libcurl announces with Expect: 100-continue.
[, $base, $file] = $argv;

function call(CurlHandle $curl, string $url, ?string $body = null, array $headers = []): void
{
    curl_setopt_array($curl, [
        CURLOPT_URL => $url,
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_TIMEOUT => 50,
        CURLOPT_HTTPHEADER => $headers,
    ] + ($body === null ? [CURLOPT_HTTPGET => true] : [CURLOPT_POSTFIELDS => $body]));
    curl_exec($curl);
    $status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
    if ($status !== 200) {
        fwrite(STDERR, "$url: $status " . curl_error($curl) . "\n");
        exit(1);
    }
}

$curl = curl_init();
call($curl, "$base/plain");
call($curl, "$base/upload", file_get_contents($file), ["Content-Type: application/octet-stream", "Expect: 100-continue"]);
call($curl, "$base/throttled", "x=1", ["Expect:"]);
