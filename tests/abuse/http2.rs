//! Clients that abuse what HTTP/2 lets them say in a few bytes. Each is stopped by a limit that has a name; memory stays, a clean
//! client is served, and the upstream sees next to nothing of it.

use std::collections::BTreeSet;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::victim::{MEBIBYTE, Origin, Victim};
use crate::wire::{
    ACK, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, field, request,
};
use crate::{GOOD, Over};

const PRIORITY: u8 = 2;
const CONTINUATION: u8 = 9;

/// What one attack may add to the process's memory.
const GROWTH_MAX: usize = 32 * MEBIBYTE;

/// A clean client waits no longer, and neither does an attacker that is not read: only a bug takes so long.
const PATIENCE: Duration = Duration::from_secs(2);

/// A flood may take its time, of which nothing has to be told before its end.
const FLOOD_PATIENCE: Duration = Duration::from_secs(20);

/// The most requests that a connection may cancel in haste, as the README says, and as many on their way by the time that
/// this is noticed.
const CANCELLED_MAX: usize = 2 * 100;

/// The setting that closes the window of every stream.
const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];

/// How an attack ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// It went on to its end, and the server with it.
    Borne,
    /// The server said GOAWAY with this code, and closed.
    Told(String),
    /// The server closed, or did not read any more.
    Closed,
}

fn calm() -> End {
    End::Told("ENHANCE_YOUR_CALM".into())
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    Frame::new(kind, flags, stream, payload).bytes()
}

fn get(stream: u32, path: &str) -> Vec<u8> {
    let flags = END_STREAM | END_HEADERS;
    frame(HEADERS, flags, stream, &request("GET", path))
}

fn upload(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &request("PUT", "/"))
}

fn cancel(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

/// Makes the stream's window overflow, for which its server has to reset it ("MadeYouReset").
fn overflow(stream: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes())
}

/// The n-th stream of a client, counted from 0.
fn stream(index: usize) -> u32 {
    u32::try_from(2 * index + 1).unwrap()
}

/// A connection that has told its settings.
fn attacker(victim: &Victim, settings: &[u8]) -> TcpStream {
    let mut client = victim.connect();
    client.set_nodelay(true).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    let settings = frame(SETTINGS, 0, 0, &[b"\0\x01\0\0\0\0", settings].concat());
    client.write_all(&[PREFACE, &settings].concat()).unwrap();
    client
}

/// The next frame, unless the connection ends before or nothing comes.
fn next(client: &mut impl Read) -> Option<Frame> {
    let mut bytes = vec![0; 9];
    client.read_exact(&mut bytes).ok()?;
    let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
    let head = bytes.len();
    bytes.resize(head + usize::try_from(length).unwrap(), 0);
    client.read_exact(&mut bytes[head..]).ok()?;
    Frame::parse(&bytes).map(|(frame, _)| frame)
}

/// A client that has so many requests for this path on its way, on one connection.
pub(crate) fn asking(victim: &Victim, count: usize, path: &str) -> TcpStream {
    let mut client = attacker(victim, &[]);
    let asked: Vec<Vec<u8>> = (0..count).map(|index| get(stream(index), path)).collect();
    client.write_all(&asked.concat()).unwrap();
    client
}

/// The status and the body of the first answer that comes.
pub(crate) fn first_answer(client: &mut TcpStream) -> (u16, String) {
    client.set_read_timeout(Some(FLOOD_PATIENCE)).unwrap();
    let mut frames = std::iter::from_fn(|| next(client));
    let head = frames.find(|it| it.kind == HEADERS).expect("an answer");
    let mut parts = frames.filter(|it| it.kind == DATA && it.stream == head.stream);
    let part = parts.next().expect("its body");
    (head.status(), String::from_utf8(part.payload).unwrap())
}

/// Whether the server has read everything that was sent before.
fn is_read(client: &mut TcpStream, opaque: u8) -> bool {
    let ping = frame(PING, 0, 0, &[opaque; 8]);
    let answered = |it: &Frame| it.kind == PING && it.flags == ACK && it.payload == [opaque; 8];
    client.write_all(&ping).is_ok() && std::iter::from_fn(|| next(client)).any(|it| answered(&it))
}

