//! A Lambda function as a process of its own, and the Runtime API that it asks for events.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};

/// The longest that an answer may take: under valgrind everything is fifty times slower.
const PATIENCE: Duration = Duration::from_secs(300);

/// A function that is running.
pub struct Host {
    child: Child,
    requests: Receiver<Asked>,
    /// Where the function waits for its next event.
    waiting: Option<TcpStream>,
    served: u64,
}

/// One request of a function to the Runtime API.
struct Asked {
    path: String,
    body: Vec<u8>,
    stream: TcpStream,
}

impl Host {
    /// Starts a function and waits until it asks for its first event.
    ///
    /// # Errors
    /// When it cannot be started, or ends before it asks.
    pub fn start(mut command: Command) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                // A connection that fails is one that the function closed.
                thread::spawn(move || drop(serve(stream, &sender)));
            }
        });
        let child = command
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "measured")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")
            .env("AWS_REGION", "eu-west-1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("could not start {command:?}"))?;
        let mut host = Self { child, requests, waiting: None, served: 0 };
        host.until("/next")?;
        Ok(host)
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has the function handle one event, and waits until it asks for the next.
    ///
    /// # Errors
    /// When it reports an error, ends, or does not answer.
    pub fn invoke(&mut self, event: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut waiting = self.waiting.take().context("the function does not wait for an event")?;
        self.served += 1;
        let deadline = SystemTime::now().duration_since(UNIX_EPOCH)? + 2 * PATIENCE;
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             lambda-runtime-aws-request-id: 8476a536-e9f4-11e8-9739-{:012}\r\n\
             lambda-runtime-deadline-ms: {}\r\nlambda-runtime-invoked-function-arn: \
             arn:aws:lambda:eu-west-1:123456789012:function:measured\r\n\
             lambda-runtime-trace-id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700\r\n\r\n",
            event.len(),
            self.served,
            deadline.as_millis(),
        );
        waiting.write_all(head.as_bytes())?;
        waiting.write_all(event)?;
        let answer = self.until("/response")?;
        self.until("/next")?;
        Ok(answer)
    }

    /// Ends the function the way that a program under valgrind survives long enough to say what it
    /// counted, and returns what it wrote to standard error.
    ///
    /// # Errors
    /// When it does not end.
    pub fn end(mut self) -> anyhow::Result<String> {
        if let Some(waiting) = self.waiting.take() {
            waiting.shutdown(std::net::Shutdown::Both)?;
        }
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut text)?;
        }
        self.child.wait()?;
        Ok(text)
    }

    /// Waits for a request whose path ends so, and returns its body.
    fn until(&mut self, end: &str) -> anyhow::Result<Vec<u8>> {
        let Ok(Asked { path, body, mut stream }) = self.requests.recv_timeout(PATIENCE) else {
            bail!("the function said nothing for {} seconds", PATIENCE.as_secs());
        };
        if !path.ends_with(end) {
            bail!("expected a request of {end}, not {path}: {}", String::from_utf8_lossy(&body));
        }
        if end == "/next" {
            self.waiting = Some(stream);
        } else {
            stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")?;
        }
        Ok(body)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Reads the requests of one connection.
fn serve(stream: TcpStream, sender: &Sender<Asked>) -> anyhow::Result<()> {
    // Head and body go out one after the other: neither may wait for the other to be seen.
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(1 << 16, stream.try_clone()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).context("a request has a path")?.to_owned();
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            ensure!(!name.eq_ignore_ascii_case("transfer-encoding"), "a body has a length");
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        sender.send(Asked { path, body, stream: stream.try_clone()? })?;
    }
}
