//! The agent's socket: who may call, what is told to whom, and what clients cannot do to it.

use ikeep::config::Places;
use ikeep::ipc::{
    BindError, Call, Client, ClientError, Failure, FailureKind, Hello, Limits, Listener, MAX_LINE, PROTOCOL,
    Reply, Request, encode,
};
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // A test that hangs is a failure, not a wait.
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), test).await.expect("it hangs") })
}

/// A server and the end where its calls come out.
struct Agent {
    _folder: TempDir,
    places: Places,
    calls: mpsc::Receiver<Call>,
    server: JoinHandle<()>,
}

impl Agent {
    fn new() -> Self {
        Self::within(Limits::default())
    }

    fn within(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::inside(folder.path());
        let listener = Listener::bind(&places).unwrap();
        let (calls_in, calls) = mpsc::channel(8);
        let server = tokio::spawn(listener.serve_within(calls_in, limits));
        Self { _folder: folder, places, calls, server }
    }

    async fn client(&self) -> Client {
        Client::connect(&self.places).await.unwrap()
    }

    async fn call(&mut self) -> Call {
        self.calls.recv().await.unwrap()
    }

    /// A client that has said nothing yet.
    async fn raw(&self) -> BufReader<UnixStream> {
        BufReader::new(UnixStream::connect(self.places.socket()).await.unwrap())
    }
}

async fn line(stream: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    line
}

fn state(text: &str) -> Reply {
    Reply::State { state: "connecting".into(), text: text.into() }
}

fn hello(protocol: u32) -> Vec<u8> {
    encode(&Hello { protocol, version: "0.0.1".into(), pid: 4711 }).unwrap().to_vec()
}

#[test]
fn requests_go_in_and_replies_come_out_in_order() {
    run(async {
        let mut agent = Agent::new();
        let mut client = agent.client().await;
        assert_eq!((client.agent.protocol, client.agent.pid), (PROTOCOL, std::process::id()));
        client.send(&Request::Status).await.unwrap();
        client.send(&Request::Disconnect).await.unwrap();
        let first = agent.call().await;
        assert_eq!((first.request, agent.call().await.request), (Request::Status, Request::Disconnect));
        for text in ["one", "two"] {
            first.replies.send(state(text)).await.unwrap();
        }
        assert_eq!([client.recv().await.unwrap(), client.recv().await.unwrap()], ["one", "two"].map(state));
    });
}

#[test]
fn two_clients_hear_their_own_replies() {
    run(async {
        let mut agent = Agent::new();
        let (mut one, mut two) = (agent.client().await, agent.client().await);
        one.send(&Request::Status).await.unwrap();
        let of_one = agent.call().await.replies;
        two.send(&Request::Status).await.unwrap();
        agent.call().await.replies.send(state("two")).await.unwrap();
        of_one.send(state("one")).await.unwrap();
        assert_eq!([one.recv().await.unwrap(), two.recv().await.unwrap()], ["one", "two"].map(state));
    });
}

#[test]
fn the_service_sees_that_a_client_has_gone() {
    run(async {
        let mut agent = Agent::new();
        let mut client = agent.client().await;
        client.send(&Request::Watch).await.unwrap();
        let call = agent.call().await;
        assert!(!call.replies.is_closed());
        drop(client);
        call.replies.closed().await;
    });
}

#[test]
fn what_was_said_before_the_end_is_still_told() {
    run(async {
        let mut agent = Agent::new();
        let mut client = agent.client().await;
        client.send(&Request::Stop).await.unwrap();
        let call = agent.call().await;
        call.replies.try_send(state("ending")).unwrap();
        call.replies.try_send(Reply::Done).unwrap();
        drop((call, agent.calls));
        assert_eq!(client.recv().await.unwrap(), state("ending"));
        assert_eq!(client.recv().await.unwrap(), Reply::Done);
        assert!(matches!(client.recv().await, Err(ClientError::Gone)));
        agent.server.await.unwrap();
        assert!(!agent.places.socket().exists());
        drop(Listener::bind(&agent.places).unwrap());
    });
}

