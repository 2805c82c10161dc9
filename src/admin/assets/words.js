// What the words of the closed vocabularies mean to somebody who reads them at night, and what would change it.
"use strict";

const REASONS = {
  attempts: ["The attempts for this class are used up.", "retry.max_attempts"],
  budget: ["The retry budget is empty: too much fails.", "budget.ratio, budget.capacity"],
  deadline: ["A retry would have come after the deadline.", "deadline.total, pace.max_wait"],
  unsafe: ["The function may have run, and twice may do harm.", "Idempotency-Key, gateway responses, retry.unsafe_methods"],
  body_too_large: ["The body is longer than what is kept for a retry.", "replay.max_body"],
  memory: ["The memory for kept bodies is in use, or too many wait.", "replay.max_total, pace.max_waiting"],
  hint_too_long: ["The API asked for a wait that ends after the deadline.", "deadline.total"],
  quota: ["The quota of a day, week or month is used up.", "the usage plan"],
  futile: ["Nothing of this kind has succeeded for a while.", "the function's permissions or concurrency"],
  caller_retries: ["The caller retries too, and the rest is its own.", "the caller's retries"],
  upgrade: ["An upgrade that was not simply throttled or unsent.", ""],
  dry_run: ["redrive only pretends.", "retry.dry_run"],
  bypass: ["redrive is switched off.", "bypass"],
  client_gone: ["The client left.", "the client's timeout"],
  started: ["The answer broke when its head had gone out.", ""],
  shutdown: ["redrive is stopping.", "shutdown.grace"],
};

const OUTCOMES = {
  ok: "good, delayed",
  ok_after_retry: "good after a retry",
  client_error: "client error",
  upstream_error: "failed",
  gave_up: "given up",
  shed: "not let in",
  rejected: "refused",
  client_gone: "client left",
};

const GOOD = new Set(["ok", "ok_after_retry"]);
