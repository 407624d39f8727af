"""Programs that speak TLS, each told of a URL and of no certificate: the rows of the table in docs/tls.md.

Each prints `yes` once the answer has come through TLS that it trusted. `HOST` is the host to ask, `URL` is `path`
there, `PYTHON` has the packages of the tests; what one writes goes into its own directory, which is where it starts.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class Client:
    """`trusts` is the page's word for where it looks; `path` is what it asks for, itself or something below it."""

    trusts: str
    path: str
    command: str


def hello(name: str, trusts: str, command: str) -> Client:
    """One that prints the page that it is told to get."""
    return Client(trusts, f"/hello/{name}", f'{command} | grep "^hello https $HOST GET" && echo yes')


GNUTLS = """
import ctypes, os
library = ctypes.CDLL("libcurl-gnutls.so.4")
library.curl_easy_init.restype = ctypes.c_void_p
handle = ctypes.c_void_p(library.curl_easy_init())
library.curl_easy_setopt(handle, 10002, os.environ["URL"].encode())
raise SystemExit(library.curl_easy_perform(handle))
"""
URLLIB = "import os, urllib.request as r; print(r.urlopen(os.environ['URL']).read().decode())"
REQUESTS = "import os, requests; print(requests.get(os.environ['URL']).text)"
HTTPX = "import os, httpx; print(httpx.get(os.environ['URL']).text)"
HTTPLIB2 = "import os, httplib2; print(httplib2.Http().request(os.environ['URL'])[1].decode())"
AIOHTTP = """
import aiohttp, asyncio, os
async def main():
    async with aiohttp.ClientSession() as session, session.get(os.environ["URL"]) as answer:
        print(await answer.text())
asyncio.run(main())
"""
GRPC = """
import grpc, os
channel = grpc.secure_channel(os.environ["HOST"] + ":443", grpc.ssl_channel_credentials())
try:
    channel.unary_unary("/grpc/Absent")(b"")
except grpc.RpcError as error:
    print(error.code(), error.details())
"""
NODE = "fetch(process.env.URL).then(r => r.text()).then(console.log)"
RUBY = "puts Net::HTTP.get(URI(ENV['URL']))"
TINY = "my $r = HTTP::Tiny->new(verify_SSL => 1)->get($ENV{URL}); print $r->{content}; exit !$r->{success}"
PHP = "echo file_get_contents(getenv('URL'));"
PHP_CURL = "curl_exec(curl_init(getenv('URL')));"
JAVA = """
import java.net.URI;
import java.net.http.*;
public class Client {
    public static void main(String[] arguments) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(System.getenv("URL"))).build();
        System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
    }
}
"""
S_CLIENT = """
openssl s_client -brief -verify_return_error -connect "$HOST:443" -servername "$HOST" </dev/null && echo yes
"""
CHROMIUM = """
chromium --headless --no-sandbox --disable-gpu --user-data-dir="$PWD/profile" --no-first-run \\
  --disable-background-networking --dump-dom "$URL" | grep 'as served' && echo yes
"""
NPM = """
export npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false npm_config_fetch_retries=0
export npm_config_cache="$PWD/cache" npm_config_globalconfig=/dev/null npm_config_userconfig=/dev/empty
{ npm view --registry "$URL/" te-absent 2>&1 || true; } | tee /dev/stderr | grep E404 && echo yes
"""
GIT = """
{ GIT_TERMINAL_PROMPT=0 git ls-remote "$URL" 2>&1 || true; } | tee /dev/stderr | grep 'not found' && echo yes
"""
PIP = """
PIP_CONFIG_FILE=/dev/null "$PYTHON" -m pip download -q --disable-pip-version-check --no-cache-dir --no-input \\
  --no-deps --retries 0 --index-url "$URL/" -d got trio-egress-trusted && ls got | grep whl && echo yes
"""
UV = """
UV_NO_CONFIG=1 UV_HTTP_RETRIES=0 "$(dirname "$PYTHON")/uv" pip install -q --no-cache --no-deps --python "$PYTHON" \\
  --default-index "$URL/" --target got trio-egress-trusted && ls got | grep trusted && echo yes
"""
CARGO = """
mkdir src; touch src/lib.rs
printf '[package]\\nname = "job"\\nversion = "1.0.0"\\n[dependencies]\\nsample = { git = "%s" }\\n' "$URL" >Cargo.toml
CARGO_HOME="$PWD/home" CARGO_NET_RETRY=0 cargo fetch && grep 'git+https' Cargo.lock && echo yes
"""
GO = """
GOENV=off GO111MODULE=on GOPATH="$PWD/path" GOCACHE="$PWD/cache" GOSUMDB=off GOTOOLCHAIN=local GOPROXY="$URL" \\
  go list -m -versions example.com/sample | grep v1.0.0 && echo yes
"""

CLIENTS = {
    "curl (OpenSSL)": hello("curl", "bundle, directory", 'curl -sS "$URL"'),
    "libcurl (GnuTLS)": hello("libcurl", "bundle", f"python3 -c '{GNUTLS}'"),
    "wget (GnuTLS)": hello("wget", "bundle, directory", 'wget -qO- "$URL"'),
    "openssl s_client": Client("directory", "", S_CLIENT),
    "git": Client("bundle", "/git/te-absent", GIT),
    "Python's ssl (urllib)": hello("urllib", "directory", f'"$PYTHON" -c "{URLLIB}"'),
    "Python's aiohttp": hello("aiohttp", "directory", f"\"$PYTHON\" -c '{AIOHTTP}'"),
    "Python's requests": hello(
        "requests", "roots of its own, `REQUESTS_CA_BUNDLE`", f'"$PYTHON" -c "{REQUESTS}"'
    ),
    "Python's httpx": hello("httpx", "roots of its own, `SSL_CERT_FILE`", f'"$PYTHON" -c "{HTTPX}"'),
    "Python's httplib2": hello(
        "httplib2", "roots of its own, `HTTPLIB2_CA_CERTS`", f'"$PYTHON" -c "{HTTPLIB2}"'
    ),
    "gRPC (Python)": Client(
        "roots of its own, `GRPC_DEFAULT_SSL_ROOTS_FILE_PATH`",
        "/grpc",
        f"\"$PYTHON\" -c '{GRPC}' | grep 'status: 404' && echo yes",
    ),
    "pip": Client("bundle, directory", "/simple", PIP),
    "uv": Client("roots of its own, `SSL_CERT_FILE`", "/simple", UV),
    "node (fetch)": hello("node", "roots of its own, `NODE_EXTRA_CA_CERTS`", f'node -e "{NODE}"'),
    "npm": Client("roots of its own, `NPM_CONFIG_CAFILE`", "/npm", NPM),
    "Java (java.net.http)": hello("java", "its trust store", 'java -cp "$CLASSES" Client'),
    "cargo (a git dependency)": Client("`CARGO_HTTP_CAINFO`, else with mbedTLS", "/git/sample.git", CARGO),
    "go": Client("bundle, directory", "/go", GO),
    "Ruby (net/http)": hello("ruby", "directory", f'ruby -rnet/http -e "{RUBY}"'),
    "Perl (HTTP::Tiny)": hello("tiny", "bundle", f"perl -MHTTP::Tiny -e '{TINY}'"),
    "Perl (LWP)": hello("lwp", "directory", 'lwp-request "$URL"'),
    "PHP (streams)": hello("streams", "directory", f'php -r "{PHP}"'),
    "PHP (curl)": hello("php-curl", "bundle, directory", f'php -r "{PHP_CURL}"'),
    "Chromium": Client("policies of the machine", "/trust.html", CHROMIUM),
}