#[test]
fn an_agent_that_ends_takes_no_more_calls_and_the_next_one_can_wait_for_its_end() {
    run(async {
        let mut agent = Agent::new();
        let mut client = agent.client().await;
        client.send(&Request::Stop).await.unwrap();
        // Held by a part of the service that still has something to say.
        let call = agent.call().await;
        drop(agent.calls);
        let mut late = UnixStream::connect(agent.places.socket()).await;
        while late.is_ok() {
            tokio::task::yield_now().await;
            late = UnixStream::connect(agent.places.socket()).await;
        }
        assert!(matches!(Listener::bind(&agent.places), Err(BindError::Running { .. })));
        let places = agent.places.clone();
        let waits = tokio::spawn(async move { Listener::ended(&places).await });
        call.replies.send(Reply::Done).await.unwrap();
        assert_eq!(client.recv().await.unwrap(), Reply::Done);
        assert!(!waits.is_finished(), "the first agent has not ended");
        drop(call);
        waits.await.unwrap().unwrap();
        drop(Listener::bind(&agent.places).unwrap());
    });
}

#[test]
fn an_agent_that_never_answers_is_told_with_its_number() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::inside(folder.path());
        fs::create_dir_all(&places.runtime).unwrap();
        let _stopped = UnixListener::bind(places.socket()).unwrap();
        let told = Client::connect(&places).await.err().unwrap().to_string();
        let process = format!("process {}", std::process::id());
        assert!(told.contains("does not answer") && told.contains(&process), "{told}");
    });
}

#[test]
fn folder_socket_and_lock_are_this_users_alone() {
    run(async {
        let agent = Agent::new();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&agent.places.runtime), 0o700);
        assert_eq!(mode(&agent.places.socket()), 0o600);
        assert_eq!(mode(&agent.places.lock()), 0o600);
        assert_eq!(fs::read_to_string(agent.places.lock()).unwrap().trim(), std::process::id().to_string());
    });
}

#[test]
fn a_second_agent_is_refused_and_disturbs_nobody() {
    run(async {
        let mut agent = Agent::new();
        let error = Listener::bind(&agent.places).unwrap_err();
        let pid = std::process::id();
        assert!(matches!(error, BindError::Running { pid: Some(found) } if found == pid), "{error:?}");
        let told = error.to_string();
        assert!(told.contains("already runs") && told.contains(&format!("process {pid}")), "{told}");
        let mut client = agent.client().await;
        client.send(&Request::Status).await.unwrap();
        assert_eq!(agent.call().await.request, Request::Status);
    });
}

#[test]
fn of_many_agents_that_start_at_once_one_runs_and_the_others_find_it_listening() {
    let folder = tempfile::tempdir().unwrap();
    let places = Places::inside(folder.path());
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let places = places.clone();
            std::thread::spawn(move || {
                run(async {
                    match Listener::bind(&places) {
                        Ok(listener) => Some(listener),
                        Err(BindError::Running { .. }) => {
                            UnixStream::connect(places.socket()).await.unwrap();
                            None
                        }
                        Err(error) => panic!("{error}"),
                    }
                })
            })
        })
        .collect();
    // Kept until all have started.
    let winners: Vec<Listener> = starts.into_iter().filter_map(|start| start.join().unwrap()).collect();
    assert_eq!(winners.len(), 1);
}

#[test]
fn a_dead_agents_socket_is_taken_away() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::inside(folder.path());
        fs::create_dir_all(&places.runtime).unwrap();
        drop(UnixListener::bind(places.socket()).unwrap());
        assert!(fs::metadata(places.socket()).unwrap().file_type().is_socket());
        let error = Client::connect(&places).await.err().unwrap();
        assert!(matches!(error, ClientError::NotRunning { .. }), "{error}");
        let listener = Listener::bind(&places).unwrap();
        assert_eq!(fs::metadata(&places.runtime).unwrap().permissions().mode() & 0o777, 0o700);
        drop(listener);
        assert!(!places.socket().exists());
    });
}

