//! A plain HTTP/1.1 client that shows what really came over the wire.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer whose body is still to be read.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: Vec<(String, String)>,
    reader: BufReader<TcpStream>,
}

/// Sends bytes as they are.
pub(crate) fn send_raw(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // A server may refuse before it has read everything.
    let _ = stream.write_all(bytes);
    stream
}

/// Sends a request with these header lines beside Host and Content-Length (Host may be among them).
pub(crate) fn send(address: SocketAddr, method: &str, path: &str, headers: &[&str], body: &str) -> TcpStream {
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|line| line.to_ascii_lowercase().starts_with("host:")) {
        head += &format!("Host: {address}\r\n");
    }
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    headers.iter().for_each(|line| head += &format!("{line}\r\n"));
    send_raw(address, format!("{head}\r\n{body}").as_bytes())
}

impl Reply {
    /// Reads the head of an answer.
    pub(crate) fn read(stream: TcpStream) -> Self {
        let mut reader = BufReader::new(stream);
        let mut line = || {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            line.trim_end().to_string()
        };
        let first = line();
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut head = Vec::new();
        loop {
            let line = line();
            match line.split_once(": ") {
                Some((name, value)) => head.push((name.to_ascii_lowercase(), value.to_string())),
                None => break,
            }
        }
        Reply { status: status.unwrap_or_else(|| panic!("no answer, but {first:?}")), head, reader }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The next piece of a chunked body; empty at its end.
    fn chunk(&mut self) -> Vec<u8> {
        let mut size = String::new();
        self.reader.read_line(&mut size).unwrap();
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap_or_else(|_| panic!("chunk size {size:?}"));
        let mut chunk = vec![0; size + 2];
        self.reader.read_exact(&mut chunk).unwrap();
        chunk.truncate(size);
        chunk
    }

    /// The whole body.
    pub(crate) fn text(mut self) -> String {
        let mut body = Vec::new();
        if self.header("transfer-encoding") == Some("chunked") {
            loop {
                let chunk = self.chunk();
                if chunk.is_empty() {
                    break;
                }
                body.extend(chunk);
            }
        } else {
            let length = self.header("content-length").expect("a length").parse().unwrap();
            body.resize(length, 0);
            self.reader.read_exact(&mut body).unwrap();
        }
        String::from_utf8(body).unwrap()
    }

    pub(crate) fn json(self) -> Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Reads until some text has come; for streams.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let mut all = String::new();
        while !all.contains(text) {
            all += &String::from_utf8(self.chunk()).unwrap();
        }
    }

    /// The data of server-sent events, whose framing is checked on the way.
    pub(crate) fn events(self) -> Vec<String> {
        assert_eq!((self.status, self.header("content-type")), (200, Some("text/event-stream")));
        let text = self.text();
        assert!(text.ends_with("\n\n"), "{text:?}");
        let data = |frame: &str| frame.strip_prefix("data: ").expect("a data line").to_string();
        let frames: Vec<String> = text.trim_end().split("\n\n").map(data).collect();
        assert!(frames.iter().all(|frame| !frame.contains('\n')));
        frames
    }

    /// The chunks of a stream that ended well.
    pub(crate) fn chunks(self) -> Vec<Value> {
        let mut events = self.events();
        assert_eq!(events.pop().as_deref(), Some("[DONE]"));
        events.iter().map(|event| serde_json::from_str(event).unwrap()).collect()
    }
}
