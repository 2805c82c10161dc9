//! The configuration's file, as the running program follows it: a hangup, a change, a swapped symlink, and a faulty one.

use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::process::{Running, finished};
use crate::tls::Directory;
use crate::{get, throttling_once};

/// What the program says of the event with this message.
fn event(running: &mut Running, message: &str) -> Value {
    let line = running.line_with(message);
    serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"))
}

/// A configuration that goes to an upstream on loopback, whose one route has this name.
fn configuration(upstream: &str, route: &str) -> String {
    format!(
        "upstream = \"{upstream}\"\nlisten = \"127.0.0.1:0\"\nadmin.listen = \"127.0.0.1:0\"\n\
         [[route]]\nname = \"{route}\"\npath = \"/{route}\"\n"
    )
}

/// The program by this file, and where its clients and operators are served.
fn running(file: &Path) -> (Running, String, String) {
    let file = file.to_str().unwrap();
    let mut running = Running::start(&["--config", file], &[]);
    let ready = event(&mut running, "redrive is ready");
    let addr = |key: &str| ready[key].as_str().unwrap().to_owned();
    (running, addr("listen"), addr("admin"))
}

#[test]
fn a_hangup_reloads_the_file_and_a_faulty_one_is_told_in_full_and_changes_nothing() {
    let files = Directory::new("reload");
    let upstream = format!("http://{}", throttling_once());
    let file = files.write("redrive.toml", &configuration(&upstream, "first"));
    let (mut running, client, admin) = running(Path::new(&file));

    files.write("redrive.toml", &configuration(&upstream, "second"));
    running.signal(Signal::HUP);
    let told = event(&mut running, "configuration reloaded");
    assert_eq!(told["routes"], 2);
    let metrics = get(&admin, "/metrics");
    assert!(metrics.contains(r#"redrive_requests_total{outcome="ok",route="second"} 0"#));
    assert!(metrics.contains("\nredrive_config_reload_failed 0\n"));

    let faulty = format!("bypas = true\n{}", configuration(&upstream, "third"));
    files.write("redrive.toml", &faulty);
    running.signal(Signal::HUP);
    let told = event(&mut running, "configuration not reloaded");
    let fault = told["fault"].as_str().unwrap();
    assert_eq!(told["level"], "ERROR");
    assert!(fault.contains(&format!("{file}:1:1")), "{fault}");
    assert!(fault.contains("^^^^^ did you mean"), "{fault}");
    assert!(get(&admin, "/metrics").contains("\nredrive_config_reload_failed 1\n"));
    assert!(get(&client, "/second").starts_with("HTTP/1.1 200 OK"));

    // Mended, and nobody says so.
    files.write("redrive.toml", &configuration(&upstream, "third"));
    event(&mut running, "configuration reloaded");
    assert!(get(&admin, "/metrics").contains("\nredrive_config_reload_failed 0\n"));
    running.signal(Signal::TERM);
    assert_eq!(running.ended().0, Some(0));
}

#[test]
fn a_mounted_volume_that_is_swapped_as_a_whole_is_noticed() {
    let files = Directory::new("swapped");
    let upstream = format!("http://{}", throttling_once());
    // As Kubernetes mounts a ConfigMap: the file is a link through `..data`, and `..data` is what is swapped.
    for (volume, route) in [("..1", "first"), ("..2", "second")] {
        std::fs::create_dir(files.0.join(volume)).unwrap();
        files.write(
            &format!("{volume}/redrive.toml"),
            &configuration(&upstream, route),
        );
    }
    symlink("..1", files.0.join("..data")).unwrap();
    symlink("..data/redrive.toml", files.0.join("redrive.toml")).unwrap();
    let (mut running, _, admin) = running(&files.0.join("redrive.toml"));

    symlink("..2", files.0.join("..data_tmp")).unwrap();
    std::fs::rename(files.0.join("..data_tmp"), files.0.join("..data")).unwrap();

    event(&mut running, "configuration reloaded");
    assert!(get(&admin, "/metrics").contains(r#"route="second""#));
    running.signal(Signal::TERM);
    assert_eq!(running.ended().0, Some(0));
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_is_in_use() {
    let files = Directory::new("restart");
    let upstream = format!("http://{}", throttling_once());
    let file = files.write("redrive.toml", &configuration(&upstream, "first"));
    let (mut running, client, _) = running(Path::new(&file));

    let moved = configuration(&upstream, "second").replace(
        "listen = \"127.0.0.1:0\"\nadmin",
        "listen = \"127.0.0.1:1\"\nadmin",
    );
    let bypassed = format!("bypass = true\nlog.format = \"text\"\n{moved}");
    files.write("redrive.toml", &bypassed);
    running.signal(Signal::HUP);

    let told = event(&mut running, "after a restart only");
    assert_eq!(told["keys"], "listen, log.format");
    event(&mut running, "configuration reloaded");
    let answer = get(&client, "/");
    assert!(answer.contains("redrive-reason: bypass"), "{answer}");
    running.signal(Signal::TERM);
    assert_eq!(running.ended().0, Some(0));
}

#[test]
fn check_names_what_needs_a_restart() {
    let env = [("REDRIVE_UPSTREAM", "http://api.example")];

    let summary = finished(&["check"], &env);
    let printed = finished(&["check", "--print"], &env);

    let line = "restart   listen, admin.listen, admin.pages, tls.listen, log.format; a reload changes all else";
    assert!(summary.stdout.contains(line), "{}", summary.stdout);
    let marked: Vec<&str> = printed
        .stdout
        .lines()
        .filter(|line| line.ends_with("; a change needs a restart"))
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(
        marked,
        ["listen", "admin.listen", "admin.pages", "log.format"]
    );
}