#[test]
fn what_is_no_socket_stays_where_it_is() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::inside(folder.path());
        fs::create_dir_all(&places.runtime).unwrap();
        fs::write(places.socket(), "precious").unwrap();
        assert!(matches!(Listener::bind(&places), Err(BindError::InTheWay { .. })));
        assert_eq!(fs::read(places.socket()).unwrap(), b"precious");
    });
}

#[test]
fn a_path_that_no_socket_can_have_is_told_with_the_remedy() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::inside(&folder.path().join("x".repeat(100)));
        let refused = [
            Listener::bind(&places).unwrap_err().to_string(),
            Client::connect(&places).await.err().unwrap().to_string(),
        ];
        for told in refused {
            assert!(told.contains("107") && told.contains("XDG_RUNTIME_DIR"), "{told}");
        }
    });
}

#[test]
fn no_agent_is_told_as_such() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let error = Client::connect(&Places::inside(folder.path())).await.err().unwrap();
        assert!(matches!(error, ClientError::NotRunning { .. }), "{error}");
    });
}

/// What a client hears from something at the agent's place that says `first`.
async fn client_hears(first: &[u8]) -> ClientError {
    let folder = tempfile::tempdir().unwrap();
    let places = Places::inside(folder.path());
    fs::create_dir_all(&places.runtime).unwrap();
    let listener = UnixListener::bind(places.socket()).unwrap();
    let other = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(first).await.unwrap();
    };
    let ((), client) = tokio::join!(other, Client::connect(&places));
    client.err().expect("this is no agent")
}

#[test]
fn agents_of_other_versions_are_named_and_how_to_end_them() {
    run(async {
        let older = client_hears(&hello(PROTOCOL - 1)).await.to_string();
        for part in
            ["ikeep 0.0.1", "process 4711", "is older than", "systemctl --user restart ikeep", "kill 4711"]
        {
            assert!(older.contains(part), "{part} is missing in: {older}");
        }
        let newer = client_hears(&hello(PROTOCOL + 1)).await.to_string();
        assert!(newer.contains("is newer than") && newer.contains("use the newer ikeep"), "{newer}");
    });
}

#[test]
fn an_agent_that_dies_or_talks_nonsense_at_the_door_is_told_as_such() {
    run(async {
        assert!(matches!(client_hears(b"").await, ClientError::Gone));
        assert!(matches!(client_hears(b"{\"proto").await, ClientError::Gone));
        assert!(matches!(client_hears(b"HTTP/1.1 400 Bad Request\r\n").await, ClientError::Line(_)));
    });
}

#[test]
fn a_client_of_another_protocol_is_told_and_not_heard() {
    run(async {
        let mut agent = Agent::new();
        let mut stream = agent.raw().await;
        stream.write_all(&hello(PROTOCOL + 1)).await.unwrap();
        stream.write_all(b"{\"request\":\"disconnect\"}\n").await.unwrap();
        assert!(line(&mut stream).await.contains("\"protocol\":1"));
        let told = line(&mut stream).await;
        assert!(told.contains("failed") && told.contains("usage") && told.contains("protocol 2"), "{told}");
        assert_eq!(line(&mut stream).await, "", "then the line is closed");
        assert!(agent.calls.try_recv().is_err());
    });
}

