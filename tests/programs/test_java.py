"""Java: the compiler, threads, and the HTTP client of its library, which looks at no proxy variable."""

from __future__ import annotations

import json

import pytest
from tests.programs.jobs import run_job
from tests.programs.servers import Web
from tests.runs.launch import Ended, Place, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

THREADS = """
import java.util.stream.*;
public class Job {
    static int calls;
    static synchronized void count() { calls++; }
    public static void main(String[] arguments) throws Exception {
        Thread[] threads = new Thread[8];
        for (int i = 0; i < threads.length; i++) {
            threads[i] = new Thread(() -> { for (int n = 0; n < 1000; n++) count(); });
            threads[i].start();
        }
        for (Thread thread : threads) thread.join();
        Process process = new ProcessBuilder("echo", "child").start();
        String child = new String(process.getInputStream().readAllBytes()).trim();
        System.out.println(calls + " " + IntStream.range(0, 1000000).parallel().asLongStream().sum() + " " + child);
    }
}
"""


def test_java_is_compiled_and_has_threads_and_children(place: Place) -> None:
    source = place.write("Job.java", THREADS)
    script = (
        'javac -d classes "$1"; jar --create --file job.jar --main-class Job -C classes .; java -jar job.jar'
    )
    ended = run_job(place, script, source)
    assert (ended.code, ended.text.strip()) == (0, "8000 499999500000 child"), ended.err
    assert ended.receipts == []
    assert ended.verify() == 0


CLIENT = """
import java.net.URI;
import java.net.http.*;
import java.nio.file.*;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.*;
public class Client {
    public static void main(String[] arguments) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (var file = Files.newInputStream(Path.of(arguments[1]))) {
            store.setCertificateEntry("own", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        HttpClient client = HttpClient.newBuilder().sslContext(context).build();
        HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0])).build();
        try {
            HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            System.out.println(answer.statusCode() + " " + answer.version() + " " + answer.body());
        } catch (java.io.IOException error) {
            System.out.println("failed " + error);
            System.exit(9);
        }
    }
}
"""


def ask(place: Place, web: Web, url: str) -> Ended:
    policy = write_policy("api.example.com", pins=web.pins("api.example.com", "evil.example"))
    source = place.write("Client.java", CLIENT)
    return run_job(place, 'java "$1" "$2" "$3"', source, url, web.authority, policy=policy)


@pytest.mark.parametrize(("scheme", "version"), [("http", "HTTP_1_1"), ("https", "HTTP_2")])
def test_the_http_client_reaches_an_allowed_name(place: Place, web: Web, scheme: str, version: str) -> None:
    """In clear it offers to go on as HTTP/2 with its first request (h2c); it gets HTTP/1.1."""
    ended = ask(place, web, f"{scheme}://api.example.com/hello")
    assert ended.text.strip() == f"200 {version} hello {scheme} api.example.com GET"
    assert ended.outcome.transport == "transparent"
    assert ended.blocks == []
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


def test_the_http_client_is_told_of_a_denial(place: Place, web: Web) -> None:
    ended = ask(place, web, "http://203.0.113.7/hello")
    status, _, body = ended.text.split(" ", 2)
    assert (status, json.loads(body)["layer"]) == ("403", "default_deny")
    ended = ask(place, web, "https://evil.example/hello")
    assert ended.code == 9
    assert {query.reason for query in ended.queries} == {"no rule allows evil.example"}
    assert web.take_requests() == []
