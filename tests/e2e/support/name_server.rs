//! A name server for what a test says, and the system's files that lead to it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use redrive::dns::{Params, Resolver};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::tls::Files;

/// A running name server with files of its own; ends with its handle.
pub(crate) struct NameServer {
    /// The resolver's configuration, which leads here.
    pub(crate) params: Params,
    state: Arc<Mutex<State>>,
    _files: Files,
    _running: JoinSet<()>,
}

#[derive(Default)]
struct State {
    names: BTreeMap<String, (Vec<IpAddr>, u32)>,
    asked: Vec<(String, RecordType)>,
    is_silent: bool,
}

impl NameServer {
    /// Knows no name. `options` are more lines for the resolv.conf that names it.
    pub(crate) async fn new(options: &str) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let files = Files::new();
        let resolv_conf = format!("nameserver 127.0.0.1\n{options}\n");
        let params = Params {
            resolv_conf: files.write("resolv.conf", &resolv_conf).into(),
            hosts: files.write("hosts", "").into(),
            port,
            looked_every: Duration::ZERO,
            ..Params::default()
        };
        let state = Arc::<Mutex<State>>::default();
        let mut running = JoinSet::new();
        running.spawn(serve(socket, Arc::clone(&state)));
        Self {
            params,
            state,
            _files: files,
            _running: running,
        }
    }

    /// What the files say.
    pub(crate) fn resolver(&self) -> Resolver {
        Resolver::new(self.params.clone())
    }

    /// This name has these addresses from now on, to be kept for so many seconds.
    pub(crate) fn set(&self, name: &str, addresses: &[&str], seconds: u32) {
        let addresses = addresses.iter().map(|it| it.parse().unwrap()).collect();
        let mut state = self.state.lock().unwrap();
        state.names.insert(name.to_owned(), (addresses, seconds));
    }

    /// Answers nothing from now on.
    pub(crate) fn fall_silent(&self) {
        self.state.lock().unwrap().is_silent = true;
    }

    /// The names that addresses of IPv4 were asked for, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let of_ipv4 = state.asked.iter().filter(|it| it.1 == RecordType::A);
        of_ipv4.map(|it| it.0.clone()).collect()
    }
}

async fn serve(socket: UdpSocket, state: Arc<Mutex<State>>) {
    let mut buffer = [0; 4096];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
        let query = Message::from_vec(&buffer[..length]).unwrap();
        if let Some(answer) = answer(query, &mut state.lock().unwrap()) {
            let sent = socket.try_send_to(&answer.to_vec().unwrap(), peer);
            sent.unwrap();
        }
    }
}

fn answer(query: Message, state: &mut State) -> Option<Message> {
    let question = query.queries.first().unwrap().clone();
    let name = question.name().to_utf8().to_lowercase();
    let name = name.trim_end_matches('.');
    state.asked.push((name.to_owned(), question.query_type()));
    if state.is_silent {
        return None;
    }
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.add_query(question.clone());
    let Some((addresses, seconds)) = state.names.get(name) else {
        answer.metadata.response_code = ResponseCode::NXDomain;
        return Some(answer);
    };
    for &address in addresses {
        let data = RData::from(address);
        if data.record_type() == question.query_type() {
            let record = Record::from_rdata(question.name().clone(), *seconds, data);
            answer.add_answer(record);
        }
    }
    Some(answer)
}
