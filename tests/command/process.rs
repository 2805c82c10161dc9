//! Starts the program, reads what it prints, and ends it.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// A started program; killed with its handle, should a test fail.
pub(crate) struct Running {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    seen: Vec<String>,
}

/// What a program that ends by itself left behind.
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Running {
    /// Starts it with these arguments and nothing but these variables.
    pub(crate) fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut child = command(args, env).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            stdout,
            seen: Vec::new(),
        }
    }

    /// Reads on to the next line with these words.
    pub(crate) fn line_with(&mut self, words: &str) -> String {
        loop {
            let Some(line) = self.stdout.next() else {
                panic!("no line with {words:?}: {:?}", self.seen)
            };
            let line = line.unwrap();
            self.seen.push(line.clone());
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end: the exit code, and every line that it printed.
    pub(crate) fn ended(&mut self) -> (Option<i32>, Vec<String>) {
        for line in self.stdout.by_ref() {
            self.seen.push(line.unwrap());
        }
        (self.child.wait().unwrap().code(), self.seen.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already in a test that passes; what is left of one that fails must not outlive it.
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Runs it to its end.
pub(crate) fn finished(args: &[&str], env: &[(&str, &str)]) -> Finished {
    let output = command(args, env)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Finished {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

fn command(args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redrive"));
    command
        .args(args)
        .env_clear()
        .envs(env.iter().copied())
        .stdin(Stdio::null());
    command
}
