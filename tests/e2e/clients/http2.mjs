// Node's http2, with prior knowledge or by ALPN: one connection, three streams.
import { readFile } from "node:fs/promises";
import { connect, constants } from "node:http2";

const [base, file] = process.argv.slice(2);
const session = connect(base);
const call = (path, method, body) =>
  new Promise((done, failed) => {
    session.on("error", failed);
    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: method,
      [constants.HTTP2_HEADER_PATH]: path,
    });
    stream.setTimeout(50_000, () => failed(new Error(`${path}: timed out`)));
    stream.on("error", failed).on("response", (head) => {
      const status = head[constants.HTTP2_HEADER_STATUS];
      if (status !== 200) failed(new Error(`${path}: ${status}`));
    });
    stream.resume().on("end", done);
    stream.end(body);
  });
await call("/plain", "GET");
await Promise.all([call("/upload", "POST", await readFile(file)), call("/throttled", "POST", "x=1")]);
session.close();