/// Sends one part after the other while a thread of its own reads what comes back, and tells how it ended.
fn flood(client: &TcpStream, parts: impl Iterator<Item = Vec<u8>>) -> End {
    client.set_read_timeout(Some(FLOOD_PATIENCE)).unwrap();
    let mut reading = BufReader::new(client.try_clone().unwrap());
    let reader = thread::spawn(move || {
        let mut frames = std::iter::from_fn(|| next(&mut reading));
        let last = frames.find(|it| it.kind == GOAWAY || it.payload == [b'!'; 8]);
        last.map_or(End::Closed, |it| match it.kind {
            GOAWAY => End::Told(it.code()),
            _ => End::Borne,
        })
    });
    let last = frame(PING, 0, 0, b"!!!!!!!!");
    let mut writing = client;
    for part in parts.chain([last]) {
        if writing.write_all(&part).is_err() {
            break;
        }
    }
    reader.join().unwrap()
}

/// The same part so many times, in writes of some size.
fn again(part: Vec<u8>, times: usize) -> impl Iterator<Item = Vec<u8>> {
    const AT_ONCE: usize = 100;
    std::iter::repeat_n(part.repeat(AT_ONCE), times / AT_ONCE)
}

/// redrive, its upstream, and the memory that it had before.
struct Scene {
    origin: Origin,
    victim: Victim,
    before: usize,
}

impl Scene {
    fn new(origin: Origin, env: &[(&str, &str)]) -> Self {
        let victim = Victim::before(&origin, env);
        let scene = Self {
            before: 0,
            origin,
            victim,
        };
        scene.serves();
        Self {
            before: scene.victim.forget_peak(),
            ..scene
        }
    }

    fn clean() -> Self {
        Self::new(Origin::answering(GOOD), &[])
    }

    /// A clean client on a new connection is served.
    fn serves(&self) {
        let mut client = attacker(&self.victim, &[]);
        client.write_all(&get(1, "/")).unwrap();
        let mut frames = std::iter::from_fn(|| next(&mut client));
        let head = frames.find(|it| it.kind == HEADERS && it.stream == 1);
        assert_eq!(head.expect("an answer in time").status(), 200);
    }

    /// What the attack has cost at its worst is bearable, and a clean client is served.
    #[track_caller]
    fn is_unharmed(&self, attack: &str) {
        let grown = self.victim.peak().saturating_sub(self.before);
        println!("{attack}: {} KiB more at the peak", grown >> 10);
        assert!(grown < GROWTH_MAX, "{attack}: {grown} bytes");
        self.serves();
    }
}

#[test]
fn rapid_resets_are_stopped_and_hardly_one_goes_upstream() {
    const CONNECTIONS: usize = 20;
    let scene = Scene::clean();

    for _ in 0..CONNECTIONS {
        let client = attacker(&scene.victim, &[]);
        let pairs =
            (0..5_000).map(|index| [get(stream(index), "/"), cancel(stream(index))].concat());
        let pairs: Vec<Vec<u8>> = pairs.collect();
        let end = flood(&client, pairs.chunks(100).map(<[_]>::concat));
        assert!(end == calm() || end == End::Closed, "{end:?}");
    }

    scene.is_unharmed("rapid reset");
    let heads = scene.origin.heads() - 2;
    println!(
        "{heads} of {} cancelled requests went up",
        5_000 * CONNECTIONS
    );
    assert!(heads <= CONNECTIONS, "{heads} requests went up");
}

#[test]
fn resets_in_batches_that_h2_lets_pass_are_stopped_and_hardly_one_goes_upstream() {
    const CONNECTIONS: usize = 20;
    let scene = Scene::clean();

    for _ in 0..CONNECTIONS {
        let mut client = attacker(&scene.victim, &[]);
        let mut sent = 0;
        loop {
            let pairs = (sent..sent + 20).map(stream);
            let pairs = pairs.map(|stream| [get(stream, "/"), cancel(stream)].concat());
            let batch = pairs.collect::<Vec<_>>().concat();
            if client.write_all(&batch).is_err() || !is_read(&mut client, b'1') {
                break;
            }
            sent += 20;
            assert!(sent <= CANCELLED_MAX, "{sent} were cancelled");
        }
    }

    scene.is_unharmed("rapid reset in batches");
    let heads = scene.origin.heads() - 2;
    println!("{heads} cancelled requests went up");
    assert!(heads <= CONNECTIONS, "{heads} requests went up");
}

