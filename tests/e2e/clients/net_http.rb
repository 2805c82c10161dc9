# Ruby's Net::HTTP: one kept connection, and an upload that streams. It retries idempotent requests itself, so none of that.
require "net/http"

base, file = ARGV
uri = URI(base)
Net::HTTP.start(uri.host, uri.port, read_timeout: 50, max_retries: 0) do |http|
  upload = Net::HTTP::Post.new("/upload", "Content-Type" => "application/octet-stream", "Transfer-Encoding" => "chunked")
  throttled = Net::HTTP::Post.new("/throttled")
  throttled.set_form_data("x" => "1")
  File.open(file, "rb") do |body|
    upload.body_stream = body
    [Net::HTTP::Get.new("/plain"), upload, throttled].each do |request|
      answer = http.request(request)
      abort "#{request.path}: #{answer.code}" unless answer.code == "200"
    end
  end
end
