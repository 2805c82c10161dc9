// Java's HttpClient: over cleartext it asks to upgrade to HTTP/2 with every first request (Upgrade: h2c), over TLS by ALPN.
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

class JavaHttpClient {
    private static HttpClient client = HttpClient.newHttpClient();

    public static void main(String[] args) throws Exception {
        if (args[0].startsWith("https:")) {
            client = HttpClient.newBuilder().sslContext(trusting(Path.of(System.getenv("SSL_CERT_FILE")))).build();
        }
        call(HttpRequest.newBuilder(URI.create(args[0] + "/plain")));
        call(HttpRequest.newBuilder(URI.create(args[0] + "/upload")).POST(BodyPublishers.ofFile(Path.of(args[1]))));
        call(HttpRequest.newBuilder(URI.create(args[0] + "/throttled")).POST(BodyPublishers.ofString("x=1")));
    }

    private static void call(HttpRequest.Builder builder) throws Exception {
        HttpRequest request = builder.timeout(Duration.ofSeconds(50)).build();
        int status = client.send(request, BodyHandlers.discarding()).statusCode();
        if (status != 200) {
            throw new IllegalStateException(request.uri() + ": " + status);
        }
    }

    private static SSLContext trusting(Path authority) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (InputStream pem = Files.newInputStream(authority)) {
            store.setCertificateEntry("authority", CertificateFactory.getInstance("X.509").generateCertificate(pem));
        }
        TrustManagerFactory managers = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        managers.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, managers.getTrustManagers(), null);
        return context;
    }
}
