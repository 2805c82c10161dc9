// Node's fetch (undici): kept connections, and an upload with a length.
import { readFile } from "node:fs/promises";

const [base, file] = process.argv.slice(2);
const call = async (path, options) => {
  const answer = await fetch(base + path, { ...options, signal: AbortSignal.timeout(50_000) });
  await answer.arrayBuffer();
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status}`);
};
await call("/plain");
await call("/upload", { method: "POST", body: await readFile(file) });
await call("/throttled", { method: "POST", body: new URLSearchParams({ x: "1" }) });