/// What a client that sends this after its hello is told, before the line is closed.
async fn told_after(agent: &Agent, sent: &[u8]) -> String {
    let mut stream = agent.raw().await;
    stream.write_all(&hello(PROTOCOL)).await.unwrap();
    line(&mut stream).await;
    // The agent may close before it has taken all of it.
    let _ = stream.write_all(sent).await;
    let told = line(&mut stream).await;
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest).await {
        Ok(count) => assert_eq!(count, 0, "then the line is closed"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    told
}

#[test]
fn senseless_and_endless_lines_close_the_line_and_hurt_nobody_else() {
    run(async {
        let mut agent = Agent::within(Limits { line: Duration::from_millis(300), ..Limits::default() });
        let mut bystander = agent.client().await;
        for (sent, part) in [
            (&b"{\"request\":\"make-coffee\"}\n"[..], "makes no sense"),
            (b"GET / HTTP/1.1\r\n", "makes no sense"),
            (b"\xff\xfe\n", "makes no sense"),
            (&vec![b'x'; MAX_LINE + 1], "longer than"),
            (b"{\"request\":", "not ended"),
        ] {
            let told = told_after(&agent, sent).await;
            assert!(told.contains("usage") && told.contains(part), "{part}: {told}");
        }
        bystander.send(&Request::Status).await.unwrap();
        assert_eq!(agent.call().await.request, Request::Status);
    });
}

#[test]
fn a_client_that_closes_in_the_middle_of_a_line_is_just_gone() {
    run(async {
        let mut agent = Agent::new();
        for sent in
            [&b""[..], b"{\"pro", &hello(PROTOCOL), &[&hello(PROTOCOL)[..], b"{\"request\":\"dis"].concat()]
        {
            agent.raw().await.write_all(sent).await.unwrap();
        }
        agent.client().await.send(&Request::Status).await.unwrap();
        assert_eq!(agent.call().await.request, Request::Status, "and none of theirs before it");
    });
}

#[test]
fn a_client_that_says_nothing_is_sent_away_and_one_that_was_polite_may_stay() {
    run(async {
        let mut agent = Agent::within(Limits { line: Duration::from_millis(100), ..Limits::default() });
        let mut polite = agent.client().await;
        let mut silent = agent.raw().await;
        assert!(line(&mut silent).await.contains("protocol"));
        assert!(line(&mut silent).await.contains("not ended"));
        assert_eq!(line(&mut silent).await, "");
        polite.send(&Request::Status).await.unwrap();
        assert_eq!(agent.call().await.request, Request::Status);
    });
}

#[test]
fn a_flood_of_clients_is_told_so_and_passes() {
    run(async {
        let mut agent = Agent::within(Limits { clients: 3, ..Limits::default() });
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(agent.client().await);
        }
        for _ in 0..40 {
            let mut late = agent.client().await;
            let Reply::Failed(Failure { kind, message, .. }) = late.recv().await.unwrap() else { panic!() };
            assert!(kind == FailureKind::Other && message.contains("too many clients"), "{message}");
        }
        // The server learns that a client has gone when the service would.
        clients[0].send(&Request::Status).await.unwrap();
        let call = agent.call().await;
        clients.remove(0);
        call.replies.closed().await;
        drop(call);
        let mut next = agent.client().await;
        next.send(&Request::Disconnect).await.unwrap();
        assert_eq!(agent.call().await.request, Request::Disconnect);
    });
}

#[test]
fn a_client_that_takes_nothing_is_dropped_and_holds_nobody_up() {
    run(async {
        let mut agent = Agent::within(Limits { stalled: Duration::from_millis(200), ..Limits::default() });
        let mut deaf = agent.client().await;
        let mut other = agent.client().await;
        deaf.send(&Request::Watch).await.unwrap();
        let to_deaf = agent.call().await.replies;
        let much = state(&"x".repeat(100_000));
        // Until socket and channel are full, and it is dropped.
        while to_deaf.send(much.clone()).await.is_ok() {}
        other.send(&Request::Status).await.unwrap();
        agent.call().await.replies.send(Reply::Done).await.unwrap();
        assert_eq!(other.recv().await.unwrap(), Reply::Done);
    });
}
