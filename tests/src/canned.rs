//! A server that answers what a test says, and remembers what it was asked and when: the services of
//! AWS as the SDK speaks to them, for what no emulator counts.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cbor;

/// A request to a service.
#[derive(Debug, Clone)]
pub struct Asked {
    /// When it was read.
    pub at: Instant,
    /// The operation, such as `GetMetricData`.
    pub operation: String,
    /// Its input; null, when it is not JSON and not CBOR.
    pub input: Value,
    /// The method and the path, such as `PUT /bucket/key`.
    pub line: String,
    /// The headers, their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body as it came.
    pub body: Vec<u8>,
}

/// What is answered: a status and a body; a text is a body that is not JSON. A refusal is a status
/// of 400 with `__type` in its body.
pub type Answer = (u16, Value);

/// What answers; it may be asked by several connections at once.
type Handler = dyn Fn(&Asked) -> Answer + Send + Sync;

/// A running server. Its threads end with the process.
pub struct Canned {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    slow: Arc<Mutex<BTreeMap<String, Duration>>>,
}

impl Canned {
    /// Starts it on a free port of this machine.
    ///
    /// # Panics
    /// When there is no port.
    pub fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine is free");
        let port = listener.local_addr().expect("a listener has an address").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let slow: Arc<Mutex<BTreeMap<String, Duration>>> = Arc::default();
        let waits = slow.clone();
        let answer = Arc::new(move |asked: &Asked| {
            let wait = waits.lock().ok().and_then(|waits| waits.get(&asked.operation).copied());
            thread::sleep(wait.unwrap_or_default());
            answer(asked)
        });
        let log = asked.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (log, answer) = (log.clone(), answer.clone());
                // A connection that breaks is the client's to notice.
                thread::spawn(move || serve(&connection, &log, &*answer));
            }
        });
        Self { port, asked, slow }
    }

    /// Lets each answer to an operation take so long from now on.
    ///
    /// # Panics
    /// When an answer panicked.
    pub fn slow_down(&self, operation: &str, by: Duration) {
        self.slow.lock().expect("no answer panicked").insert(operation.to_owned(), by);
    }

    /// What `AWS_ENDPOINT_URL` must be for a client to find it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it was asked since the last time, oldest first.
    ///
    /// # Panics
    /// When an answer panicked.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().expect("no answer panicked"))
    }
}

/// The requests by their operation.
pub fn by_operation(asked: &[Asked]) -> BTreeMap<&str, Vec<&Asked>> {
    let mut all: BTreeMap<&str, Vec<&Asked>> = BTreeMap::new();
    for request in asked {
        all.entry(&request.operation).or_default().push(request);
    }
    all
}

/// The most requests that fell into any second.
pub fn most_in_a_second(asked: &[&Asked]) -> usize {
    let second = Duration::from_secs(1);
    let from = |first: usize| {
        let until = asked[first].at + second;
        asked[first..].iter().take_while(|request| request.at < until).count()
    };
    (0..asked.len()).map(from).max().unwrap_or_default()
}

/// Answers one connection until it ends.
fn serve(connection: &TcpStream, log: &Mutex<Vec<Asked>>, answer: &Handler) -> Option<()> {
    connection.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(connection.try_clone().ok()?);
    loop {
        let (asked, in_cbor) = request(&mut reader)?;
        let (status, body) = answer(&asked);
        log.lock().ok()?.push(asked);
        let (kind, body) = if in_cbor {
            ("application/cbor\r\nsmithy-protocol: rpc-v2-cbor", cbor::write(&body))
        } else if let Value::String(text) = body {
            ("text/plain", text.into_bytes())
        } else {
            ("application/x-amz-json-1.1", body.to_string().into_bytes())
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
        );
        // Head and body in one write: apart, they cost a delayed acknowledgement.
        (&*connection).write_all(&[head.as_bytes(), &body].concat()).ok()?;
    }
}

/// Reads a request, and says whether it is in CBOR.
fn request(reader: &mut impl BufRead) -> Option<(Asked, bool)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let first = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let path = first.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(Some(0), |length| length.parse().ok())?;
    let in_cbor = headers.get("smithy-protocol").is_some_and(|protocol| protocol == "rpc-v2-cbor");
    let target = headers.get("x-amz-target");
    let target = target.and_then(|target| Some(target.split_once('.')?.1.to_owned()));
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    // The one form has the operation in a header, the other at the end of the path.
    let operation = target.or_else(|| Some(path.rsplit('/').next()?.to_owned()))?;
    let input = if in_cbor {
        cbor::read(&body)?
    } else {
        serde_json::from_slice(&body).unwrap_or_default()
    };
    let at = Instant::now();
    Some((Asked { at, operation, input, line: first, headers, body }, in_cbor))
}
