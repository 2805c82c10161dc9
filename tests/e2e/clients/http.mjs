// Node's http or https with a keep-alive agent: the upload streams, and so goes in chunks.
import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

const [base, file] = process.argv.slice(2);
const { Agent, request } = await import(base.startsWith("https:") ? "node:https" : "node:http");
const agent = new Agent({ keepAlive: true });
const call = (path, method, body) =>
  new Promise((done, failed) => {
    const sent = request(base + path, { agent, method, timeout: 50_000 }, (answer) => {
      answer.resume().on("end", done);
      if (answer.statusCode !== 200) failed(new Error(`${path}: ${answer.statusCode}`));
    });
    sent.on("error", failed).on("timeout", () => sent.destroy(new Error(`${path}: timed out`)));
    pipeline(body, sent).catch(failed);
  });
await call("/plain", "GET", Readable.from([]));
await call("/upload", "POST", createReadStream(file));
await call("/throttled", "POST", Readable.from(["x=1"]));
agent.destroy();