#[test]
fn resets_that_wait_for_their_request_to_go_up_are_stopped_too() {
    const CONNECTIONS: usize = 3;
    let scene = Scene::new(Origin::silent_on("/silent", GOOD), &[]);

    for (name, reset) in [
        ("their own", cancel as fn(u32) -> Vec<u8>),
        ("ours", overflow),
    ] {
        for _ in 0..CONNECTIONS {
            let mut client = attacker(&scene.victim, &[]);
            let mut sent = 0;
            // Twice, so that the request is looked at between the two.
            while sent < 1_000
                && client.write_all(&get(stream(sent), "/silent")).is_ok()
                && is_read(&mut client, b'1')
                && is_read(&mut client, b'2')
                && client.write_all(&reset(stream(sent))).is_ok()
            {
                sent += 1;
            }
            println!("resets, {name}: shown out after {sent}");
            assert!(sent <= CANCELLED_MAX, "{sent} were reset");
        }
        // At once, and not when all that was cancelled has been forgotten.
        scene.is_unharmed(name);
    }

    let heads = scene.origin.heads();
    assert!(heads <= 2 * CONNECTIONS * CANCELLED_MAX, "{heads} heads");
    scene.victim.sinks_to("redrive_in_flight_requests", 0);
}

#[test]
fn resets_that_we_are_made_to_send_are_stopped_and_hardly_one_goes_upstream() {
    const CONNECTIONS: usize = 5;
    let scene = Scene::new(Origin::silent_on("/silent", GOOD), &[]);

    for _ in 0..CONNECTIONS {
        let client = attacker(&scene.victim, &[]);
        let pairs = (0..5_000)
            .map(|index| [get(stream(index), "/silent"), overflow(stream(index))].concat());
        let end = flood(&client, pairs);
        assert!(end == calm() || end == End::Closed, "{end:?}");
    }

    scene.is_unharmed("resets that we are made to send");
    let heads = scene.origin.heads() - 2;
    println!("{heads} of {} requests went up", 5_000 * CONNECTIONS);
    assert!(heads <= CONNECTIONS, "{heads} requests went up");
    scene.victim.sinks_to("redrive_in_flight_requests", 0);
}

#[test]
fn field_blocks_that_never_end_are_stopped() {
    let scene = Scene::clean();
    let head = frame(HEADERS, END_STREAM, 1, &request("GET", "/"));
    let fields = field(b"x-a", &[b'a'; 200]).repeat(70);

    for (name, payload) in [
        ("CONTINUATION without anything", vec![]),
        ("CONTINUATION full of fields", fields),
        ("CONTINUATION of one endless string", vec![b'x'; 16 << 10]),
    ] {
        let client = attacker(&scene.victim, &[]);
        let part = frame(CONTINUATION, 0, 1, &payload);
        let parts = std::iter::once(head.clone()).chain(again(part, 10_000));
        let end = flood(&client, parts);
        assert_ne!(end, End::Borne, "{name}");
        println!("{name}: {end:?}");
        scene.is_unharmed(name);
    }
    assert_eq!(scene.origin.heads(), 4, "none of them was a request");
}

#[test]
fn a_small_field_block_that_means_a_large_one_is_stopped() {
    let scene = Scene::clean();
    // One field of 4,000 bytes is kept in the table, and then named 16,000 times by a byte.
    let kept = [b"\x40\x03x-a\x7f\xa1\x1e".as_slice(), &[b'a'; 4_000]].concat();
    let named = vec![0xbe; 16_000];

    for _ in 0..10 {
        let client = attacker(&scene.victim, &[]);
        let first = [request("GET", "/"), kept.clone()].concat();
        let bomb = [request("GET", "/"), named.clone()].concat();
        let flags = END_STREAM | END_HEADERS;
        let first = frame(HEADERS, flags, 1, &first);
        let bombs = (1..100).map(|index| frame(HEADERS, flags, stream(index), &bomb));
        assert_eq!(flood(&client, std::iter::once(first).chain(bombs)), calm());
    }

    scene.is_unharmed("HPACK bombs");
    assert!(scene.origin.heads() <= 12, "no bomb went up");
}

