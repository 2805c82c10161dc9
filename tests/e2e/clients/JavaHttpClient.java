// Java's HttpClient: over cleartext it asks to upgrade to HTTP/2 with every first request (Upgrade: h2c).
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Path;
import java.time.Duration;

class JavaHttpClient {
    private static final HttpClient CLIENT = HttpClient.newHttpClient();

    public static void main(String[] args) throws Exception {
        call(HttpRequest.newBuilder(URI.create(args[0] + "/plain")));
        call(HttpRequest.newBuilder(URI.create(args[0] + "/upload")).POST(BodyPublishers.ofFile(Path.of(args[1]))));
        call(HttpRequest.newBuilder(URI.create(args[0] + "/throttled")).POST(BodyPublishers.ofString("x=1")));
    }

    private static void call(HttpRequest.Builder builder) throws Exception {
        HttpRequest request = builder.timeout(Duration.ofSeconds(50)).build();
        int status = CLIENT.send(request, BodyHandlers.discarding()).statusCode();
        if (status != 200) {
            throw new IllegalStateException(request.uri() + ": " + status);
        }
    }
}
