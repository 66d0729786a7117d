//! As much of Lambda's Runtime API as one function needs that is called once at a time ("Using the
//! Lambda runtime API", AWS Lambda Developer Guide, 2026-11).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, thread};

use serde_json::Value;
use tidegate_runtime::clock;

use crate::quarantine::target::calls::Answer;

/// What a function may answer with at the most: 6 MB, and what is around it ("Lambda quotas", AWS
/// Lambda Developer Guide, 2026-11).
const BODY_BYTES_MAX: u64 = 8 << 20;

/// The server, which listens on this machine only.
pub struct RuntimeApi {
    address: SocketAddr,
    desk: Arc<Desk>,
}

/// Where calls wait for the function, and answers for the caller.
#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    number: u64,
    waiting: Option<Waiting>,
    /// What answers the call that is under way, by its number.
    answer: Option<(u64, Sender<Answer>)>,
    was_asked: bool,
    /// Which function it is that asks: one that is gone gets no event any more.
    life: u64,
}

struct Waiting {
    event: Vec<u8>,
    function_arn: String,
    deadline_ms: i64,
}

/// A call under way.
pub struct Pending(Receiver<Answer>);

impl Pending {
    /// Its answer, if it comes within so long.
    pub fn wait(&self, most: Duration) -> Option<Answer> {
        self.0.recv_timeout(most).ok()
    }
}

impl RuntimeApi {
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let desk = Arc::new(Desk::default());
        let of_server = desk.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let desk = of_server.clone();
                // A connection that breaks is the function's to notice.
                thread::spawn(move || drop(serve(&connection, &desk)));
            }
        });
        Ok(Self { address, desk })
    }

    /// What `AWS_LAMBDA_RUNTIME_API` must be.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Hands an event to the function.
    pub fn call(&self, event: &[u8], function_arn: &str, within: Duration) -> Pending {
        let (sender, receiver) = mpsc::channel();
        let within = i64::try_from(within.as_millis()).unwrap_or(i64::MAX);
        let deadline_ms = clock::now().as_millisecond().saturating_add(within);
        let mut state = self.desk.state();
        state.number += 1;
        state.answer = Some((state.number, sender));
        let (event, function_arn) = (event.to_vec(), function_arn.to_owned());
        state.waiting = Some(Waiting { event, function_arn, deadline_ms });
        self.desk.changed.notify_all();
        Pending(receiver)
    }

    /// Whether a function asked for an event since the last one was forgotten.
    pub fn was_asked(&self) -> bool {
        self.desk.state().was_asked
    }

    /// Takes a call back whose function is gone.
    pub fn forget(&self) {
        let mut state = self.desk.state();
        state.waiting = None;
        state.answer = None;
        state.was_asked = false;
        state.life += 1;
        self.desk.changed.notify_all();
    }
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next event and its number, when there is one; nothing when the function that asks is
    /// gone meanwhile.
    fn next(&self) -> Option<(u64, Waiting)> {
        let mut state = self.state();
        state.was_asked = true;
        let life = state.life;
        loop {
            if state.life != life {
                return None;
            }
            if let Some(waiting) = state.waiting.take() {
                return Some((state.number, waiting));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn answer(&self, number: u64, answer: Answer) {
        let mut state = self.state();
        if let Some((_, sender)) = state.answer.take_if(|(asked, _)| *asked == number) {
            // A caller that is gone wants no answer.
            let _ = sender.send(answer);
        }
    }
}

/// Answers one connection until it ends.
fn serve(connection: &TcpStream, desk: &Desk) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection.try_clone()?);
    while let Some((path, body)) = request(&mut reader)? {
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match parts.as_slice() {
            [_, "runtime", "invocation", "next"] => {
                let Some((number, waiting)) = desk.next() else { break };
                let headers = format!(
                    "lambda-runtime-aws-request-id: redrive-{number}\r\n\
                     lambda-runtime-deadline-ms: {}\r\n\
                     lambda-runtime-invoked-function-arn: {}\r\n",
                    waiting.deadline_ms,
                    waiting.function_arn.replace(char::is_control, "")
                );
                respond(connection, "200 OK", &headers, &waiting.event)?;
            }
            [_, "runtime", "invocation", id, how] => {
                let number = id.strip_prefix("redrive-").and_then(|number| number.parse().ok());
                let answer = match *how {
                    "response" => Answer::Response(body),
                    _ => Answer::Failed(message(&body)),
                };
                desk.answer(number.unwrap_or_default(), answer);
                respond(connection, "202 Accepted", "", b"{}")?;
            }
            // An error at the start: the process ends, which is seen.
            _ => respond(connection, "202 Accepted", "", b"{}")?,
        }
    }
    Ok(())
}

/// What a function says of its error.
fn message(body: &[u8]) -> String {
    let error: Value = serde_json::from_slice(body).unwrap_or_default();
    let part = |name: &str| error[name].as_str().unwrap_or("?").to_owned();
    format!("{}: {}", part("errorType"), part("errorMessage"))
}

/// The path and the body of a request; nothing at the end of the connection.
fn request(reader: &mut impl BufRead) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut length, mut is_chunked) = (0, false);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or_default(),
            "transfer-encoding" => is_chunked = value.trim().eq_ignore_ascii_case("chunked"),
            _ => {}
        }
    }
    let mut body = Vec::new();
    if !is_chunked {
        reader.take(length).take(BODY_BYTES_MAX).read_to_end(&mut body)?;
        return Ok(Some((path, body)));
    }
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim().split(';').next().unwrap_or(""), 16);
        let size = size.unwrap_or_default();
        reader.take(size.min(BODY_BYTES_MAX)).read_to_end(&mut body)?;
        line.clear();
        reader.read_line(&mut line)?;
        if size == 0 || body.len() as u64 > BODY_BYTES_MAX {
            return Ok(Some((path, body)));
        }
    }
}

fn respond(mut connection: &TcpStream, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(&[head.as_bytes(), body].concat())
}