#[test]
fn floods_that_ask_for_nothing_are_stopped() {
    let scene = Scene::clean();
    let settings = b"\0\x04\0\0\xff\xff".repeat(100);

    for (name, part) in [
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("SETTINGS full of them", frame(SETTINGS, 0, 0, &settings)),
        ("PING", frame(PING, 0, 0, b"whatever")),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("PRIORITY", frame(PRIORITY, 0, 9, &[0, 0, 0, 0, 1])),
        ("frames of an unknown type", frame(0xfa, 0, 0, b"whatever")),
        ("empty frames of an unknown type", frame(0xfa, 0, 0, &[])),
    ] {
        let client = attacker(&scene.victim, &[]);
        assert_eq!(flood(&client, again(part, 100_000)), calm(), "{name}");
        scene.is_unharmed(name);
    }
    scene.victim.sinks_to("redrive_client_connections", 1);
}

#[test]
fn acknowledgements_that_nobody_reads_do_not_pile_up() {
    let scene = Scene::new(
        Origin::answering(GOOD),
        &[("REDRIVE_CLIENT__BODY_IDLE", "1s")],
    );

    for (name, part) in [
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("PING", frame(PING, 0, 0, b"whatever")),
    ] {
        let mut client = attacker(&scene.victim, &[]);
        // Until the server has written all that the kernel takes, and reads no more.
        let sent = again(part, 10_000_000).take_while(|part| client.write_all(part).is_ok());
        let sent: usize = sent.map(|part| part.len()).sum();
        println!("{name}: stopped after {sent} bytes");
        scene.is_unharmed(name);
        assert!(sent < 64 * MEBIBYTE, "{name}: {sent} bytes were read");
    }
    scene.victim.sinks_to("redrive_client_connections", 1);
}

#[test]
fn data_that_carries_nothing_is_stopped() {
    let scene = Scene::clean();
    let client = attacker(&scene.victim, &[]);

    let empty = again(frame(DATA, 0, 1, &[]), 100_000);
    let end = flood(&client, std::iter::once(upload(1)).chain(empty));

    assert_eq!(end, calm());
    scene.is_unharmed("empty DATA");
    assert!(scene.origin.heads() <= 3);
}

#[test]
fn window_updates_of_a_stream_that_is_given_nothing_are_stopped() {
    let scene = Scene::clean();
    let client = attacker(&scene.victim, &[]);

    let update = again(frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]), 100_000);
    let end = flood(&client, std::iter::once(upload(1)).chain(update));

    assert_eq!(end, calm());
    scene.is_unharmed("WINDOW_UPDATE of a stream");
    scene.victim.sinks_to("redrive_in_flight_requests", 0);
}

#[test]
fn window_updates_of_an_answer_are_as_many_as_its_parts_and_no_flood() {
    const LENGTH: usize = 256 * MEBIBYTE;
    let scene = Scene::new(Origin::streaming(LENGTH), &[]);
    let mut client = attacker(&scene.victim, &[]);
    client.set_read_timeout(Some(FLOOD_PATIENCE)).unwrap();

    client.write_all(&get(1, "/")).unwrap();
    let (mut taken, mut updates) = (0, 0);
    while taken < LENGTH {
        let part = next(&mut client).expect("the next part of the answer");
        if part.kind == DATA && !part.payload.is_empty() {
            taken += part.payload.len();
            let length = u32::try_from(part.payload.len()).unwrap().to_be_bytes();
            // As many clients do it: for each part one for its stream and one for the connection.
            let both = [1, 0].map(|stream| frame(WINDOW_UPDATE, 0, stream, &length));
            client.write_all(&both.concat()).unwrap();
            updates += both.len();
        }
    }

    println!("{updates} WINDOW_UPDATEs");
    assert!(updates > 30_000, "{updates} WINDOW_UPDATEs");
    assert!(is_read(&mut client, b'1'), "the connection stays");
}

