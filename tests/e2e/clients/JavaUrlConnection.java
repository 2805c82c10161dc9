// Java's HttpURLConnection: the client of twenty years of Java, with its own idea of kept connections.
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;

class JavaUrlConnection {
    public static void main(String[] args) throws Exception {
        call(args[0] + "/plain", null);
        call(args[0] + "/upload", Files.readAllBytes(Path.of(args[1])));
        call(args[0] + "/throttled", "x=1".getBytes());
    }

    private static void call(String url, byte[] body) throws Exception {
        HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection();
        connection.setConnectTimeout(50_000);
        connection.setReadTimeout(50_000);
        if (body != null) {
            connection.setDoOutput(true);
            connection.setRequestMethod("POST");
            connection.setChunkedStreamingMode(0);
            try (OutputStream out = connection.getOutputStream()) {
                out.write(body);
            }
        }
        if (connection.getResponseCode() != 200) {
            throw new IllegalStateException(url + ": " + connection.getResponseCode());
        }
        try (InputStream in = connection.getInputStream()) {
            in.readAllBytes();
        }
    }
}