#[test]
fn heads_that_never_end_are_let_go_and_keep_nobody_out() {
    const CONNECTIONS: usize = 100;
    let env = ["HEADER_TIMEOUT", "IDLE", "BODY_IDLE"];
    let env = env.map(|key| format!("REDRIVE_CLIENT__{key}"));
    let env: Vec<(&str, &str)> = env.iter().map(|key| (key.as_str(), "1s")).collect();
    let scene = Scene::new(Origin::answering(GOOD), &env);
    let whole = get(3, "/");
    let half = &whole[..whole.len() - 1];

    let slow = (0..CONNECTIONS).flat_map(|_| {
        let mut first = attacker(&scene.victim, &[]);
        let mut second = attacker(&scene.victim, &[]);
        second.write_all(&get(1, "/")).unwrap();
        let mut frames = std::iter::from_fn(|| next(&mut second));
        assert!(frames.any(|it| it.kind == DATA), "an answer");
        // The server may be done with them before the last has come.
        let _sent = first.write_all(half);
        let _sent = second.write_all(half);
        [first, second]
    });
    let slow: Vec<TcpStream> = slow.collect();

    scene.is_unharmed("heads that never end");
    scene.victim.sinks_to("redrive_client_connections", 1);
    assert_eq!(scene.origin.heads(), CONNECTIONS + 2, "no half went up");
    drop(slow);
}

/// Uploads on one connection that go on as long as nobody answers them.
struct Tricklers {
    client: TcpStream,
    streams: Mutex<BTreeSet<u32>>,
}

impl Tricklers {
    fn of(victim: &Victim, count: usize) -> Self {
        let mut client = attacker(victim, &[]);
        client.set_read_timeout(None).unwrap();
        let streams = Mutex::new((0..count).map(stream).collect());
        let head = [request("PUT", "/"), field(b"content-length", b"1000000")].concat();
        let heads = (0..count).map(|index| frame(HEADERS, END_HEADERS, stream(index), &head));
        let heads: Vec<Vec<u8>> = heads.collect();
        client.write_all(&heads.concat()).unwrap();
        Self { client, streams }
    }

    /// A byte more of each upload.
    fn go_on(&self) {
        let streams = self.streams.lock().unwrap();
        let parts = streams.iter().map(|stream| frame(DATA, 0, *stream, b"x"));
        let _sent = (&self.client).write_all(&parts.collect::<Vec<_>>().concat());
    }

    /// Takes note of every answer, until the connection ends.
    fn listen(&self) {
        let mut client = self.client.try_clone().unwrap();
        for frame in std::iter::from_fn(|| next(&mut client)) {
            if frame.kind == HEADERS || frame.kind == RST_STREAM {
                self.streams.lock().unwrap().remove(&frame.stream);
            }
        }
    }
}

#[test]
fn bodies_that_trickle_keep_nobody_out_however_many_there_are() {
    let scene = Scene::clean();
    let tricklers: Vec<Tricklers> = (0..6).map(|_| Tricklers::of(&scene.victim, 100)).collect();
    let is_over = AtomicBool::new(false);

    thread::scope(|scope| {
        for trickler in &tricklers {
            scope.spawn(|| trickler.listen());
        }
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                tricklers.iter().for_each(Tricklers::go_on);
                thread::sleep(Duration::from_millis(200));
            }
            for trickler in &tricklers {
                trickler.client.shutdown(Shutdown::Both).unwrap();
            }
        });
        // A guard, so that a failure ends the threads above, too.
        let _over = Over(&is_over);
        let in_flight = "redrive_in_flight_requests";
        scene.victim.reaches(in_flight, 512);
        // As many as may be slow stay, and no more.
        scene.victim.sinks_to(in_flight, 256);
        scene.is_unharmed("bodies that trickle");
        assert!(scene.victim.gauge(in_flight) > 200);
    });

    scene.victim.sinks_to("redrive_in_flight_requests", 0);
}

#[test]
fn answers_that_nobody_takes_are_given_up_with_what_they_hold() {
    const STREAMS: usize = 100;
    let env = [("REDRIVE_CLIENT__BODY_IDLE", "1s")];
    let scene = Scene::new(Origin::streaming(16 * MEBIBYTE), &env);
    let open = [0, 4, 0x7f, 0xff, 0xff, 0xff];

    for (name, settings) in [
        ("a window that stays closed", NO_WINDOW),
        ("a socket that is never read", open),
    ] {
        let mut client = attacker(&scene.victim, &settings);
        let window = frame(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes());
        client.write_all(&window).unwrap();
        let asked: Vec<Vec<u8>> = (0..STREAMS).map(|index| get(stream(index), "/")).collect();
        client.write_all(&asked.concat()).unwrap();
        scene
            .victim
            .reaches("redrive_in_flight_requests", STREAMS / 2);
        scene.is_unharmed(name);
        scene.victim.sinks_to("redrive_in_flight_requests", 0);
        scene.is_unharmed(name);
    }
}
